/**
 * A place on other machines that a test plays. What runs there is in a {@link PlayedMachine}, which
 * outlives the daemon: each daemon has a {@link PlayedPlace} of its own before it.
 */
import { hostname } from "node:os";
import type { Lane, Room } from "../../src/core/lane.ts";
import { wantedBy } from "../../src/core/lane.ts";
import type { PlaceReport } from "../../src/core/place-report.ts";
import type { Json } from "../../src/core/snapshot.ts";
import type { Task, TaskResult } from "../../src/core/task.ts";
import type { FarPlace } from "../../src/places/far-place.ts";
import type { FarPlaces } from "../../src/places/place-by-lane.ts";
import type { EarlierAttempt, TaskHandlers } from "../../src/places/place.ts";
import { Reservations } from "../../src/places/reservations.ts";

/** A machine, and what runs there. */
export class PlayedMachine {
  readonly running = new Map<string, Task>();
  /** Steps that ran there, each time that one began. */
  readonly began: string[] = [];
  /** Steps of which two attempts ran at the same time. */
  readonly doubled = new Set<string>();
  most = 0;

  begin(id: string, task: Task): void {
    const step = `${task.run.id} ${task.step}`;
    for (const other of this.running.values())
      if (`${other.run.id} ${other.step}` === step) this.doubled.add(step);
    this.running.set(id, task);
    this.began.push(task.step ?? "");
    this.most = Math.max(this.most, this.running.size);
  }
}

/** The daemon's side of it. */
export class PlayedPlace implements FarPlace {
  readonly name: string;
  readonly labels: readonly string[];
  readonly machine: PlayedMachine;
  readonly stops: { readonly id: string; readonly mode: string; readonly because: string }[] = [];
  threads: number;
  /** Why it takes no work. */
  because: string | undefined;
  /** Whether it answers when it is asked for the tasks of an earlier daemon. */
  answers = true;
  /** What it says of where a task begins is lost: its daemon dies before it hears it. */
  isMute = false;
  closed = false;
  readonly #handlers = new Map<string, TaskHandlers>();
  readonly #reservations = new Reservations();
  readonly #capacity = new Set<() => void>();
  readonly #report = new Set<() => void>();
  #answer: (() => void)[] = [];
  #asked = 0;

  constructor(
    name: string,
    options: {
      readonly labels?: readonly string[];
      readonly threads?: number;
      readonly machine?: PlayedMachine;
    } = {},
  ) {
    this.name = name;
    this.labels = [name, ...(options.labels ?? [])];
    this.threads = options.threads ?? 4;
    this.machine = options.machine ?? new PlayedMachine();
  }

  get tasks(): number {
    return this.#handlers.size + this.#asked;
  }

  serves(labels: readonly string[]): boolean {
    return labels.every((label) => this.labels.includes(label));
  }

  room(kind: "module" | "shell", labels: readonly string[]): number {
    if (!this.serves(labels) || this.because !== undefined || !this.answers) return 0;
    return this.#reservations.leave({ [kind]: this.threads - this.#handlers.size })[kind] ?? 0;
  }

  capacity(): Room {
    return {};
  }

  promise(lane: Lane): void {
    this.#reservations.promise(wantedBy(lane)!.kind);
  }

  redeem(lane: Lane): void {
    this.#reservations.redeem(wantedBy(lane)!.kind);
  }

  start(id: string, task: Task, handlers: TaskHandlers): void {
    if (this.closed || this.because !== undefined) throw new Error(`${this.name} takes no work`);
    this.#handlers.set(id, handlers);
    setImmediate(() => {
      if (!this.#handlers.has(id) || this.closed) return;
      if (!this.isMute) handlers.placed?.({ place: this.name, host: hostname(), ref: id });
      this.machine.begin(id, task);
    });
  }

  forget(): void {}

  stop(id: string, mode: "graceful" | "force", because: string): void {
    this.stops.push({ id, mode, because });
  }

  async adopt(
    ids: readonly string[],
    handlersOf: (id: string) => TaskHandlers,
    attemptOf?: (id: string) => EarlierAttempt | undefined,
  ): Promise<ReadonlySet<string>> {
    this.#asked += 1;
    if (!this.answers) await new Promise<void>((resolve) => this.#answer.push(resolve));
    this.#asked -= 1;
    const living = ids.filter((id) => this.machine.running.has(id));
    for (const id of living)
      if (attemptOf?.(id) === undefined) this.machine.running.delete(id);
      else this.#handlers.set(id, handlersOf(id));
    return new Set(living.filter((id) => this.machine.running.has(id)));
  }

  /** It answers who asked. */
  answer(): void {
    this.answers = true;
    for (const resolve of this.#answer) resolve();
    this.#answer = [];
  }

  has(id: string): boolean {
    return this.#handlers.has(id);
  }

  /** Ends a task. @returns whether it was there */
  end(id: string, result: TaskResult = { ok: true, value: null as Json }): boolean {
    const handlers = this.#handlers.get(id);
    this.machine.running.delete(id);
    this.#handlers.delete(id);
    handlers?.done(result, 1, 0);
    this.tell();
    return handlers !== undefined;
  }

  /** Ends a task as one that was told to. */
  stopped(id: string): void {
    const error = { name: "StepStopped", message: "stopped" };
    this.end(id, { ok: false, outcome: "stopped", error });
  }

  /** The machine was lost with all that ran there. */
  lose(because = "the machine is gone"): void {
    const lost = [...this.#handlers];
    this.#handlers.clear();
    for (const [id, handlers] of lost) {
      const begun = this.machine.running.delete(id);
      const blameless = begun ? "lost" : "unbegun";
      handlers.died({ inFlight: [id], alone: false, because, code: "ORCHD_PLACE", blameless });
    }
    this.tell();
  }

  report(): PlaceReport {
    const { name, labels, threads, because } = this;
    const host = { host: hostname(), labels, threads };
    return {
      place: name,
      engine: "ssh",
      labels,
      hosts: [host],
      ...(because === undefined ? {} : { because }),
    };
  }

  onReport(callback: () => void): () => void {
    this.#report.add(callback);
    return () => void this.#report.delete(callback);
  }

  onCapacity(callback: () => void): () => void {
    this.#capacity.add(callback);
    return () => void this.#capacity.delete(callback);
  }

  /** It has more room, or other words for why not. */
  tell(): void {
    for (const callback of [...this.#capacity, ...this.#report]) callback();
  }

  close(): Promise<void> {
    this.closed = true;
    this.#handlers.clear();
    return Promise.resolve();
  }
}

/** Some played places, as the daemon's own table has them. */
export class PlayedPlaces implements FarPlaces {
  all: PlayedPlace[];
  /** Resolves the waits for leases of places that are not named any more. */
  endLeases: (() => void) | undefined;
  readonly #listeners = new Set<() => void>();

  constructor(...places: PlayedPlace[]) {
    this.all = [];
    for (const place of places) this.add(place);
  }

  get open(): readonly PlayedPlace[] {
    return this.all;
  }

  add(place: PlayedPlace): void {
    this.all.push(place);
    place.onCapacity(() => this.#tell());
    this.#tell();
  }

  remove(name: string): void {
    this.all = this.all.filter((place) => place.name !== name);
    this.#tell();
  }

  reports(): readonly PlaceReport[] {
    return this.all.map((place) => place.report());
  }

  leasesOver(): Promise<void> {
    return new Promise((resolve) => (this.endLeases = resolve));
  }

  mayBeElsewhere(): boolean {
    return false;
  }

  onReport(): () => void {
    return () => undefined;
  }

  onCapacity(callback: () => void): () => void {
    this.#listeners.add(callback);
    return () => void this.#listeners.delete(callback);
  }

  #tell(): void {
    for (const callback of this.#listeners) callback();
  }
}
