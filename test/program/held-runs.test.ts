/**
 * The runs of a root that a program holds, beside a played root: what is refused before anything is
 * written, what the ledger is told of a submission, and when a program is answered.
 */
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import type { Json, OrchestratorRef, Snapshot } from "../../src/core/snapshot.ts";
import type { HeldRoot } from "../../src/engine/held-root.ts";
import { DEFAULT_CAPABILITIES } from "../../src/orchestrators/capabilities.ts";
import { BaseOrchestrator, LocalOrchestrator, Stack } from "../../src/index.ts";
import type { Flavor } from "../../src/orchestrators/flavors.ts";
import { HeldRuns } from "../../src/program/held-runs.ts";
import { NamedOrchestrator } from "../../src/program/named-orchestrator.ts";
import type { ProgramSubmission } from "../../src/program/root-runs.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";
import { givenSubmission } from "../support/given-submission.ts";
import { pipelineOf } from "../support/engine-rig.ts";

/** What `stopRun` of the run's orchestrator could not do. */
let failure: string | undefined;
let looked: unknown[];
vi.mock("../../src/views/stop-answer.ts", () => ({
  orchestratorFailure: (...given: unknown[]) => {
    looked.push(given);
    return Promise.resolve(failure);
  },
}));
beforeEach(() => {
  failure = undefined;
  looked = [];
});

const ID = "p@20261123T020000Z";
const STEPS = [stepSpec("one"), stepSpec("two")];
const ENDED: RunEvent = {
  type: "run.finished",
  status: "failed",
  because: "of the test",
  durationMs: 1,
};

/** A run that the root holds, and what it was told. */
class Played {
  readonly given: GivenRun;
  readonly id = ID;
  isStarted = false;
  /** How often its state was looked at. */
  looks = 0;
  readonly told: unknown[][] = [];
  readonly finished: Promise<void>;
  /** What the run does once it is started. */
  begun: (flavor: Flavor) => void = () => undefined;
  /** What happens while its orchestrator is asked for. */
  meanwhile: () => void = () => undefined;
  answer: { accepted: boolean; reason?: string } = { accepted: true };
  end!: () => void;
  leave!: () => void;

  constructor(more: Partial<Snapshot> = {}) {
    this.given = new GivenRun(snapshotOf(STEPS, more));
    this.finished = new Promise((resolve, reject) => {
      this.end = resolve;
      this.leave = () => reject(new Error("left to the next daemon"));
    });
    this.finished.catch(() => undefined);
  }

  get state() {
    this.looks += 1;
    return this.given.state;
  }

  start(because: string, given: unknown, flavor: Flavor): Promise<void> {
    this.isStarted = true;
    this.told.push(["start", because, given, flavor.name]);
    this.begun(flavor);
    return Promise.resolve();
  }

  requestStop(order: object): Promise<object> {
    this.told.push(["stop", order]);
    this.given.happen({ type: "run.stop_requested", mode: "graceful", by: "program" });
    return Promise.resolve(this.answer);
  }
}

/** A root with this run. */
function rootWith(run: Played | undefined, named: Partial<Flavor> = {}) {
  const told: unknown[][] = [];
  const held = {
    store: "the store",
    run: (id: string) => (id === run?.id ? run : undefined),
    reserve: (loaded: object, order: object) => {
      told.push(["reserve", loaded, order]);
      return Promise.resolve(
        run === undefined ? { ok: false, reason: "no room" } : { ok: true, run },
      );
    },
    flavor: ({ flavor: name }: OrchestratorRef): Promise<Flavor> => {
      told.push(["flavor", name]);
      run?.meanwhile();
      return Promise.resolve({ ...FLAVOR, name, ...named });
    },
    close: (mode: string) => Promise.resolve(void told.push(["close", mode])),
  };
  return { runs: new HeldRuns(held as unknown as HeldRoot), told };
}

const FLAVOR: Flavor = {
  name: "",
  capabilities: DEFAULT_CAPABILITIES,
  environment: {},
  hasStopRun: false,
  declaresStop: false,
};
const CODED = { flavor: "mine", config: {}, code: { bundle: "b", pick: "p", source: "s" } };

/** An orchestrator that the program holds. */
class Live extends BaseOrchestrator {
  static flavor = "live";
  seen: unknown[] = [];
  result: unknown = undefined;
  override getOrchestratorRunId(): string {
    return `live of ${process.env["ORCHD_RUN_ID"]} in ${process.env["ORCHD_PIPELINE"]}`;
  }
  override submitPipeline(submission: { placeholderRun: object }): Promise<never> {
    this.seen.push(submission.placeholderRun);
    return Promise.resolve(this.result) as Promise<never>;
  }
}
class Telling extends Live {
  override fetchStatus(run: object, options: object): Promise<object> {
    this.seen.push(run, options);
    return Promise.resolve({ status: "running" });
  }
}

/** Calls a live instance as the run-loop does, with these answers for what it asks. */
const callLive = (flavor: Flavor, answers: (name: string, given: Json) => Json = () => null) =>
  flavor.live!.call(
    "submitPipeline",
    { snapshot: {}, stack: { name: "s" }, placeholderRun: { id: ID } },
    (name, argument) => Promise.resolve(answers(name, argument)),
    "/nowhere",
  );

describe("a placeholder", () => {
  it("is a run that is reserved with what the program gave", async () => {
    const { runs, told } = rootWith(new Played());
    const loaded = pipelineOf("p", []);
    expect(await runs.placeholder(loaded, { params: { a: 1 }, noCache: true })).toEqual({
      id: ID,
      pipeline: "p",
      status: "initializing",
      orchestratorRunId: "o",
      params: {},
      metadata: {},
    });
    const because = "asked for by a program that holds the root";
    const order = { params: { a: 1 }, noCache: true, because, placeholder: true };
    expect(told).toEqual([["reserve", loaded, order]]);
    await expect(rootWith(undefined).runs.placeholder(loaded, {})).rejects.toThrow("no room");
  });
});

describe("a submission is refused", () => {
  class Bare extends Live {}
  Object.defineProperty(Bare.prototype, "getOrchestratorRunId", { value: undefined });
  class Idle extends Live {}
  Object.defineProperty(Idle.prototype, "submitPipeline", { value: undefined });
  class Taken extends LocalOrchestrator {
    override submitPipeline(): Promise<undefined> {
      return Promise.resolve(undefined);
    }
  }
  const far: OrchestratorRef = { flavor: "far", place: true, config: {} };
  const other = "pipeline p does not run on far: write orchestrator: far into it.";
  const stop: RunEvent = { type: "run.stop_requested", mode: "graceful", by: "me" };
  const wide = (letters: number) => ({ baseEnvironment: { A: "x".repeat(letters) } });

  it.each<[string, (run: Played) => Partial<ProgramSubmission> | void, string]>([
    ["twice", (run) => void (run.isStarted = true), `run ${ID} was submitted already`],
    ["after a stop", (run) => void run.given.happen(stop), `run ${ID} was stopped`],
    [
      "to a place where its steps do not run",
      () => ({ orchestrator: new NamedOrchestrator("far", far, FLAVOR) }),
      other,
    ],
    [
      "to a class that calls itself local",
      () => ({ orchestrator: new Taken() }),
      'the name "local" is taken: let the class extend BaseOrchestrator, ' +
        "with a flavor of its own.",
    ],
    [
      "to a class without an id",
      () => ({ orchestrator: new Bare() }),
      "the orchestrator live has no getOrchestratorRunId, which every orchestrator needs.",
    ],
    [
      "to a class that submits nothing",
      () => ({ orchestrator: new Idle() }),
      "the orchestrator live has no submitPipeline, which every orchestrator needs.",
    ],
    [
      "in a mode that its orchestrator has not",
      (run) => void Object.assign(run.state.snapshot, { executionMode: "fail_fast" }),
      "executionMode is refused: the orchestrator local does not support the execution mode " +
        "fail_fast; it supports continue_on_failure",
    ],
    [
      "with the environment of a step that is not there",
      () => ({ stepEnvironments: { one: { A: "" }, tow: { A: "" } } }),
      'stepEnvironments names "tow", and pipeline p has no such step; did you mean "two"?',
    ],
    [
      "with more than a line may hold",
      () => wide(65_536 - 49),
      "what is given with the submission is larger than 64 KiB: use a file.",
    ],
  ])("%s", async (_, make, sentence) => {
    const run = new Played();
    const more = make(run) ?? {};
    const submitted = rootWith(run).runs.submit(ID, givenSubmission(more));
    await expect(submitted).rejects.toMatchObject({ message: sentence });
    expect(run.told).toEqual([]);
    // One byte less is taken.
    if (more.baseEnvironment === undefined) return;
    run.end();
    await rootWith(run).runs.submit(ID, givenSubmission(wide(65_536 - 50)));
    expect(run.told).toHaveLength(1);
  });

  it("if the run is not there any more, as are a stop and its second submission", async () => {
    const { runs } = rootWith(undefined);
    const over = `run ${ID} has finished already`;
    await expect(runs.submit(ID, givenSubmission())).rejects.toThrow(over);
    await expect(runs.stop(ID, "force")).rejects.toThrow(over);
    await expect(runs.finished(ID)).resolves.toBeUndefined();
    const run = new Played();
    const twice = rootWith(run).runs;
    const both = await Promise.allSettled([
      twice.submit(ID, givenSubmission()),
      twice.submit(ID, givenSubmission()),
    ]);
    const reason = new Error(`run ${ID} was submitted already`);
    expect(both).toMatchObject([{ status: "fulfilled" }, { status: "rejected", reason }]);
    expect(run.told).toHaveLength(1);
  });

  it("after a stop that came while its orchestrator was asked for", async () => {
    const run = new Played();
    run.meanwhile = () => void run.given.happen(stop);
    await expect(rootWith(run).runs.submit(ID, givenSubmission())).rejects.toThrow(
      `run ${ID} was stopped`,
    );
    expect(run.told).toEqual([]);
  });

  it("to a place only where another one was compiled into the steps", async () => {
    for (const [orchestrator, isTaken] of [
      [far, true],
      [{ ...far, flavor: "other" }, false],
      [{ flavor: "far", config: {} }, false],
    ] as const) {
      const run = new Played({ orchestrator });
      const submitted = rootWith(run).runs.submit(
        ID,
        givenSubmission({ orchestrator: new NamedOrchestrator("far", far, FLAVOR) }),
      );
      if (isTaken) await submitted;
      else await expect(submitted).rejects.toThrow(other);
      expect(run.told).toHaveLength(isTaken ? 1 : 0);
    }
  });
});

describe("the ledger is told of a submission", () => {
  const env = { A: "1" };
  it.each<[string, Partial<Snapshot>, () => Partial<ProgramSubmission>, object | undefined]>([
    ["nothing that the header says", {}, () => ({}), undefined],
    [
      "nothing of a stack's environment that the header has",
      { stackEnv: env },
      () => ({ stackEnvironment: { ...env } }),
      undefined,
    ],
    ["another stack's environment", { stackEnv: env }, () => ({}), { stackEnvironment: {} }],
    ["a base environment", {}, () => ({ baseEnvironment: env }), { baseEnvironment: env }],
    [
      "the environments of steps",
      {},
      () => ({ stepEnvironments: { two: env } }),
      { stepEnvironments: { two: env } },
    ],
    [
      "another orchestrator, without its code",
      {},
      () => ({ orchestrator: new Live({ a: 1, f: () => 1 }) }),
      { orchestrator: { flavor: "live", config: { a: 1 } } },
    ],
    [
      "that it is local, where the header names another",
      { orchestrator: { flavor: "other", config: {} } },
      () => ({}),
      { orchestrator: { flavor: "local", config: {} } },
    ],
  ])("%s", async (_, snapshot, more, line) => {
    const run = new Played(snapshot);
    run.end();
    await rootWith(run).runs.submit(ID, givenSubmission(more()));
    const told = line === undefined ? undefined : { type: "submit.given", ...line };
    const { flavor } = (told as { orchestrator?: OrchestratorRef } | undefined)?.orchestrator ?? {};
    expect(run.told).toEqual([["start", "its program submitted it", told, flavor ?? "local"]]);
  });

  it("the hooks that the class has, where they differ from the header's", async () => {
    const hooks = { init: true, cleanup: false, callsInit: false };
    for (const [before, line] of [
      [undefined, { type: "submit.given", orchestratorHooks: ["init"] }],
      [["init"], undefined],
      [["init", "cleanup"], { type: "submit.given", orchestratorHooks: ["init"] }],
    ] as const) {
      const run = new Played();
      Object.assign(run.state, { orchestratorHooks: before ?? [] });
      await rootWith(run, { hooks }).runs.submit(ID, givenSubmission());
      expect(run.told[0]![2]).toEqual(line);
    }
  });
});

describe("a program is answered", () => {
  const accepted = (metadata: { [key: string]: Json } = {}): RunEvent => ({
    type: "submit.accepted",
    metadata,
  });

  it("by local at once, and of the end when the run has ended", async () => {
    const run = new Played();
    const { runs } = rootWith(run);
    const { metadata, waitForCompletion } = await runs.submit(ID, givenSubmission());
    expect(metadata).toEqual({});
    const order: string[] = [];
    const ended = waitForCompletion!().then(() => order.push("told"));
    const also = runs.finished(ID).then(() => order.push("finished"));
    await new Promise(setImmediate);
    expect(order).toEqual([]);
    run.end();
    await Promise.all([ended, also]);
    expect(order.toSorted()).toEqual(["finished", "told"]);
  });

  it("by a class in a runner once the ledger says how it answered", async () => {
    const submitted = (run: Played) => {
      const { ref } = { ref: CODED };
      const orchestrator = new NamedOrchestrator("mine", ref, FLAVOR);
      return rootWith(run, { ref }).runs.submit(ID, givenSubmission({ orchestrator }));
    };
    const error = { name: "Error", message: "it has no room" };
    const well = new Played();
    let isAnswered = false;
    const answer = submitted(well).finally(() => (isAnswered = true));
    well.given.happen({ type: "submit.started" });
    await vi.waitFor(() => expect(well.isStarted).toBe(true));
    const { looks } = well;
    await vi.waitFor(() => expect(well.looks).toBeGreaterThan(looks + 1));
    expect(isAnswered).toBe(false);
    well.given.happen(accepted({ id: 7 }));
    expect((await answer).metadata).toEqual({ id: 7 });
    const refused = new Played();
    refused.given.happen({ type: "submit.started" }, { type: "submit.failed", error });
    await expect(submitted(refused)).rejects.toThrow(error.message);
    const cut = new Played();
    cut.given.happen({ type: "submit.started" }, ENDED);
    cut.end();
    await expect(submitted(cut)).rejects.toThrow(
      `run ${ID} ended before its orchestrator had accepted it: of the test`,
    );
    // The cache answered each step.
    const unasked = new Played();
    unasked.given.happen(ENDED);
    unasked.leave();
    expect((await submitted(unasked)).metadata).toEqual({});
  });

  it("by an instance with what it gave, once the ledger has it", async () => {
    vi.stubEnv("ORCHD_PIPELINE", "another");
    onTestFinished(() => void vi.unstubAllEnvs());
    const run = new Played();
    const calls: unknown[] = [];
    let done!: () => void;
    const orchestrator = new Live();
    orchestrator.result = {
      metadata: { a: 1 },
      waitForCompletion() {
        calls.push(this === orchestrator.result);
        return new Promise<void>((resolve) => (done = resolve));
      },
    };
    const asked: unknown[] = [];
    run.begun = (flavor) =>
      void callLive(flavor, (name, argument) => {
        asked.push([name, argument]);
        return name === "identify" ? argument : null;
      });
    const { metadata, waitForCompletion } = await rootWith(run).runs.submit(
      ID,
      givenSubmission({ orchestrator }),
    );
    const id = `live of ${ID} in p`;
    expect(asked).toEqual([
      ["identify", id],
      ["accepted", { orchestratorRunId: id, metadata: { a: 1 }, waits: true }],
    ]);
    expect(orchestrator.seen).toEqual([{ id: ID, orchestratorRunId: id }]);
    expect([process.env["ORCHD_RUN_ID"], process.env["ORCHD_PIPELINE"]]).toEqual([
      undefined,
      "another",
    ]);
    expect(metadata).toEqual({ a: 1 });
    let isOver = false;
    const over = waitForCompletion!().then(() => (isOver = true));
    // The run-loop waits too, and the instance is asked once.
    expect(calls).toEqual([true]);
    run.end();
    await new Promise(setImmediate);
    expect(isOver).toBe(false);
    done();
    await over;
  });

  it("by an instance with what it threw, or that its run ended before", async () => {
    class Broken extends Live {
      override submitPipeline(): Promise<never> {
        return Promise.reject(new TypeError("no cluster"));
      }
    }
    const run = new Played();
    run.begun = (flavor) => void callLive(flavor).catch(() => undefined);
    const broken = rootWith(run).runs.submit(ID, givenSubmission({ orchestrator: new Broken() }));
    await expect(broken).rejects.toThrow(new TypeError("no cluster"));
    const cut = new Played();
    cut.begun = () => {
      cut.given.happen({ type: "submit.started" }, ENDED);
      cut.end();
    };
    await expect(
      rootWith(cut).runs.submit(ID, givenSubmission({ orchestrator: new Live() })),
    ).rejects.toThrow("ended before its orchestrator had accepted it");
  });
});

describe("how a run stands elsewhere", () => {
  const known = { id: ID, pipeline: "p", status: "running" } as never;
  const submitted = async (orchestrator: Live) => {
    const run = new Played();
    run.begun = (flavor) => void callLive(flavor);
    const { runs } = rootWith(run);
    await runs.submit(ID, givenSubmission({ orchestrator }));
    orchestrator.seen = [];
    return { run, runs };
  };

  it.each(["end", "leave"] as const)("is asked of its instance until its %s", async (how) => {
    const orchestrator = new Telling();
    const { run, runs } = await submitted(orchestrator);
    run.given.happen({ type: "submit.identified", orchestratorRunId: "there" });
    expect(await runs.elsewhere(known, true)).toEqual({ status: "running" });
    expect(orchestrator.seen).toMatchObject([
      { id: ID, orchestratorRunId: "there" },
      { includeSteps: true },
    ]);
    run[how]();
    await new Promise(setImmediate);
    orchestrator.seen = [];
    expect(await runs.elsewhere(known, true)).toBeUndefined();
    expect(orchestrator.seen).toEqual([]);
  });

  it("is not asked of one that cannot say", async () => {
    const orchestrator = new Live();
    const { runs } = await submitted(orchestrator);
    expect(await runs.elsewhere(known, true)).toBeUndefined();
  });
});

describe("a stop", () => {
  it("is asked in the program's name, and says what the orchestrator could not do", async () => {
    const run = new Played();
    const { runs } = rootWith(run);
    await runs.stop(ID, "force");
    expect(run.told).toEqual([["stop", { mode: "force", by: "program" }]]);
    // From the line before the stop.
    expect(looked).toEqual([["the store", ID, 1]]);
    failure = "the cluster is away";
    await expect(runs.stop(ID, "graceful")).rejects.toThrow(failure);
    run.answer = { accepted: false, reason: "it ended" };
    await expect(runs.stop(ID, "graceful")).rejects.toThrow("it ended");
    expect(looked).toHaveLength(2);
  });

  it("of all of them is the root's", async () => {
    const { runs, told } = rootWith(undefined);
    await runs.close("force");
    await runs.close("graceful");
    expect(told).toEqual([
      ["close", "force"],
      ["close", "graceful"],
    ]);
  });
});

describe("a live submission", () => {
  const live = async (orchestrator: Live, stack?: Stack): Promise<Flavor> => {
    const run = new Played();
    let found!: Flavor;
    run.begun = (flavor) => void (found = flavor);
    void rootWith(run).runs.submit(ID, givenSubmission({ orchestrator, stack }));
    await vi.waitFor(() => expect(run.isStarted).toBe(true));
    return found;
  };

  it("gives the instance a copy, and the stack that the program gave", async () => {
    class Writing extends Live {
      override submitPipeline(submission: never): Promise<never> {
        const { snapshot, stack } = submission as { snapshot: { a?: number }; stack: Stack };
        this.seen.push(stack);
        snapshot.a = 2;
        return Promise.resolve(undefined) as unknown as Promise<never>;
      }
    }
    const orchestrator = new Writing();
    const stack = new Stack({ name: "mine", orchestrator });
    const argument = { snapshot: { a: 1 }, stack: { name: "s" }, placeholderRun: { id: ID } };
    for (const [own, name] of [
      [stack, "mine"],
      [undefined, "s"],
    ] as const) {
      const flavor = await live(orchestrator, own);
      const call = ["submitPipeline", argument as Json, () => Promise.resolve(null), "/x"] as const;
      await flavor.live!.call(...call);
      expect((orchestrator.seen.at(-1) as Stack).name).toBe(name);
      expect(argument.snapshot).toEqual({ a: 1 });
    }
  });

  it("records no more metadata than a ledger's line may hold", async () => {
    const orchestrator = new Live();
    orchestrator.result = { metadata: { a: "x".repeat(1024 * 1024) } };
    await expect(callLive(await live(orchestrator))).rejects.toThrow(/at most \d+ KiB can be/);
  });
});
