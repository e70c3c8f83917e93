import { readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";
import FileOrder, { LONG } from "./test/support/file-order.ts";

// Node 20 reads these certificates, and all of its own, as each process starts: 66 ms of processor
// time where one takes 32. No test asks a server that needs them.
delete process.env["NODE_EXTRA_CA_CERTS"];
// Programs that say quickly what no test wants to know.
process.env["PATH"] = [
  new URL("./test/support/quick-programs", import.meta.url).pathname,
  process.env["PATH"],
].join(":");

/** What takes minutes to set up. FAULTS=1 has it run, or say why it cannot. */
const LEFT_OUT = process.env["FAULTS"] === "1" ? [] : ["test/faults/real-systemd.test.ts"];

/**
 * Folders whose files have a worker each: what they kill, fill and freeze is not to harm the next
 * one. All others share workers, since one costs a file a third of a second of processor time.
 */
const APART = /^(?:examples|faults|system|worker)\/|^conformance\/place\/|^page\/metrics\//;
/**
 * So do files that replace a module, whose tests wait side by side, that load files in this
 * process, that watch what is started, or that draw the page, which keeps its choices in modules.
 */
const OWN = new RegExp(
  [
    /\bvi\.(?:mock|doMock|hoisted|resetModules)\(/,
    /\bconcurrent: true|\.concurrent\b|broker-suite/,
    /\bask\([^)]*"validate"/,
    /plain-document|spawn-watch/,
  ]
    .map(({ source }) => source)
    .join("|"),
);

const SHARED = readdirSync(new URL("./test/", import.meta.url), {
  recursive: true,
  encoding: "utf8",
})
  .filter((name) => name.endsWith(".test.ts") && !APART.test(name))
  // Those that take long begin first.
  .filter((name) => !LONG.includes(name.slice(0, -".test.ts".length)))
  .map((name) => `test/${name}`)
  .filter((path) => !LEFT_OUT.includes(path))
  .filter((path) => !OWN.test(readFileSync(new URL(path, import.meta.url), "utf8")));

const common = {
  pool: "forks",
  // One more than CI's cores: a test that waits leaves its core idle. Four were not faster.
  maxWorkers: 3,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  teardownTimeout: 10_000,
  // What is polled comes late where the machine has much else to do.
  expect: { poll: { timeout: 15_000 } },
} as const;
const resolve = { alias: { orchd: new URL("./src/index.ts", import.meta.url).pathname } };

export default defineConfig({
  test: {
    ...common,
    globalSetup: ["test/support/no-leftovers.ts"],
    reporters: ["default", "./test/support/plain-count-reporter.ts"],
    sequence: { sequencer: FileOrder },
    coverage: { include: ["src/**/*.ts", "daemon/**/*.ts"] },
    projects: [
      {
        resolve,
        test: {
          ...common,
          name: "own worker",
          include: ["test/**/*.test.ts"],
          exclude: ["**/node_modules/**", ...LEFT_OUT, ...SHARED],
        },
      },
      {
        resolve,
        test: {
          ...common,
          name: "shared worker",
          include: SHARED,
          isolate: false,
          setupFiles: ["test/support/left-as-found.ts"],
        },
      },
    ],
  },
});
