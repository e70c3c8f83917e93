/**
 * The steps of one run beside played parts: the place, the journal, the artifacts and the cache's
 * index say in one list what they are asked for. A turn's lines come first, then `durable`, then
 * what these lines allow.
 */
import { defined } from "../../src/core/defined.ts";
import type { RunEvent } from "../../src/core/event.ts";
import { evolve, evolveEvent } from "../../src/core/run-fold.ts";
import type { RunState } from "../../src/core/run-state.ts";
import type { Json, SnapshotStep } from "../../src/core/snapshot.ts";
import type { Task, TaskResult } from "../../src/core/task.ts";
import type { Flavor } from "../../src/orchestrators/flavors.ts";
import type { DeathInfo, Place, StartOptions, TaskHandlers } from "../../src/places/place.ts";
import { RunEnvironment } from "../../src/run/environment.ts";
import type { ResultCache } from "../../src/run/result-cache.ts";
import type { RunDeps } from "../../src/run/run-deps.ts";
import type { RunParts } from "../../src/run/run-parts.ts";
import type { Preparation } from "../../src/run/step-preparation.ts";
import { StepRuns, type RetriedBy } from "../../src/run/step-runs.ts";
import { snapshotOf } from "./given-run.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** A step that starts. */
export const STARTS: Preparation = { kind: "start", task: { kind: "module" } as unknown as Task };

const NO_SECRETS = {
  get: (name: string): string => {
    throw new Error(`there is no secret ${name}`);
  },
};

/** Plays all that the steps of a run touch. */
export class PlayedSteps {
  readonly said: string[] = [];
  readonly clock = new VirtualClock();
  readonly state: RunState;
  readonly steps: StepRuns;
  readonly handlers = new Map<string, TaskHandlers>();
  /** What each step is prepared as. Default: {@link STARTS}. */
  readonly preparations = new Map<string, Preparation | Promise<Preparation>>();
  /** What storing a result meets. */
  storing: Promise<unknown> = Promise.resolve();
  draining = false;
  retriedBy: RetriedBy = "orchd";
  /** What the place throws when a task is to start. */
  noStart: Error | undefined;
  /** What the cache's index throws. */
  noIndex: Error | undefined;
  readonly living = new Set<string>();
  readonly place: { -readonly [name in keyof Place]?: Place[name] };
  #acts: (() => void)[] = [];
  #arrivals: (() => void)[] = [];
  readonly #waiting: (() => void)[] = [];

  constructor(steps: readonly SnapshotStep[]) {
    this.state = evolve(undefined, {
      type: "run.submitted",
      format: 1,
      run: "r",
      pipeline: "p",
      orchestratorRunId: "o",
      trigger: { kind: "manual" },
      params: {},
      snapshot: snapshotOf(steps),
      tags: [],
      seq: 1,
      b: 1,
      at: new Date(this.clock.now()).toISOString(),
    })!;
    this.#fold({ type: "run.started", because: "it may" });
    this.place = this.#place();
    const flavor = { capabilities: { enableCache: true } } as unknown as Flavor;
    const record: ResultCache["record"] = (completed) => {
      if (this.noIndex !== undefined) throw this.noIndex;
      this.say("record", ...completed.map(([key, { step }]) => `${step}=${key}`));
    };
    const results = { record } as unknown as ResultCache;
    this.steps = new StepRuns(this.#parts(), flavor, results, () => this.retriedBy);
    this.steps.prepare = (id) => {
      this.say("prepare", id);
      return this.preparations.get(id) ?? STARTS;
    };
  }

  say(...words: readonly unknown[]): void {
    this.said.push(words.filter((word) => word !== undefined && word !== "").join(" "));
  }

  /** A turn of the run, and the one that makes its lines durable. @returns all that was said */
  turn(act: () => void = () => undefined): string[] {
    this.said.length = 0;
    act();
    for (const arrival of this.#arrivals.splice(0)) arrival();
    this.steps.endTurn();
    this.durable();
    return [...this.said];
  }

  /** What was emitted is durable. */
  durable(): void {
    if (this.#acts.length === 0) return;
    this.say("durable");
    for (const act of this.#acts.splice(0)) act();
  }

  /** The next turn, once what is awaited has come. */
  async later(): Promise<string[]> {
    for (let n = 0; n < 20; n += 1) await Promise.resolve();
    return this.turn();
  }

  /** Something has come for the next turn. */
  async arrival(): Promise<void> {
    if (this.#arrivals.length === 0)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Starts a step's next attempt. @returns all that was said */
  launch(step: string, more: { alone?: boolean; share?: number; attempt?: number } = {}): string[] {
    const action = { kind: "launch", attempt: 1, alone: false, because: "ready", ...more } as const;
    return this.turn(() => this.say(this.steps.launch({ ...action, step })));
  }

  /** A step that runs, with its handlers. */
  begin(step: string, more: Parameters<PlayedSteps["launch"]>[1] = {}): TaskHandlers {
    this.launch(step, more);
    return this.handlers.get(`r#${this.state.steps.get(step)!.token}`)!;
  }

  /** A step that is started ends like this. @returns all that was said */
  ends(step: string, result: TaskResult): string[] {
    return this.turn(() => this.#handlersOf(step).done(result, 1.23456, 0));
  }

  /** A step that is started dies with its runner. @returns all that was said */
  dies(step: string, info: Partial<DeathInfo> = {}): string[] {
    const death = { inFlight: ["x", "y"], alone: false, because: "it was killed", code: "C" };
    return this.turn(() => this.#handlersOf(step).died({ ...death, ...info }));
  }

  /** Something that the run's ledger says. */
  happen(event: RunEvent): void {
    this.#fold(event);
  }

  #handlersOf(step: string): TaskHandlers {
    return this.handlers.get(`r#${this.state.steps.get(step)!.token}`)!;
  }

  #fold(event: RunEvent): string {
    const at = new Date(this.clock.now()).toISOString();
    evolveEvent(this.state, event, this.state.lastSeq + 1, at);
    return at;
  }

  #emit(event: RunEvent): string {
    const {
      type,
      step,
      attempt,
      at: _at,
      error,
      source,
      ...rest
    } = event as RunEvent & Record<string, Json | undefined>;
    const message = (error as { message?: string } | undefined)?.message;
    const more = Object.entries(rest).map(([name, value]) =>
      name === "because" ? `(${value as string})` : `${name}=${JSON.stringify(value)}`,
    );
    const from = source === undefined ? undefined : JSON.stringify(source);
    this.say(type, step, attempt, message === undefined ? "" : `"${message}"`, from, ...more);
    return this.#fold(event);
  }

  #place(): PlayedSteps["place"] {
    return {
      capacity: () => ({ "shell@gpu": 4 }),
      promise: (lane, share) => this.say("promise", lane, share),
      redeem: (lane, share) => this.say("redeem", lane, share),
      start: (id, _task, handlers, { alone, ahead }: StartOptions = {}) => {
        const marks = [alone && "alone", ahead && "ahead", handlers.placed && "placed"];
        this.say("start", id, ...marks.filter(Boolean));
        if (this.noStart !== undefined) throw this.noStart;
        this.handlers.set(id, handlers);
      },
      stop: (id, mode, because) => this.say("stop", id, mode, `(${because})`),
      forget: () => undefined,
      leave: (ids) => this.say("leave", ...ids),
      outlives: (id) => this.living.has(id),
      ahead: {
        share: () => 1,
        expect: (run) => this.say("expect", run),
        settle: (ids) => this.say("settle", ...ids),
        mayHaveBegun: (_run, id) => this.living.has(id),
      },
    };
  }

  #parts(): RunParts {
    const { clock, state } = this;
    const artifacts = {
      spill: (value: Json) => this.storing.then(() => value),
      adopt: ({ file }: { file: string }) => (this.say("adopt", file), this.storing),
      discard: (files: readonly { file: string }[]) =>
        this.say("discard", ...files.map(({ file }) => file)),
    };
    const warn = (_fields: object, message: string): void => this.say("warn", message);
    const settings = { enableCache: true };
    return defined({
      state,
      deps: {
        clock,
        place: this.place,
        artifacts,
        settings,
        log: { warn },
        runStore: { runLog: () => "/nowhere/r.log" },
      } as unknown as RunDeps,
      journal: { afterwards: (act: () => void) => void this.#acts.push(act) },
      secrets: undefined,
      environment: new RunEnvironment(state, NO_SECRETS, {}),
      waiters: undefined,
      emit: (event: RunEvent) => this.#emit(event),
      emitWhole: undefined,
      arrive: (arrival: () => void) => {
        this.#arrivals.push(arrival);
        for (const resolve of this.#waiting.splice(0)) resolve();
      },
      output: () => undefined,
      draining: () => this.draining,
    }) as unknown as RunParts;
  }
}
