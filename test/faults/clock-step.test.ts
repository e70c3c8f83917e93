/** Promises 15 and 16: the wall clock of a real daemon is set by libfaketime; monotonic time goes on as it is. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, awaitSight, linesOf } from "../support/await-event.ts";
import { startDaemon, type Daemon } from "../support/daemon.ts";
import { reached } from "../support/figures.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const library = ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"].find((path) =>
  existsSync(path),
);

async function startWithClock(root: TempRoot): Promise<{ daemon: Daemon; set: (offset: string) => void }> {
  const file = join(root.root, "clock");
  const set = (offset: string): void => writeFileSync(file, `${offset}\n`);
  set("+0");
  const env = {
    LD_PRELOAD: library!,
    FAKETIME_TIMESTAMP_FILE: file,
    DONT_FAKE_MONOTONIC: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    FAKETIME_NO_CACHE: "1",
  };
  return { daemon: await startDaemon({ root: root.root, env }), set };
}

const HOURLY = `schedule: { cron: "0 * * * *", catchUp: latest }\nsteps:\n  it: { run: "true" }\n`;

describe.runIf(library !== undefined)("a wall clock that is set", () => {
  it("forward by six hours has every slot decided within 60 s, and the newest caught up", { timeout: 120_000 }, async () => {
    const root = tempRoot({ "schedules/hourly.yaml": HOURLY });
    const { daemon, set } = await startWithClock(root);
    const ledger = join(root.runs, "hourly/pipeline.jsonl");
    await awaitLine(ledger, (line) => line.type === "pipeline.loaded");
    const before = performance.now();
    set("+6h");
    await awaitSight(
      root.runs,
      () => {
        const slots = linesOf(ledger).filter((line) => ["slot.missed", "slot.caught_up", "slot.fired"].includes(line.type));
        return slots.length >= 6 ? true : undefined;
      },
      () =>
        `six decided slots; the ledger has ${linesOf(ledger)
          .map((line) => line.type)
          .join(", ")}`,
      60_000,
    );
    const took = performance.now() - before;
    const types = linesOf(ledger).map((line) => line.type);
    expect(types.filter((type) => type === "slot.caught_up").length).toBe(1);
    expect(types).toContain("clock.stepped");
    reached(15, `forward steps decided within 60 s (${Math.round(took / 1_000)} s)`, 1, 1);
    await daemon.end();
  });

  it("back by two hours fires nothing again, and scheduling goes on", { timeout: 120_000 }, async () => {
    const root = tempRoot({ "schedules/tick.yaml": `schedule: { cron: "* * * * * *" }\noverlap: allow\nsteps:\n  it: { run: "true" }\n` });
    const { daemon, set } = await startWithClock(root);
    const ledger = join(root.runs, "tick/pipeline.jsonl");
    await awaitLine(ledger, (line) => line.type === "run.finished");
    set("-2h");
    const stepped = await awaitLine(ledger, (line) => line.type === "clock.stepped", 60_000);
    await awaitLine(ledger, (line) => line.type === "slot.fired" && line.seq > stepped.seq, 60_000);
    await daemon.end();
    const slots = linesOf(ledger).flatMap((line) => (line.type === "slot.fired" || line.type === "slot.caught_up" ? [String(line["slot"])] : []));
    expect(new Set(slots).size).toBe(slots.length);
    reached(16, "backward steps after which nothing fired again", 1, 1);
  });
});
