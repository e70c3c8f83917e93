/** The steps of a run, from launch to end: what is written, and what is done once it is durable. */
import { describe, expect, it } from "vitest";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import type { StagedValue, TaskResult } from "../../src/core/task.ts";
import type { TaskHandlers } from "../../src/places/place.ts";
import type { Preparation } from "../../src/run/step-preparation.ts";
import { stepSpec } from "../support/given-run.ts";
import { PlayedSteps, STARTS } from "../support/played-steps.ts";
import { moduleStep } from "../support/run-bench.ts";

const steps = () =>
  new PlayedSteps([moduleStep("a"), moduleStep("b"), stepSpec("far", { on: ["gpu"] })]);
const retrying = () =>
  new PlayedSteps([
    moduleStep("a", { retry: { maxRetries: 2, delayMs: 0, backoff: 1, jitter: 0 } }),
    moduleStep("b", { onInterruption: "rerun" }),
  ]);

const OK: TaskResult = { ok: true, value: 7 };
/** Its line would be too long. */
const LONG: TaskResult = { ok: true, value: "x".repeat(100_000) };
const bad = (outcome: "failed" | "stopped" | "timeout"): TaskResult => ({
  ok: false,
  outcome,
  error: { name: "Error", message: `it ${outcome}` },
});
const inFiles = (...files: readonly string[]): TaskResult => ({
  ok: true,
  staged: { value: 1, files: files.map((file) => ({ file })) } as unknown as StagedValue,
});
const failing = (message: string): Promise<never> => {
  const promise = Promise.reject(new Error(message));
  promise.catch(() => undefined);
  return promise;
};

describe("a launch", () => {
  it("keeps room, writes that it starts, and starts once that is durable", () => {
    const played = steps();
    expect(played.launch("a")).toEqual([
      "prepare a",
      "step.started a 1 (ready)",
      "promise module 1",
      "expect r",
      "now",
      "durable",
      "redeem module 1",
      "start r#3",
    ]);
    expect(played.launch("b", { share: 0.25, alone: true })).toEqual([
      "prepare b",
      "step.started b 1 (ready)",
      "promise module 0.25",
      "now",
      "durable",
      "redeem module 0.25",
      "start r#4 alone ahead",
    ]);
  });

  it("says the key and what was noticed, and hears where it begins if that is elsewhere", () => {
    const played = steps();
    played.preparations.set("far", { ...STARTS, cacheKey: "k", note: "no hit" } as Preparation);
    played.place.hasRoom = (lane) => lane === "shell@gpu";
    const said = played.launch("far");
    expect(said).toContain('step.started far 1 cacheKey="k" (ready; no hit)');
    expect(said.at(-1)).toBe("start r#3 placed");
    const at = { place: "p", host: "h", ref: "1" };
    const { placed } = played.handlers.get("r#3")!;
    expect(played.turn(() => placed!(at))).toEqual([
      'step.placed far 1 place="p" host="h" ref="1"',
    ]);
    played.ends("far", OK);
    expect(played.turn(() => placed!(at))).toEqual([]);
  });

  it("waits for room elsewhere with what it was prepared as, and only for its own attempt", () => {
    const played = steps();
    let room = 0;
    played.place.capacity = () => ({ "shell@gpu": room });
    expect(played.launch("far")).toEqual(["prepare far", "later"]);
    expect(played.launch("far")).toEqual(["later"]);
    expect(played.launch("far", { attempt: 2 })).toEqual(["prepare far", "later"]);
    room = 1;
    expect(played.launch("far", { attempt: 2 })[0]).toBe("step.started far 2 (ready)");
  });

  it("is prepared again after ten seconds without room: files of its key may change", async () => {
    const played = steps();
    let room = 0;
    played.place.capacity = () => ({ "shell@gpu": room });
    expect(played.launch("far")).toEqual(["prepare far", "later"]);
    await played.clock.advance(9_999);
    expect(played.launch("far")).toEqual(["later"]);
    await played.clock.advance(1);
    played.preparations.set("far", { ...STARTS, cacheKey: "new" } as Preparation);
    room = 1;
    const said = played.launch("far");
    expect(said.slice(0, 2)).toEqual(["prepare far", 'step.started far 1 cacheKey="new" (ready)']);
  });

  it("asks a place that knows of one lane, in place of its capacity", () => {
    const played = steps();
    played.place.hasRoom = () => false;
    played.place.capacity = () => ({ "shell@gpu": 9 });
    expect(played.launch("far").at(-1)).toBe("later");
    // On this machine the planner has counted.
    expect(played.launch("a").at(-1)).toBe("start r#3");
  });

  it.each<[string, Preparation, readonly string[]]>([
    ["skips", { kind: "skip", because: "no" }, ["step.skipped a (no)", "now"]],
    [
      "fails before any code runs",
      { kind: "fail", error: { name: "Error", message: "no input" } },
      ["step.started a 1 (ready)", 'step.failed a 1 "no input"', "replan"],
    ],
    ["does nothing where the run is ending", { kind: "dropped" }, ["later"]],
    [
      "uses an earlier result",
      {
        kind: "cached",
        hit: { source: { run: "q", step: "s" }, outputs: { result: 1 } },
        cacheKey: "k",
        because: "same",
      },
      ['step.cached a {"run":"q","step":"s"} outputs={"result":1} cacheKey="k" (same)', "now"],
    ],
    [
      "uses an earlier result that has no key",
      {
        kind: "cached",
        hit: { source: { run: "q", step: "s" }, outputs: {} },
        because: "same",
      },
      ['step.cached a {"run":"q","step":"s"} outputs={} (same)', "now"],
    ],
  ])("%s", (_name, preparation, said) => {
    const played = steps();
    played.preparations.set("a", preparation);
    expect(played.launch("a")).toEqual(["prepare a", ...said]);
  });

  it.each<[string, Preparation, readonly string[]]>([
    ["starts", STARTS, ["step.started a 1 (ready)"]],
    ["is prepared again where that was dropped", { kind: "dropped" }, ["prepare a"]],
  ])("that is prepared for a while %s", async (_name, preparation, first) => {
    const played = steps();
    played.preparations.set("a", Promise.resolve(preparation));
    expect(played.launch("a")).toEqual(["prepare a", "later"]);
    expect([...played.steps.launching]).toEqual(["a"]);
    expect(await played.later()).toEqual([]);
    expect([...played.steps.launching]).toEqual([]);
    expect(played.launch("a").slice(0, 1)).toEqual(first);
  });

  it("that finds no place fails, and while the daemon ends it is not heard of", () => {
    const played = steps();
    played.noStart = new Error("closed");
    played.launch("a");
    expect(played.turn()).toEqual(['step.failed a 1 "closed"', "durable", "settle r#3"]);
    played.draining = true;
    played.launch("b");
    expect(played.turn()).toEqual([]);
  });

  it("fails that waited too long, with the place's reason, and is prepared anew later", () => {
    const played = steps();
    played.place.hasRoom = () => false;
    played.place.whyNot = (lane) => `${lane} is full`;
    played.launch("far");
    expect(played.turn(() => played.steps.expire("far", "within 1m"))).toEqual([
      'step.failed far 1 "within 1m: shell@gpu is full" (within 1m)',
    ]);
    expect(played.launch("far", { attempt: 2 })[0]).toBe("prepare far");
  });
});

describe("an end", () => {
  const DURATION = "durationMs=1.235";
  const completed = `step.completed a 1 outputs={"result":7} ${DURATION}`;

  it.each<[string, TaskResult, readonly string[]]>([
    ["well", OK, [completed]],
    ["badly", bad("failed"), ['step.failed a 1 "it failed"']],
    ["by its time limit", bad("timeout"), ['step.failed a 1 "it timeout"']],
    // Nobody told it to.
    ["as told by nobody", bad("stopped"), ['step.failed a 1 "it stopped"']],
  ])("%s is written, and settled once that is durable", (_name, result, said) => {
    const played = steps();
    played.begin("a");
    expect(played.ends("a", result)).toEqual([...said, "durable", "settle r#3"]);
  });

  it("settles the ends of one turn together, and those of the next apart", () => {
    const played = steps();
    const [a, b] = [played.begin("a"), played.begin("b")];
    const both = (): void => {
      a.done(OK, 1, 0);
      b.done(bad("failed"), 1, 0);
    };
    expect(played.turn(both).slice(-2)).toEqual(["durable", "settle r#3 r#4"]);
    played.begin("far");
    expect(played.ends("far", OK).at(-1)).toBe("settle r#7");
  });

  it.each<[string, TaskResult, string]>([
    ["a long result", LONG, '"result":"xxx'],
    ["a result in files", inFiles("f1", "f2"), 'outputs={"result":1}'],
  ])("with %s is written when that is stored", async (_name, result, has) => {
    const played = steps();
    let stored!: () => void;
    played.storing = new Promise<void>((resolve) => (stored = resolve));
    played.begin("a");
    const adopted = "staged" in result ? ["adopt f1", "adopt f2"] : [];
    expect(played.ends("a", result)).toEqual(adopted);
    expect(played.steps.idle).toBe(false);
    expect(await played.later()).toEqual([]);
    stored();
    const said = await played.later();
    expect(said[0]).toContain(`step.completed a 1`);
    expect(said[0]).toContain(has);
    expect(said.slice(1)).toEqual(["durable", "settle r#3"]);
    expect(played.steps.idle).toBe(true);
  });

  it.each<[string, TaskResult]>([
    ["a long result", LONG],
    ["a result in files", inFiles("f1")],
  ])("with %s that cannot be stored fails the step", async (_name, result) => {
    const played = steps();
    played.storing = failing("the disk is gone");
    played.begin("a");
    played.ends("a", result);
    expect(await played.later()).toEqual([
      'step.failed a 1 "the disk is gone"',
      "durable",
      "settle r#3",
    ]);
  });

  it("is refused while its result is being stored, and where the step has moved on", async () => {
    const played = steps();
    let stored!: () => void;
    played.storing = new Promise<void>((resolve) => (stored = resolve));
    const a = played.begin("a");
    played.ends("a", LONG);
    const refused = (seq: number): string =>
      `step.result_refused a (a result came for the attempt that began at line ${seq}, ` +
      "which is no longer the current one)";
    expect(played.turn(() => a.done(OK, 1, 0))).toEqual([refused(3)]);
    played.happen({ type: "step.stopped", step: "a", attempt: 1, because: "told" });
    stored();
    expect(await played.later()).toEqual([refused(3), "durable", "settle r#3"]);
    const late = played.turn(() => a.done(inFiles("f1"), 1, 0));
    expect(late).toEqual(["discard f1", refused(3), "durable", "settle r#3"]);
  });

  it("that comes after the run's own end is in the log alone", () => {
    const played = steps();
    const a = played.begin("a");
    played.ends("a", OK);
    played.happen({ type: "run.finished", status: "completed", because: "all", durationMs: 1 });
    expect(played.turn(() => a.done(OK, 1, 0))).toEqual([
      "warn a result came for a run that has ended, and was refused",
      "durable",
      "settle r#3",
    ]);
  });

  it("that lacks a declared output fails the step", () => {
    const played = new PlayedSteps([moduleStep("a", { outputs: ["x"] })]);
    played.begin("a");
    expect(played.ends("a", OK)[0]).toContain('step.failed a 1 "step "a" declares the outputs x');
  });

  it("of a step that declares outputs has them as members, from files too", async () => {
    const played = new PlayedSteps([moduleStep("a", { outputs: ["x"] })]);
    played.begin("a");
    const result = { ok: true, staged: { value: { x: 1 }, files: [] } } as unknown as TaskResult;
    played.ends("a", result);
    expect((await played.later())[0]).toBe(`step.completed a 1 outputs={"x":1} ${DURATION}`);
  });
});

describe("a step that was told to end", () => {
  it("is told once its reason is durable, and ends as stopped for that reason", () => {
    const played = steps();
    played.begin("a");
    expect(played.turn(() => played.steps.stop("a", "graceful", "enough"))).toEqual([
      "durable",
      "stop r#3 graceful (enough)",
    ]);
    expect([...played.steps.told]).toEqual([["a", "graceful"]]);
    expect(played.ends("a", bad("stopped"))[0]).toBe("step.stopped a 1 (enough)");
  });

  it("has failed where it failed by itself, and completed where it was faster", () => {
    const played = steps();
    for (const step of ["a", "b"]) {
      played.begin(step);
      played.turn(() => played.steps.stop(step, "force", "enough"));
    }
    expect(played.ends("a", bad("failed"))[0]).toBe('step.failed a 1 "it failed"');
    expect(played.ends("b", OK)[0]).toContain("step.completed b");
  });

  it("is stopped where its runner died, whoever's fault that was", () => {
    for (const alone of [true, false]) {
      const played = steps();
      played.begin("a");
      played.turn(() => played.steps.stop("a", "force", "enough"));
      expect(played.dies("a", { alone })[0]).toBe("step.stopped a 1 (enough)");
    }
  });

  it("knows nothing of what an earlier attempt was told", () => {
    const played = retrying();
    played.begin("a");
    played.turn(() => played.steps.stop("a", "graceful", "enough"));
    played.ends("a", bad("failed"));
    played.begin("a", { attempt: 2 });
    expect(played.steps.told.size).toBe(0);
    expect(played.ends("a", bad("stopped"))[0]).toContain('step.failed a 2 "it stopped"');
  });
});

describe("a failure", () => {
  const ends = (played: PlayedSteps): string => {
    played.begin("a");
    return played.ends("a", bad("failed"))[0]!;
  };
  const at = 'retryAt="2026-11-23T02:00:00.000Z"';

  it.each([
    ["orchd", ` ${at} (retry 1 of 2 follows)`],
    ["orchestrator", ` ${at} (the orchestrator may ask for retry 1 of 2)`],
    ["nobody", ""],
  ] as const)("is followed by an attempt where %s starts it", (by, more) => {
    const played = retrying();
    played.retriedBy = by;
    expect(ends(played)).toBe(`step.failed a 1 "it failed"${more}`);
  });

  it("has a message that fits into a line", () => {
    const played = steps();
    played.begin("a");
    const error = { name: "Error", message: "m".repeat(1_000_000) };
    expect(played.ends("a", { ok: false, outcome: "failed", error })[0]!.length).toBeLessThan(
      100_000,
    );
  });
});

describe("a death of the runner", () => {
  const because = "it was killed";
  it.each([
    [{ alone: true }, `step.failed b 1 "step "b" ended its runner process: ${because}"`],
    [{ inFlight: ["x"] }, `step.failed b 1 "step "b" ended its runner process: ${because}"`],
    [{}, `step.interrupted b 1 next="rerun" (${because} with 2 pieces of work in it) alone=true`],
    [
      { behind: true },
      `step.interrupted b 1 next="rerun" (${because} with 2 pieces of work in it)`,
    ],
    [{ blameless: "lost" }, `step.interrupted b 1 next="rerun" (${because})`],
    [{ blameless: "unbegun" }, `step.interrupted b 1 next="rerun" (${because})`],
  ] as const)("with %j", (info, line) => {
    const played = retrying();
    played.begin("b");
    expect(played.dies("b", info)).toEqual([line, "durable", "settle r#3"]);
  });

  it.each([
    ["lost", `step.interrupted a 1 next="fail" (${because}; the step has no retries)`],
    ["unbegun", `step.interrupted a 1 next="rerun" (${because})`],
  ] as const)("counts where the machine was lost, not where nothing began: %s", (loss, line) => {
    const played = steps();
    played.begin("a");
    expect(played.dies("a", { blameless: loss })[0]).toBe(line);
  });
});

describe("the cache's index", () => {
  const KEYED = (key: string): Preparation => ({ ...STARTS, cacheKey: key }) as Preparation;

  it("hears what completed under a key, once that is durable, a turn at once", () => {
    const played = steps();
    played.preparations.set("a", KEYED("k1")).set("b", KEYED("k2"));
    const [a, b, far] = [played.begin("a"), played.begin("b"), played.begin("far")];
    const all = (): void => [a, far, b].forEach((one) => one.done(OK, 1, 0));
    expect(played.turn(all).slice(-3)).toEqual([
      "durable",
      "record a=k1 b=k2",
      "settle r#3 r#5 r#4",
    ]);
  });

  it("that cannot be written is told, and nothing else happens", () => {
    const played = steps();
    played.noIndex = new Error("no disk");
    played.preparations.set("a", KEYED("k1"));
    played.begin("a");
    expect(played.ends("a", OK)).toEqual([
      'step.completed a 1 outputs={"result":7} durationMs=1.235',
      "durable",
      "warn results could not be put into the cache's index",
      "settle r#3",
    ]);
  });

  it("hears of each turn its own", () => {
    const played = steps();
    played.preparations.set("a", KEYED("k1")).set("b", KEYED("k2"));
    for (const step of ["a", "b"]) played.begin(step);
    played.ends("a", OK);
    expect(played.ends("b", OK)).toContain("record b=k2");
  });
});

describe("while the daemon ends", () => {
  it("a step that hears it is interrupted, and counts by its retries", () => {
    const played = retrying();
    played.begin("a");
    played.draining = true;
    expect(played.ends("a", bad("stopped"))[0]).toBe(
      'step.interrupted a 1 next="retry" retryAt="2026-11-23T02:00:00.000Z" ' +
        "(the daemon was told to end)",
    );
  });

  it("what is too slow is interrupted and ended; what is elsewhere is told to end alone", () => {
    const played = steps();
    for (const step of ["a", "far"]) played.begin(step);
    expect(played.turn(() => played.steps.abandon())).toEqual([
      'step.interrupted a 1 next="fail" ' +
        "(the daemon was told to end and the step did not end in time; the step has no retries)",
      "durable",
      "stop r#3 force (the daemon ends)",
      "stop r#4 force (the daemon ends)",
    ]);
    expect(played.steps.idle).toBe(false);
    expect(played.ends("far", OK)[0]).toContain("step.completed far");
  });

  it("the end of what is elsewhere is waited for the grace period and 1 s more", async () => {
    const played = steps();
    played.begin("far");
    played.draining = true;
    played.turn(() => played.steps.abandon());
    await played.clock.advance(10_999);
    played.turn();
    expect(played.steps.idle).toBe(false);
    await played.clock.advance(1);
    played.turn();
    expect(played.steps.idle).toBe(true);
    expect(played.turn(() => played.steps.abandon())).toEqual([]);
  });

  it("what goes on without it, and what is being stored, is left alone", async () => {
    const played = steps();
    for (const step of ["a", "b"]) played.begin(step);
    played.living.add("r#3");
    let stored!: () => void;
    played.storing = new Promise<void>((resolve) => (stored = resolve));
    played.ends("b", LONG);
    expect(played.turn(() => played.steps.abandon())).toEqual([]);
    stored();
    expect((await played.later())[0]).toContain("step.completed b");
    expect(played.steps.idle).toBe(false);
    played.draining = true;
    expect(played.steps.idle).toBe(true);
  });

  it("the place hears nothing more of what goes on, and nothing of a run where all ended", () => {
    const played = steps();
    for (const step of ["a", "b"]) played.begin(step);
    played.ends("a", OK);
    expect(played.turn(() => played.steps.end())).toEqual(["leave r#4"]);
    const over = steps();
    over.begin("a");
    over.ends("a", OK);
    expect(over.turn(() => over.steps.end())).toEqual([]);
  });
});

describe("a ledger that broke", () => {
  it("ends what runs at once, and settles it with what was about to be", () => {
    const played = steps();
    const [a] = [played.begin("a"), played.begin("b")];
    played.said.length = 0;
    // Its line never becomes durable.
    played.steps.stop("b", "graceful", "enough");
    a.done(OK, 1, 0);
    expect(played.turn(() => played.steps.kill("broken")).slice(0, 2)).toEqual([
      "stop r#3 force (broken)",
      "stop r#4 force (broken)",
    ]);
    expect(played.said).toContain("settle r#3 r#4");
  });
});

describe("the next daemon", () => {
  it("interrupts what ran, by whether it may have begun", () => {
    const played = retrying();
    for (const step of ["a", "b"]) played.begin(step);
    played.living.add("r#3");
    expect(played.turn(() => played.steps.interruptAll())).toEqual([
      'step.interrupted a 1 next="retry" retryAt="2026-11-23T02:00:00.000Z" ' +
        "(the daemon ended while it was running)",
      'step.interrupted b 1 next="rerun" (the daemon ended before it had begun)',
    ]);
  });

  it("takes all as begun where the place begins none ahead", () => {
    const played = steps();
    delete played.place.ahead;
    played.begin("a");
    expect(played.turn(() => played.steps.interruptAll())[0]).toContain("while it was running");
  });

  it("takes a step as begun that had a runner to itself", () => {
    const played = steps();
    played.happen({ type: "step.started", step: "a", attempt: 1, because: "ready" });
    played.happen({
      type: "step.interrupted",
      step: "a",
      attempt: 1,
      next: "rerun",
      alone: true,
      because: "its runner died",
    });
    played.begin("a", { alone: true });
    expect(played.turn(() => played.steps.interruptAll())[0]).toContain("while it was running");
  });

  /** Steps in containers and elsewhere, as an earlier daemon left them. */
  const left = (): PlayedSteps => {
    const container = { image: "i" } as unknown as SnapshotStep["container"];
    const played = new PlayedSteps([
      moduleStep("a"),
      stepSpec("c1", { container }),
      stepSpec("c2", { container }),
      stepSpec("far", { on: ["gpu"] }),
    ]);
    for (const step of ["a", "c1", "c2", "far"])
      played.happen({ type: "step.started", step, attempt: 1, because: "ready" });
    return played;
  };
  const ENDED = (step: string): string =>
    `step.interrupted ${step} 1 next="fail" (the daemon ended while it was running; ` +
    "the step has no retries)";

  it("goes on with those in containers that live, and asks other machines meanwhile", async () => {
    const played = left();
    played.living.add("r#3").add("r#4").add("r#5");
    let answer!: (ids: ReadonlySet<string>) => void;
    played.place.adopt = (ids) => {
      played.say("adopt", ...ids);
      if (!ids.includes("r#6")) return Promise.resolve(new Set(["r#4"]));
      return new Promise((resolve) => (answer = resolve));
    };
    await played.steps.adopt();
    expect(played.said).toEqual(["adopt r#6", "adopt r#4 r#5"]);
    expect(played.turn(() => played.steps.interruptAll())).toEqual([ENDED("a"), ENDED("c2")]);
    // It is told again once its machine answers.
    expect(played.turn(() => played.steps.stop("far", "graceful", "enough"))).toEqual([
      "durable",
      "stop r#6 graceful (enough)",
    ]);
    answer(new Set(["r#6"]));
    await played.arrival();
    expect(await played.later()).toEqual(["stop r#6 graceful (enough)"]);
  });

  it.each<[string, boolean, boolean, (played: PlayedSteps) => void, readonly string[]]>([
    ["lives goes on", true, true, () => undefined, []],
    ["is gone is interrupted", false, true, () => undefined, [ENDED("far")]],
    [
      "never began starts again",
      false,
      false,
      () => undefined,
      ['step.interrupted far 1 next="rerun" (the daemon ended before it had begun)'],
    ],
    [
      "is gone, and was told to end, is stopped",
      false,
      true,
      (played) => played.steps.stop("far", "force", "enough"),
      ["step.stopped far 1 (enough)"],
    ],
    [
      "ended meanwhile stays so",
      false,
      true,
      (played) => played.happen({ type: "step.stopped", step: "far", attempt: 1, because: "x" }),
      [],
    ],
  ])(
    "hears of another machine that a step there %s",
    async (_name, lives, begun, meanwhile, said) => {
      const played = left();
      if (begun) played.living.add("r#6");
      played.place.adopt = (ids) => Promise.resolve(new Set(lives ? ids : []));
      const adopted = played.steps.adopt();
      meanwhile(played);
      await adopted;
      played.durable();
      expect(await played.later()).toEqual(said);
    },
  );

  it("hears the ends of steps that go on, under the tokens that they had", async () => {
    const played = left();
    const handlers = new Map<string, TaskHandlers>();
    played.place.adopt = (ids, handlersOf) => {
      for (const id of ids) handlers.set(id, handlersOf(id));
      return Promise.resolve(new Set(ids));
    };
    await played.steps.adopt();
    await played.arrival();
    played.turn();
    expect(played.turn(() => handlers.get("r#4")!.done(OK, 1, 0))).toEqual([
      'step.completed c1 1 outputs={"result":7} durationMs=1',
      "durable",
      "settle r#4",
    ]);
    const death = { inFlight: ["x"], alone: false, because: "it was killed", code: "C" };
    expect(played.turn(() => handlers.get("r#6")!.died(death))[0]).toBe(
      'step.failed far 1 "step "far" ended its runner process: it was killed"',
    );
    const placed = { place: "p", host: "h", ref: "1" };
    expect(played.turn(() => handlers.get("r#5")!.placed!(placed))).toEqual([
      'step.placed c2 1 place="p" host="h" ref="1"',
    ]);
  });
});
