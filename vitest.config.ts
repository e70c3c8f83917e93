import { defineConfig } from "vitest/config";
import FileOrder from "./test/support/file-order.ts";

/**
 * Folders whose tests replace no module and leave nothing behind in their process: their files
 * share workers. A worker of its own costs a file a third of a second of processor time.
 */
const SHARED = [
  "bench",
  "core",
  "disk",
  "docs",
  "ledger",
  "notify",
  "observe",
  "traces",
  "views",
].map((folder) => `test/${folder}/**/*.test.ts`);
/** What takes minutes to set up. FAULTS=1 has it run, or say why it cannot. */
const LEFT_OUT = process.env["FAULTS"] === "1" ? [] : ["test/faults/real-systemd.test.ts"];

const common = {
  pool: "forks",
  // One more than CI's cores: a test that waits leaves its core idle.
  maxWorkers: 3,
  testTimeout: 60_000,
  hookTimeout: 60_000,
  teardownTimeout: 10_000,
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
      { resolve, test: { ...common, name: "shared worker", include: SHARED, isolate: false } },
    ],
  },
});
