/**
 * Promises 15 and 16: libfaketime sets the wall clock of a real daemon, while its monotonic time
 * goes on.
 */
import { join } from "node:path";
import { describe, it } from "vitest";
import { awaitLine, awaitSight, linesOf } from "../support/await-event.ts";
import { startDaemon } from "../support/daemon.ts";
import { fakeTimeLibrary } from "../support/fake-time.ts";
import { fullFigures, reached } from "../support/figures.ts";
import { expect } from "../support/running-test.ts";
import { startWithClock } from "../support/settable-clock.ts";
import { tempRoot } from "../support/temp-root.ts";

const HOURLY = `schedule: { cron: "0 * * * *", catchUp: latest }\nsteps:\n  it: { run: "true" }\n`;

/** They wait for a daemon that looks at the clock every 30 s. */
const SIDE_BY_SIDE = { concurrent: true };

/** For a test that takes minutes. */
const inFull = fullFigures ? it : undefined;

describe.runIf(fakeTimeLibrary !== undefined)("a daemon whose clock jumps", SIDE_BY_SIDE, () => {
  it(
    "forward by six hours decides every slot within 60 s, and catches up the newest",
    { timeout: 120_000 },
    async () => {
      const root = tempRoot({ "schedules/hourly.yaml": HOURLY });
      const { daemon, set } = await startWithClock(root);
      const ledger = join(root.runs, "hourly/pipeline.jsonl");
      await awaitLine(ledger, (line) => line.type === "pipeline.loaded");
      const before = performance.now();
      set("+6h");
      await awaitSight(
        root.runs,
        () => {
          const slots = linesOf(ledger).filter((line) =>
            ["slot.missed", "slot.caught_up", "slot.fired", "slot.skipped"].includes(line.type),
          );
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
    },
  );

  const SECONDLY = `schedule: { cron: "* * * * * *" }
overlap: allow
steps:
  it: { run: "true" }
`;
  const since1970 = `-${Math.floor(Date.now() / 1_000) - 100}`;
  /** A catch-up window of a day holds fewer of these slots. */
  const OFTEN = SECONDLY.replace("* * * * * *", "*/10 * * * * *");
  const backwards: readonly (readonly [string, readonly string[]])[] = [
    ["back by two hours", ["-2h"]],
    ["back by a day", ["-1d"]],
    ["back to 1970", [since1970]],
    ["ahead by ten years and back", ["+3650d", "+0"]],
  ];

  it.each(backwards.slice(0, fullFigures ? undefined : 1))(
    "%s fires nothing again, and goes on scheduling",
    { timeout: 240_000 },
    async (name, offsets) => {
      const root = tempRoot({ "schedules/tick.yaml": offsets.length > 1 ? OFTEN : SECONDLY });
      const { daemon, set } = await startWithClock(root);
      const ledger = join(root.runs, "tick/pipeline.jsonl");
      let seen = (await awaitLine(ledger, (line) => line.type === "run.finished")).seq;
      for (const offset of offsets) {
        set(offset);
        const before = performance.now();
        const stepped = await awaitLine(
          ledger,
          (line) => line.type === "clock.stepped" && line.seq > seen,
          60_000,
        );
        const fired = await awaitLine(
          ledger,
          (line) => line.type === "slot.fired" && line.seq > stepped.seq,
          60_000,
        );
        expect(performance.now() - before).toBeLessThan(60_000);
        seen = fired.seq;
      }
      await daemon.end();
      expect(twice(ledger)).toEqual([]);
      reached(16, `${name}: scheduling went on and nothing fired again`, 1, 1);
    },
  );

  inFull?.(
    "from 1970 to the present after a boot decides nothing before it",
    { timeout: 240_000 },
    async () => {
      const root = tempRoot({ "schedules/tick.yaml": SECONDLY });
      const first = await startDaemon({ root: root.root });
      const ledger = join(root.runs, "tick/pipeline.jsonl");
      await awaitLine(ledger, (line) => line.type === "slot.fired");
      await first.end();
      const before = linesOf(ledger).length;
      const { daemon, set } = await startWithClock(root, since1970, false);
      await awaitSight(
        root.root,
        () => (daemon.stderr().includes("the clock has not been set") ? true : undefined),
        "a log line about the clock",
      );
      // Time for the daemon to look at the clock a few times.
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      expect(linesOf(ledger)).toHaveLength(before);
      set("+0");
      await awaitLine(
        ledger,
        (line) => line.type === "slot.fired" && line.seq > before + 1,
        60_000,
      );
      await daemon.end();
      expect(twice(ledger)).toEqual([]);
      expect(linesOf(ledger).map((line) => line.at.slice(0, 4))).not.toContain("1970");
      reached(16, "booted in 1970: nothing was decided before the clock was set", 1, 1);
    },
  );

  it(
    "while it is stopped decides every slot once when it is continued",
    { timeout: 60_000 },
    async () => {
      const root = tempRoot({ "schedules/tick.yaml": SECONDLY });
      const daemon = await startDaemon({ root: root.root });
      const ledger = join(root.runs, "tick/pipeline.jsonl");
      await awaitLine(ledger, (line) => line.type === "slot.fired");
      process.kill(daemon.pid, "SIGSTOP");
      const stoppedAt = Date.now();
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      process.kill(daemon.pid, "SIGCONT");
      const until = new Date(Date.now() + 2_000).toISOString();
      await awaitLine(
        ledger,
        (line) => line.type === "slot.fired" && String(line["slot"]) >= until,
      );
      await daemon.end();
      const slots = linesOf(ledger).flatMap((line) =>
        line.type.startsWith("slot.") && line.type !== "slot.late"
          ? [Date.parse(String(line["slot"]))]
          : [],
      );
      expect(slots).toEqual(slots.map((_, index) => slots[0]! + index * 1_000));
      expect(slots.some((slot) => slot > stoppedAt && slot < stoppedAt + 3_000)).toBe(true);
      reached(15, "stopped and continued: every slot decided once", 1, 1);
    },
  );
});

/** Slots that ran more than once. */
function twice(ledger: string): string[] {
  const slots = linesOf(ledger).flatMap((line) =>
    line.type === "slot.fired" || line.type === "slot.caught_up" ? [String(line["slot"])] : [],
  );
  return slots.filter((slot, index) => slots.indexOf(slot) !== index);
}
