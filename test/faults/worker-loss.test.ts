/**
 * Workers that are killed, frozen and cut off, a broker and a daemon that are killed, while steps
 * run at workers: nothing runs twice at once, and nothing is lost.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { ask } from "../support/asked-command.ts";
import { countOf, Farm, hostsOf } from "../support/farm.ts";
import { fullFigures } from "../support/figures.ts";
import { SKIP_NATS } from "../support/nats-server.ts";

/**
 * A step that beats into the effects until it may end. A second one beside it is seen there. A
 * process that has ended, and that nobody has waited for yet, has no words.
 */
const PIPELINE = `
onInterruption: rerun
steps:
  one:
    on: farm
    run: |
      echo "begins $$" >> EFFECTS
      i=0
      while ! grep -q '^go$' EFFECTS; do
        echo "line $i"; i=$((i+1))
        for pid in $(sed -n 's/^begins //p' EFFECTS); do
          [ $pid = $$ ] || ! grep -q . /proc/$pid/cmdline 2>/dev/null ||
            echo "beside $pid $$" >> EFFECTS
        done
        sleep 0.1
      done
      echo "last $i"
      echo "ends $$" >> EFFECTS
      echo '[1]' > "$ORCHD_OUTPUT"
`;
const LONG = { timeout: 120_000 };

const begun = async (workers: readonly string[]): Promise<{ farm: Farm; run: string }> => {
  const farm = await Farm.start({ "schedules/p.yaml": PIPELINE });
  await farm.worker(workers[0]!);
  const run = await farm.run("p");
  await farm.until("begins");
  for (const name of workers.slice(1)) await farm.worker(name);
  return { farm, run };
};

/** What came of a run. */
interface Outcome {
  readonly status: unknown;
  readonly begins: number;
  readonly ends: number;
  /** How often a step saw another one of its own. */
  readonly beside: number;
  readonly interrupted: number;
  /** Processes that are left once all workers have ended. */
  readonly left: number;
}

/** Waits until a run has ended, and ends all workers. */
async function outcomeOf(farm: Farm, run: string): Promise<Outcome> {
  const lines = await farm.ended(run);
  const did = (word: string): number => farm.did().filter((one) => one.startsWith(word)).length;
  for (const { process: worker } of farm.workers) worker.signal("SIGTERM");
  for (const { process: worker } of farm.workers) await worker.ended;
  return {
    status: lines.at(-1)!["status"],
    begins: did("begins"),
    ends: did("ends"),
    beside: did("beside"),
    interrupted: countOf(lines, "step.interrupted", "one"),
    left: farm.workers.flatMap(({ process: worker }) => worker.processes()).length,
  };
}

/** The step ended once, after so many beginnings, and never ran twice at once. */
const well = (begins: number): Outcome => ({
  status: "completed",
  begins,
  ends: 1,
  beside: 0,
  interrupted: begins - 1,
  left: 0,
});

/** All lines of the step's last attempt, in order, are in the run's log. */
const hasAllLines = (farm: Farm, run: string): void => {
  const printed = farm.log(run).map(({ line }) => line);
  const last = printed.at(-1)!;
  expect(last).toMatch(/^last \d+$/);
  const count = Number(last.slice(5));
  const expected = Array.from({ length: count }, (_, line) => `line ${line}`);
  expect(printed.slice(-count - 1, -1)).toEqual(expected);
};

describe.skipIf(SKIP_NATS)("steps at workers", () => {
  it("run again elsewhere where their worker is killed", LONG, async () => {
    const { farm, run } = await begun(["w1", "w2"]);
    await farm.workers[0]!.process.kill();
    await expect
      .poll(async () => (await ask(farm.root.root, "places")).stdout, { timeout: 30_000 })
      .toContain("nobody listens as it: its process or its connection has ended");
    expect(farm.did().filter((line) => line.startsWith("begins"))).toHaveLength(1);
    await farm.until("begins", 2, 40_000);
    farm.release("go");
    expect(await outcomeOf(farm, run)).toEqual(well(2));
    expect(hostsOf(farm.ledger(run), "one")).toEqual(["w1", "w2"]);
    hasAllLines(farm, run);
  });

  it("run again at once where their worker is started again", LONG, async () => {
    const { farm, run } = await begun(["w1"]);
    await farm.workers[0]!.process.kill();
    const at = performance.now();
    await farm.workers[0]!.again();
    await farm.until("begins", 2, 40_000);
    expect(performance.now() - at).toBeLessThan(10_000);
    farm.release("go");
    expect(await outcomeOf(farm, run)).toEqual(well(2));
  });

  it("run again elsewhere where their worker freezes, and end there first", LONG, async () => {
    const { farm, run } = await begun(["w1", "w2"]);
    const { process: frozen } = farm.workers[0]!;
    frozen.signal("SIGSTOP");
    const at = performance.now();
    await expect.poll(() => frozen.processes(), { timeout: 12_000 }).toEqual([]);
    expect(performance.now() - at).toBeLessThan(10_000);
    await farm.until("begins", 2, 40_000);
    frozen.signal("SIGCONT");
    await sleep(3_000);
    farm.release("go");
    expect(await outcomeOf(farm, run)).toEqual(well(2));
    expect(hostsOf(farm.ledger(run), "one")).toEqual(["w1", "w2"]);
  });

  it("go on where their worker freezes for a moment", LONG, async () => {
    const { farm, run } = await begun(["w1", "w2"]);
    farm.workers[0]!.process.signal("SIGSTOP");
    await sleep(2_000);
    farm.workers[0]!.process.signal("SIGCONT");
    await sleep(2_000);
    farm.release("go");
    expect(await outcomeOf(farm, run)).toEqual(well(1));
    hasAllLines(farm, run);
  });

  it.runIf(fullFigures)(
    "run again elsewhere where their worker is cut off, and end there first",
    LONG,
    async () => {
      const { farm, run } = await begun(["w1", "w2"]);
      farm.workers[0]!.link.cut();
      await farm.until("begins", 2, 40_000);
      farm.workers[0]!.link.mend();
      await sleep(3_000);
      farm.release("go");
      expect(await outcomeOf(farm, run)).toEqual(well(2));
      expect(hostsOf(farm.ledger(run), "one")).toEqual(["w1", "w2"]);
      hasAllLines(farm, run);
    },
  );

  it.each([
    ["for a moment", 1_000, 1] as const,
    ...(fullFigures ? [["for long", 9_000, 2] as const] : []),
  ])("whose broker is killed %s are not lost", LONG, async (_, downMs, begins) => {
    const { farm, run } = await begun(["w1"]);
    await farm.broker.kill();
    await sleep(downMs);
    await farm.broker.begin();
    if (begins === 2) await farm.until("begins", 2, 40_000);
    await sleep(1_000);
    farm.release("go");
    expect(await outcomeOf(farm, run)).toEqual(well(begins));
    hasAllLines(farm, run);
  });

  it("that end while the broker is down are not run again", LONG, async () => {
    const { farm, run } = await begun(["w1"]);
    await farm.broker.kill();
    await sleep(500);
    farm.release("go");
    await farm.until("ends");
    await sleep(1_500);
    await farm.broker.begin();
    expect(await outcomeOf(farm, run)).toEqual(well(1));
    hasAllLines(farm, run);
  });

  it("are taken over by the next daemon, with all their lines", LONG, async () => {
    const { farm, run } = await begun(["w1"]);
    await sleep(500);
    await farm.daemon.kill();
    await farm.startDaemon();
    await sleep(1_000);
    // Where a start outlasts the worker's lease, the worker says so: then the step runs again.
    const isLate = farm.workers[0]!.process.stderr.includes("the daemon has not answered for 6 s");
    if (isLate) await farm.until("begins", 2, 40_000);
    farm.release("go");
    expect(await outcomeOf(farm, run)).toEqual(well(isLate ? 2 : 1));
    hasAllLines(farm, run);
  });

  it("that end while no daemon is there are taken over too", LONG, async () => {
    const { farm, run } = await begun(["w1"]);
    await farm.daemon.kill();
    farm.release("go");
    await farm.until("ends");
    await farm.startDaemon();
    expect(await outcomeOf(farm, run)).toEqual(well(1));
    hasAllLines(farm, run);
  });

  it.runIf(fullFigures)(
    "end where no daemon comes back in time, and run again under the next one",
    LONG,
    async () => {
      const { farm, run } = await begun(["w1"]);
      await farm.daemon.kill();
      await expect
        .poll(() => farm.workers[0]!.process.processes(), { timeout: 15_000 })
        .toEqual([]);
      await farm.startDaemon();
      await farm.until("begins", 2, 40_000);
      farm.release("go");
      expect(await outcomeOf(farm, run)).toEqual(well(2));
    },
  );
});
