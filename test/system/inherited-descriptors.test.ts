/**
 * Files that were open in the daemon when it was started: a lock of `flock`, a pipe, a socket. No
 * step and no hook gets them, and the daemon keeps them.
 */
import { readlinkSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { orchd, startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/** Low, high, next to one another, and apart: Node closes low ones by itself. */
const NUMBERS = [3, 9, 16, 17, 40, 200] as const;

const OPEN = NUMBERS.map((number) => `exec ${number}<"$1"`).join("; ");

function rootOf(): { root: TempRoot; through: string[] } {
  const root = tempRoot({
    secret: "nobody's",
    "schedules/p.yaml": `
steps:
  first: { run: 'ls -l /proc/$$/fd >&2' }
  second: { run: 'ls -l /proc/$$/fd >&2', after: [first] }
  module: { uses: ./steps/look.mjs, after: [second] }
  child: { uses: "./steps/look.mjs#child", after: [module] }
hooks: { onSuccess: "./steps/look.mjs#hook" }
`,
    "schedules/steps/look.mjs": `
import { execFileSync } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
const look = () => readdirSync("/proc/self/fd").flatMap((number) => {
  try { return [readlinkSync("/proc/self/fd/" + number)]; } catch { return []; }
});
export default async () => console.error("module " + look().join(" "));
export const hook = async () => console.error("hook " + look().join(" "));
export const child = async () =>
  console.error(String(execFileSync("sh", ["-c", "ls -l /proc/$$/fd"])));
`,
  });
  return { root, through: ["bash", "-c", `${OPEN}; shift; exec "$@"`, "bash", secretOf(root)] };
}

const secretOf = ({ root }: TempRoot): string => join(root, "secret");

function expectNothingSeen({ runs }: TempRoot): void {
  const [run, ...others] = runsOf(runs, "p");
  expect(others).toEqual([]);
  expect(outcomeOf(run!)).toBe("completed");
  const printed = readFileSync(run!.path.replace(/\.jsonl$/, ".log"), "utf8");
  for (const word of ["/dev/null", "module ", "hook "]) expect(printed).toContain(word);
  expect(printed).not.toContain("/secret");
}

it("a file that is open in the daemon reaches no step", { timeout: 60_000 }, async () => {
  const { root, through } = rootOf();
  const daemon = await startDaemon({ root: root.root, through });
  const run = await orchd(root.root, "run", "p", "--wait");
  expect([run.status, run.stderr]).toEqual([0, expect.anything()]);
  expectNothingSeen(root);
  // It may be a lock, which is held for as long as it is open.
  for (const number of NUMBERS)
    expect(readlinkSync(`/proc/${daemon.pid}/fd/${number}`)).toBe(secretOf(root));
});

it("nor one that is open in a run in the foreground", { timeout: 60_000 }, async () => {
  const { root, through } = rootOf();
  const run = await orchd(root.root, "run", "p", "--foreground", { through });
  expect([run.status, run.stderr]).toEqual([0, expect.anything()]);
  expectNothingSeen(root);
});
