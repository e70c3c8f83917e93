/**
 * Promise 20 where the kernel's queue of watcher events overflows and events are lost: files are
 * noticed within 15 s even so. The length of the queue is a setting of the machine, and an inotify
 * instance takes it when it is made. So it is set back as soon as the watchers are made. The
 * control is a second watcher, which believes its events: it must miss some.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { startDaemon } from "../support/daemon.ts";
import { reached, trials } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";

const LENGTH = "/proc/sys/fs/inotify/max_queued_events";
const EVENTS = 4;
const NOTICED_MS = 15_000;

/** Prints `watching`, and when its stdin is closed, how many files it heard of. */
const BELIEVER = `
  const heard = new Set();
  require("node:fs").watch(process.argv[1], (_event, name) => heard.add(name));
  const tell = () => {
    process.stdout.write(String(heard.size));
    process.exit();
  };
  process.stdin.on("end", () => setTimeout(tell, 300)).resume();
  process.stdout.write("watching");
`;

function whyNot(): string | undefined {
  try {
    writeFileSync(LENGTH, readFileSync(LENGTH));
    return undefined;
  } catch (error) {
    return `${LENGTH} cannot be written (${(error as NodeJS.ErrnoException).code})`;
  }
}

const reason = whyNot();
if (reason !== undefined)
  process.stdout.write(`no watcher's queue is made to overflow: ${reason}\n`);

/** Calls `make`, whose watchers get queues of a few events. */
async function withShortQueues<T>(make: () => Promise<T>): Promise<T> {
  const usual = readFileSync(LENGTH);
  const putBack = (): void => writeFileSync(LENGTH, usual);
  process.once("exit", putBack);
  try {
    writeFileSync(LENGTH, String(EVENTS));
    return await make();
  } finally {
    putBack();
    process.off("exit", putBack);
  }
}

it.runIf(reason === undefined)(
  "files are noticed even if the watcher's queue overflows",
  { timeout: 300_000 },
  async () => {
    const root = tempRoot({ "schedules/first.yaml": 'steps: { a: { run: "true" } }\n' });
    const [daemon, believer] = await withShortQueues(async () => {
      const beside = spawn(process.execPath, ["-e", BELIEVER, root.schedules], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      onTestFinished(() => void beside.kill("SIGKILL"));
      await once(beside.stdout, "data");
      return [await startDaemon({ root: root.root }), beside] as const;
    });
    const names = Array.from({ length: trials(40, 1_000) }, (_, n) => `p${n}`);
    const loads = (name: string): number =>
      linesOf(join(root.runs, name, "pipeline.jsonl")).filter(
        (line) => line.type === "pipeline.loaded",
      ).length;
    let noticed = 0;
    for (const [index, command] of ["true", "false"].entries()) {
      // While both are stopped, nobody empties the queues.
      for (const { pid } of [daemon, believer]) process.kill(pid!, "SIGSTOP");
      for (const name of names)
        writeFileSync(
          join(root.schedules, `${name}.yaml`),
          `steps: { a: { run: "${command}" } }\n`,
        );
      for (const { pid } of [daemon, believer]) process.kill(pid!, "SIGCONT");
      // A file that is loaded is not looked at again: the looks must not take the daemon's time.
      const left = [...names];
      const seen = (): true | undefined => {
        while (left.length > 0 && loads(left.at(-1)!) > index) left.pop();
        return left.length === 0 ? true : undefined;
      };
      await awaitSight(root.runs, seen, "all files loaded", NOTICED_MS).catch(() => undefined);
      noticed += names.filter((name) => loads(name) > index).length;
    }
    const heard = once(believer.stdout, "data");
    believer.stdin.end();
    expect(
      Number(String((await heard)[0])),
      "files that a watcher which believes its events has heard of",
    ).toBeLessThan(names.length);
    reached(
      20,
      "files made and changed while the watcher's queue overflowed, noticed within 15 s",
      noticed,
      2 * names.length,
    );
    expect(noticed).toBe(2 * names.length);
  },
);
