/**
 * Promise 39: the file system of the runs folder is frozen, as a snapshot of a volume does, while
 * steps end all the time. Nothing can be written until it is thawed. The daemon hears signals
 * meanwhile, and afterwards every ledger is whole.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { canMount, hasProgram, reached, trials } from "../support/figures.ts";
import { outcomeOf, runsOf, type PlainRun } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const possible =
  canMount() && ["mkfs.ext4", "fsfreeze"].every(hasProgram) && existsSync("/dev/loop-control");

/** How long the file system stays frozen, and how long before the first signal, in seconds. */
const [FROZEN_S, BEFORE_S] = [6, 1];
const PIPELINES = ["p", "q", "r"];
const steps = Array.from({ length: 40 }, (_, n) => {
  const after = n < 4 ? "" : `, after: [s${n - 4}]`;
  return `  s${n}: { uses: ./steps/brief.ts${after}, onInterruption: rerun }\n`;
});
const pipeline = `schedule: { cron: "* * * * * *" }
enableCache: false
steps:\n${steps.join("")}`;

/** A root whose runs folder has a file system of its own. */
function rootOnItsOwn(): TempRoot {
  const root = tempRoot({
    ...Object.fromEntries(PIPELINES.map((name) => [`schedules/${name}.yaml`, pipeline])),
    "schedules/steps/brief.ts":
      "export default () => new Promise((resolve) => setTimeout(resolve, 5, 1));\n",
    "runs/.keep": "",
  });
  const image = join(root.root, "disk.img");
  execFileSync("truncate", ["-s", "64M", image]);
  execFileSync("mkfs.ext4", ["-q", "-F", image]);
  execFileSync("mount", ["-o", "loop", image, root.runs]);
  onTestFinished(() => void execFileSync("umount", ["-l", root.runs]));
  return root;
}

/** Freezes a file system for a while. @returns resolves when it is thawed */
async function freeze(folder: string): Promise<{ readonly thawed: Promise<void> }> {
  // A process of its own: it thaws the file system whatever becomes of the test.
  const text = `fsfreeze -f "$0" && echo frozen; sleep ${FROZEN_S}; fsfreeze -u "$0"`;
  const child = spawn("sh", ["-c", text, folder], { stdio: ["ignore", "pipe", "inherit"] });
  const thawed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return { thawed };
}

const pause = (seconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, seconds * 1_000));

async function hears(daemon: Daemon, signal: NodeJS.Signals, words: string): Promise<void> {
  daemon.process.kill(signal);
  await awaitSight(
    "/proc/self",
    () => (daemon.stderr().includes(words) ? true : undefined),
    `"${words}" in the log: ${daemon.stderr().slice(-500)}`,
    2_000,
  );
}

it.runIf(possible)(
  "signals are heard while nothing can be written",
  async () => {
    const freezes = trials(1, 20);
    const root = rootOnItsOwn();
    let heard = 0;
    for (let n = 0; n < freezes; n += 1) {
      const daemon = await startDaemon({ root: root.root });
      const before = runsOf(root.runs, "p").length;
      await awaitSight(
        root.runs,
        () => (runsOf(root.runs, "p").length >= before + 2 ? true : undefined),
        "two more runs",
      );
      const { thawed } = await freeze(root.runs);
      await pause(BEFORE_S);
      await hears(daemon, "SIGTERM", "draining");
      await hears(daemon, "SIGTERM", "ending at once");
      heard += 1;
      await thawed;
      await daemon.ended;
    }
    const last = await startDaemon({ root: root.root });
    const all = (): PlainRun[] => PIPELINES.flatMap((name) => runsOf(root.runs, name));
    const begun = new Set(all().map(({ run }) => run));
    await awaitSight(
      root.runs,
      () =>
        all().every((one) => !begun.has(one.run) || outcomeOf(one) !== undefined) ? 1 : undefined,
      "the ends of the runs that were interrupted",
      60_000,
    );
    await last.end();
    const verified = await orchd(root.root, "verify");
    expect(verified.stdout).toContain("all whole");
    reached(39, "signals heard while the file system was frozen", heard, freezes);
    expect(heard).toBe(freezes);
  },
  600_000,
);
