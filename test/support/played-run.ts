/**
 * One run beside played parts: the place, the journal and the artifacts say in one list what they
 * are asked for. A turn's lines come first, then `durable`, then what these lines allow.
 */
import { defined } from "../../src/core/defined.ts";
import type { RunEvent, RunHeader } from "../../src/core/event.ts";
import { evolve, evolveEvent } from "../../src/core/run-fold.ts";
import type { RunState } from "../../src/core/run-state.ts";
import type { SecretSource } from "../../src/core/secret-source.ts";
import type { Json, Snapshot } from "../../src/core/snapshot.ts";
import type { Task } from "../../src/core/task.ts";
import { needsSpilling } from "../../src/ledger/spill-event.ts";
import type { Place, StartOptions, TaskHandlers } from "../../src/places/place.ts";
import { RunEnvironment } from "../../src/run/environment.ts";
import type { RunDeps } from "../../src/run/run-deps.ts";
import type { RunParts } from "../../src/run/run-parts.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** Plays all that a part of a run touches. */
export class PlayedRun {
  readonly said: string[] = [];
  readonly clock = new VirtualClock();
  readonly state: RunState;
  readonly parts: RunParts;
  readonly tasks = new Map<string, Task>();
  readonly handlers = new Map<string, TaskHandlers>();
  /** What storing a long value meets. */
  storing: Promise<unknown> = Promise.resolve();
  draining = false;
  /** What the place throws when a task is to start. */
  noStart: Error | undefined;
  /** Where secrets come from. */
  secrets: SecretSource["get"] = (name) => {
    throw new Error(`there is no secret ${name}`);
  };
  /** The ids of tasks that go on, and of those that may have begun. */
  readonly living = new Set<string>();
  readonly place: { -readonly [name in keyof Place]?: Place[name] };
  #acts: (() => void)[] = [];
  #arrivals: (() => void)[] = [];
  readonly #waiting: (() => void)[] = [];

  constructor(snapshot: Snapshot, more: Partial<RunHeader> = {}) {
    this.state = evolve(undefined, {
      type: "run.submitted",
      format: 1,
      run: "r",
      pipeline: "p",
      orchestratorRunId: "o",
      trigger: { kind: "manual" },
      params: {},
      snapshot,
      tags: [],
      ...more,
      seq: 1,
      b: 1,
      at: new Date(this.clock.now()).toISOString(),
    })!;
    this.happen({ type: "run.started", because: "it may" });
    this.place = this.#place();
    this.parts = this.#parts();
  }

  say(...words: readonly unknown[]): void {
    this.said.push(words.filter((word) => word !== undefined && word !== "").join(" "));
  }

  /** A turn of the run, and the one that makes its lines durable. @returns all that was said */
  turn(act: () => void = () => undefined): string[] {
    this.said.length = 0;
    act();
    for (const arrival of this.#arrivals.splice(0)) arrival();
    this.turnOver();
    this.durable();
    return [...this.said];
  }

  /** A turn is over, and its lines are not durable. */
  protected turnOver(): void {}

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

  /** Something that the run's ledger says. @returns the time of its line */
  happen(event: RunEvent): string {
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
    return this.happen(event);
  }

  #emitWhole(...[event, still, failed]: Parameters<RunParts["emitWhole"]>): void {
    const emit = (): void => {
      if (still()) this.#emit(event);
    };
    if (!needsSpilling(event)) return emit();
    this.storing.then(
      () => this.#arrive(emit),
      (error: unknown) => this.#arrive(() => failed(error)),
    );
  }

  #arrive(arrival: () => void): void {
    this.#arrivals.push(arrival);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #place(): PlayedRun["place"] {
    return {
      capacity: () => ({ "shell@gpu": 4 }),
      promise: (lane, share) => this.say("promise", lane, share),
      redeem: (lane, share) => this.say("redeem", lane, share),
      start: (id, task, handlers, { alone, ahead }: StartOptions = {}) => {
        const marks = [alone && "alone", ahead && "ahead", handlers.placed && "placed"];
        this.say("start", id, ...marks.filter(Boolean));
        if (this.noStart !== undefined) throw this.noStart;
        this.tasks.set(id, task);
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
      directory: "/artifacts",
      spill: (value: Json) => this.storing.then(() => value),
      adopt: ({ file }: { file: string }) => (this.say("adopt", file), this.storing),
      discard: (files: readonly { file: string }[]) =>
        this.say("discard", ...files.map(({ file }) => file)),
    };
    const warn = (_fields: object, message: string): void => this.say("warn", message);
    const secrets = { get: (name: string) => this.secrets(name) };
    return defined({
      state,
      deps: {
        clock,
        place: this.place,
        artifacts,
        settings: { enableCache: true },
        log: { warn },
        runStore: { runLog: () => "/nowhere/r.log" },
      } as unknown as RunDeps,
      journal: { afterwards: (act: () => void) => void this.#acts.push(act) },
      secrets,
      environment: new RunEnvironment(state, secrets, {}),
      waiters: undefined,
      emit: (event: RunEvent) => this.#emit(event),
      emitWhole: (...given: Parameters<RunParts["emitWhole"]>) => this.#emitWhole(...given),
      arrive: (arrival: () => void) => this.#arrive(arrival),
      output: () => undefined,
      draining: () => this.draining,
    }) as unknown as RunParts;
  }
}
