import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ask, daemonRuns } from "../../src/ledger/ask.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { giveWorkSign } from "../../src/ledger/work-sign.ts";
import { fakeDaemon, holdEpoch, requestsIn } from "../support/fake-daemon.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const RUN = "p@20261123T020000Z";
const PAUSE = { type: "pause", pipeline: "p", by: "a test" } as const;

describe("asking the daemon", () => {
  it("that cannot be made into text was never asked: the caller's mistake is thrown", async () => {
    const { runs } = tempRoot();
    const wrong = { ...PAUSE, by: 1n } as unknown as typeof PAUSE;
    await expect(ask(runs, wrong)).rejects.toThrow(TypeError);
    expect(requestsIn(runs)).toEqual([]);
  });

  it("is answered where a daemon runs", async () => {
    const { runs } = tempRoot();
    const daemon = fakeDaemon(runs, () => ({ accepted: false, reason: "it is paused already" }));
    expect(await ask(runs, PAUSE)).toMatchObject({
      kind: "answered",
      reply: { accepted: false, reason: "it is paused already" },
    });
    expect(daemon.taken).toEqual([PAUSE]);
  });

  it("is kept where none runs, and where it goes down before it answers", async () => {
    const { runs } = tempRoot();
    const clock = new VirtualClock();
    expect(await ask(runs, PAUSE, clock)).toMatchObject({ kind: "kept" });
    holdEpoch(runs);
    let answer: unknown;
    void ask(runs, PAUSE, clock).then((given) => (answer = given));
    await clock.until(() => clock.monotonic() > 0);
    holdEpoch(runs, { released: true });
    await clock.until(() => answer !== undefined);
    expect(answer).toMatchObject({ kind: "kept" });
    expect(requestsIn(runs)).toEqual([PAUSE, PAUSE]);
  });

  it("is answered where the daemon answers and ends between two looks", async () => {
    const { runs } = tempRoot();
    holdEpoch(runs);
    const { requests, replies } = new RunStore(runs);
    const clock = new VirtualClock();
    const monotonic = clock.monotonic.bind(clock);
    let isOver = false;
    // The time is asked for once a look has found no reply. From half a second on it is the last.
    clock.monotonic = () => {
      const now = monotonic();
      if (now >= 500 && !isOver) {
        isOver = true;
        mkdirSync(replies, { recursive: true });
        writeFileSync(`${replies}/${readdirSync(requests)[0]!}`, '{"accepted":true}\n');
        holdEpoch(runs, { released: true });
      }
      return now;
    };
    let answer: unknown;
    void ask(runs, PAUSE, clock).then((given) => (answer = given));
    await clock.until(() => answer !== undefined);
    expect(answer).toMatchObject({ kind: "answered", reply: { accepted: true } });
  });

  it("is met with silence for a minute, and the request stays", async () => {
    const { runs } = tempRoot();
    const clock = new VirtualClock({ turns: 1 });
    holdEpoch(runs);
    let answer: unknown;
    const asking = ask(runs, PAUSE, clock).then((given) => (answer = given));
    await clock.until(() => answer !== undefined);
    const [name] = readdirSync(new RunStore(runs).requests);
    expect(await asking).toEqual({ kind: "silent", id: name!.replace(/\.json$/, "") });
    expect(clock.monotonic()).toBe(60_000);
  });

  it("is waited for as long as the daemon gives a sign of its work", async () => {
    const { runs } = tempRoot();
    const { orchdDir } = new RunStore(runs);
    const clock = new VirtualClock({ turns: 1 });
    holdEpoch(runs);
    const told: string[] = [];
    let answer: unknown;
    void ask(runs, PAUSE, clock, ({ waiting }, id) => {
      told.push(`${id} ${waiting}`);
    }).then((given) => (answer = given));
    while (clock.timers === 0) await clock.settle();
    for (let minute = 0; minute < 10; minute += 1) {
      giveWorkSign(orchdDir, clock.now(), { waiting: 7, underWay: [] });
      await clock.advance(25_000);
    }
    expect(answer).toBeUndefined();
    expect(new Set(told)).toEqual(
      new Set([`${readdirSync(new RunStore(runs).requests)[0]!.replace(/\.json$/, "")} 7`]),
    );
    // A daemon that stands still gives no sign: then there is silence, after a minute.
    await clock.advance(31_000);
    expect(answer).toBeUndefined();
    await clock.advance(61_000);
    expect(answer).toMatchObject({ kind: "silent" });
  });

  it("is met by the run in the foreground that it names, and kept by any other", async () => {
    const { runs } = tempRoot();
    const clock = new VirtualClock();
    const stopOf = (run: string) =>
      ({ type: "stop", run, mode: "graceful", by: "a test" }) as const;
    holdEpoch(runs, { role: "foreground", run: RUN });
    expect(await ask(runs, PAUSE, clock)).toMatchObject({ kind: "kept" });
    expect(await ask(runs, stopOf(`${RUN}-r1`), clock)).toMatchObject({ kind: "kept" });
    expect(clock.monotonic()).toBe(0);
    let answer: unknown;
    void ask(runs, stopOf(RUN), clock).then((given) => (answer = given));
    await clock.until(() => answer !== undefined);
    expect([answer, clock.monotonic()]).toMatchObject([{ kind: "silent" }, 60_000]);
  });

  it("is told why where the request cannot be written", async () => {
    const { runs } = tempRoot();
    const store = new RunStore(runs);
    mkdirSync(store.orchdDir);
    writeFileSync(store.requests, "");
    expect(await ask(runs, PAUSE)).toMatchObject({ kind: "unwritten", error: { code: "ENOTDIR" } });
  });
});

it("a run in the foreground answers requests that name it, and no other", () => {
  const { runs } = tempRoot();
  expect(daemonRuns(runs)).toBe(false);
  holdEpoch(runs, { role: "foreground", run: RUN });
  expect([daemonRuns(runs), daemonRuns(runs, RUN), daemonRuns(runs, `${RUN}-r1`)]).toEqual([
    false,
    true,
    false,
  ]);
});

it("a program answers requests that name one of its runs, and no other", () => {
  const { runs } = tempRoot();
  holdEpoch(runs, { role: "program", runs: [`${RUN}-r1`, RUN] });
  expect([undefined, RUN, `${RUN}-r1`, `${RUN}-r2`].map((run) => daemonRuns(runs, run))).toEqual([
    false,
    true,
    true,
    false,
  ]);
});
