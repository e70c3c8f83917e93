/**
 * The places of one daemon as one: processes of this machine, containers, and the places on other
 * machines that orchd.yaml names. Each step goes to a place that has its lane. All other tasks are
 * for processes of this machine.
 *
 * A lane of other machines (`module@gpu+linux`) is served by each place that has all its labels. A
 * step goes to the one of them with the most room, as it stands when the step starts. Its room is
 * kept at the one with the most room when that was decided. Where that one is gone in between, the
 * step had not begun, and says so.
 *
 * Lanes may share machines: `module@gpu` and `module@gpu+linux`. So the room of one lane can be
 * gone by what starts in another, and the run-loop looks again before it decides each start.
 *
 * A place that orchd.yaml no longer names, or names otherwise, takes no more steps. It is heard and
 * told until its last task has ended (engine/far-places.ts).
 *
 * It is on the way of each step, so what it adds for a step of this machine is one call.
 */
import type { ContainerSpec } from "../core/container.ts";
import { FAILURE_CODES } from "../core/failure.ts";
import { wantedBy, type Lane, type Room } from "../core/lane.ts";
import { whyUnserved, type PlaceReport } from "../core/place-report.ts";
import type { SnapshotStep } from "../core/snapshot.ts";
import type { TaskFrame } from "../core/task-frame.ts";
import type { ModuleTask, Task } from "../core/task.ts";
import type { FarPlace } from "./far-place.ts";
import type {
  EarlierAttempt,
  EarlierLane,
  ImageHearing,
  Place,
  StartOptions,
  StepsAhead,
  TaskHandlers,
} from "./place.ts";

/** The lane of steps in containers. */
const CONTAINER: Lane = "container";
/** What a task has that is no step. */
const NOWHERE: Pick<ModuleTask, "on" | "container"> = {};

/** The place that says when it has more room. */
interface RoomyPlace extends Place {
  onCapacity(callback: () => void): () => void;
}

/** The place for processes of this machine. */
export interface LocalPlace extends RoomyPlace {
  /** False: no step begins for now, here or elsewhere (pool/start-gate.ts). */
  readonly isOpen: boolean;
  readonly ahead: StepsAhead;
}

/** The place for steps in containers. */
export interface ContainersPlace extends RoomyPlace {
  imageId(
    container: ContainerSpec,
    auth: string | undefined,
    hearing?: ImageHearing,
  ): Promise<string>;
  /** How many more steps may start now: what `capacity()` says of its one lane. */
  readonly room: number;
  has(id: string): boolean;
  settle(ids: readonly string[]): void;
  mayHaveBegun(id: string): boolean | undefined;
  outlives(id: string): boolean;
  leave(ids: readonly string[]): void;
  reports(): readonly PlaceReport[];
  onReport(callback: () => void): () => void;
}

/** The places on other machines. */
export interface FarPlaces {
  /** Those that take steps. */
  readonly open: readonly FarPlace[];
  /** These, and those that have tasks yet. */
  readonly all: readonly FarPlace[];
  /** Each of them as it stands. */
  reports(): readonly PlaceReport[];
  /**
   * Resolves when nothing that an earlier daemon started there can run any more, unless adopted.
   */
  leasesOver(): Promise<void>;
  /**
   * Whether a step of an earlier daemon may be on machines that none of {@link all} finds.
   *
   * @param place where a line says that it began. Undefined: no line says so
   */
  mayBeElsewhere(place: string | undefined): boolean;
  /** Calls back when a report has changed. @returns a function that ends the calls */
  onReport(callback: () => void): () => void;
  /** Calls back when one has more room. @returns a function that ends the calls */
  onCapacity(callback: () => void): () => void;
}

type WantedLane = NonNullable<ReturnType<typeof wantedBy>> & { readonly lane: Lane };

/** All places as one. */
export class PlaceByLane implements Place {
  readonly ahead: StepsAhead;
  readonly #local: LocalPlace;
  readonly #containers: ContainersPlace;
  readonly #far: FarPlaces;
  readonly #here: PlaceReport;
  /** The lanes of other machines that runs have steps in, and how many runs. */
  readonly #wanted = new Map<Lane, WantedLane & { runs: number }>();
  /** The places that room is promised at, by lane, in order. */
  readonly #promised = new Map<Lane, (FarPlace | undefined)[]>();
  /** The place whose room was given back last, for what starts there now. */
  #redeemed: FarPlace | undefined;
  /** Tasks of an earlier daemon that other machines were asked for. */
  readonly #asked = new Set<string>();
  /** Those of them that may be where nobody can be asked. */
  readonly #elsewhere = new Set<string>();

  /** @param here what the place for processes of this machine says of itself */
  constructor(local: LocalPlace, containers: ContainersPlace, far: FarPlaces, here: PlaceReport) {
    this.#here = here;
    this.#local = local;
    this.#containers = containers;
    this.#far = far;
    const { ahead } = local;
    this.ahead = {
      share: (spec) => (spec.on === undefined ? ahead.share(spec) : this.#shareFar(spec, spec.on)),
      expect: (run) => ahead.expect(run),
      settle(ids) {
        ahead.settle(ids);
        containers.settle(ids);
        for (const place of far.all) place.settle?.(ids);
      },
      mayHaveBegun: (run, id) =>
        this.#asked.has(id)
          ? this.#begunFar(id)
          : (containers.mayHaveBegun(id) ?? ahead.mayHaveBegun(run, id)),
    };
  }

  capacity(): Room {
    const { module = 0, shell = 0 } = this.#local.capacity();
    const { isOpen } = this.#local;
    const contained = isOpen ? this.#containers.room : 0;
    // A new object: adding a member to what the pool has copied costs V8 thirty times as much.
    const room: { [lane: Lane]: number } = { module, shell, [CONTAINER]: contained };
    for (const { lane, kind, labels } of this.#wanted.values())
      room[lane] = isOpen ? this.#roomFor(kind, labels) : 0;
    return room;
  }

  hasRoom(lane: Lane): boolean {
    const wanted = this.#wanted.get(lane);
    if (wanted === undefined) return (this.capacity()[lane] ?? 0) > 0;
    return this.#local.isOpen && this.#roomFor(wanted.kind, wanted.labels) > 0;
  }

  want(lane: Lane): () => void {
    const wanted = wantedBy(lane);
    if (wanted === undefined) return () => undefined;
    const known = this.#wanted.get(lane) ?? { ...wanted, lane, runs: 0 };
    known.runs += 1;
    this.#wanted.set(lane, known);
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      known.runs -= 1;
      if (known.runs === 0) this.#wanted.delete(lane);
    };
  }

  whyNot(lane: Lane): string | undefined {
    const wanted = wantedBy(lane);
    if (wanted === undefined || this.#roomFor(wanted.kind, wanted.labels) > 0) return undefined;
    return whyUnserved(wanted.labels, this.#far.reports());
  }

  reports(): readonly PlaceReport[] {
    return [this.#here, ...this.#containers.reports(), ...this.#far.reports()];
  }

  onReport(callback: () => void): () => void {
    const off = [this.#containers.onReport(callback), this.#far.onReport(callback)];
    return () => off.forEach((end) => end());
  }

  promise(lane: Lane, share?: number): void {
    const wanted = this.#wanted.get(lane) ?? wantedBy(lane);
    if (wanted === undefined) return this.#of(lane).promise(lane, share);
    const place = this.#roomiest(wanted);
    place?.promise(lane, share);
    const list = this.#promised.get(lane);
    if (list === undefined) this.#promised.set(lane, [place]);
    else list.push(place);
  }

  redeem(lane: Lane, share?: number): void {
    if (!lane.includes("@")) return this.#of(lane).redeem(lane, share);
    const list = this.#promised.get(lane);
    this.#redeemed = list?.shift();
    this.#redeemed?.redeem(lane, share);
    if (list?.length === 0) this.#promised.delete(lane);
  }

  start(id: string, task: Task, handlers: TaskHandlers, options?: StartOptions): void {
    const { on, container } = task.kind === "module" || task.kind === "shell" ? task : NOWHERE;
    if (on !== undefined) return this.#startFar(id, task, on, handlers, options);
    (container !== undefined ? this.#containers : this.#local).start(id, task, handlers, options);
  }

  forget(frame: TaskFrame): void {
    if (frame.on === undefined) this.#local.forget(frame);
    else for (const place of this.#far.all) place.forget(frame);
  }

  stop(id: string, mode: "graceful" | "force", because: string): void {
    this.#having(id).stop(id, mode, because);
  }

  /**
   * Asks each place for its own. A process of this machine ends with its daemon. Where no line says
   * where a task began, each place on other machines is asked.
   *
   * A task that may be where nobody can be asked is waited for until all leases are over.
   */
  async adopt(
    ids: readonly string[],
    handlersOf: (id: string) => TaskHandlers,
    attemptOf?: (id: string) => EarlierAttempt | undefined,
    laneOf?: (id: string) => EarlierLane,
  ): Promise<ReadonlySet<string>> {
    const far = ids.filter((id) => laneOf?.(id).lane.includes("@") === true);
    for (const id of far) this.#asked.add(id);
    const here = far.length === 0 ? ids : ids.filter((id) => !this.#asked.has(id));
    const asked: Promise<ReadonlySet<string>>[] =
      here.length === 0 ? [] : [this.#containers.adopt(here, handlersOf, attemptOf)];
    const heldBy = new Map(far.map((id) => [id, this.#holdersOf(laneOf!(id))]));
    for (const place of this.#far.all) {
      const own = far.filter((id) => heldBy.get(id)!.includes(place));
      if (own.length > 0) asked.push(place.adopt(own, handlersOf, attemptOf, laneOf));
    }
    const mayBeElsewhere = (id: string): boolean =>
      heldBy.get(id)!.length === 0 || this.#far.mayBeElsewhere(laneOf!(id).placed?.place);
    const elsewhere = far.filter(mayBeElsewhere);
    for (const id of elsewhere) this.#elsewhere.add(id);
    if (elsewhere.length > 0) asked.push(this.#far.leasesOver().then(() => new Set()));
    const adopted = await Promise.all(asked);
    return new Set(adopted.flatMap((some) => [...some]));
  }

  imageId(
    container: ContainerSpec,
    auth: string | undefined,
    hearing?: ImageHearing,
  ): Promise<string> {
    return this.#containers.imageId(container, auth, hearing);
  }

  outlives(id: string): boolean {
    return (
      this.#containers.outlives(id) || this.#far.all.some((place) => place.outlives?.(id) === true)
    );
  }

  leave(ids: readonly string[]): void {
    this.#containers.leave(ids);
    for (const place of this.#far.all) place.leave?.(ids);
  }

  /** Calls back when {@link capacity} may have grown. @returns a function that ends the calls */
  onCapacity(callback: () => void): () => void {
    const all = [this.#local, this.#containers, this.#far];
    const off = all.map((one) => one.onCapacity(callback));
    return () => off.forEach((end) => end());
  }

  #of(lane: Lane): Place {
    return lane === CONTAINER ? this.#containers : this.#local;
  }

  #having(id: string): Place {
    if (this.#containers.has(id)) return this.#containers;
    return this.#far.all.find((place) => place.has(id)) ?? this.#local;
  }

  /**
   * The places that may have a task of an earlier daemon. Labels do not tell it: a worker's are not
   * known before it is heard.
   */
  #holdersOf({ placed }: EarlierLane): readonly FarPlace[] {
    if (placed === undefined) return this.#far.all;
    return this.#far.all.filter((place) => place.name === placed.place);
  }

  /** It had not begun where one place knows that, or where each that may have had it does. */
  #begunFar(id: string): boolean {
    const answers = this.#far.all
      .map((place) => place.mayHaveBegun?.(id))
      .filter((answer) => answer !== undefined);
    if (answers.includes(false)) return false;
    return (
      this.#elsewhere.has(id) ||
      answers.length === 0 ||
      answers.some((answer) => answer !== "not here")
    );
  }

  #roomFor(kind: "module" | "shell", labels: readonly string[]): number {
    let room = 0;
    for (const place of this.#far.open) room += Math.max(0, place.room(kind, labels));
    return room;
  }

  /** How much room a step takes there: what it takes where it takes most. */
  #shareFar(spec: SnapshotStep, labels: readonly string[]): number {
    let share = 0;
    for (const place of this.#far.open)
      if (place.serves(labels)) share = Math.max(share, place.share?.(spec) ?? 1);
    return share === 0 ? 1 : share;
  }

  /** The place with the most room for a step with these labels. Undefined: none has any. */
  #roomiest({ kind, labels }: Pick<WantedLane, "kind" | "labels">): FarPlace | undefined {
    let most = 0;
    let best: FarPlace | undefined;
    for (const place of this.#far.open) {
      const room = place.room(kind, labels);
      if (room > most) [most, best] = [room, place];
    }
    return best;
  }

  /**
   * The place that had kept room for what starts. It may have less by now, since a step there turns
   * out long: what was promised starts all the same. Undefined: it takes no work any more.
   */
  #keptAt(labels: readonly string[]): FarPlace | undefined {
    const place = this.#redeemed;
    if (place === undefined || !this.#far.open.includes(place)) return undefined;
    return place.serves(labels) && place.report().because === undefined ? place : undefined;
  }

  #startFar(
    id: string,
    task: Task,
    labels: readonly string[],
    handlers: TaskHandlers,
    options?: StartOptions,
  ): void {
    const kind = task.kind === "shell" ? "shell" : "module";
    const place = this.#roomiest({ kind, labels }) ?? this.#keptAt(labels);
    this.#redeemed = undefined;
    if (place !== undefined) return place.start(id, task, handlers, options);
    const because =
      whyUnserved(labels, this.#far.reports()) ?? "the room that was kept for it is gone";
    queueMicrotask(() =>
      handlers.died({
        inFlight: [id],
        alone: false,
        because,
        code: FAILURE_CODES.place,
        blameless: "unbegun",
      }),
    );
  }
}
