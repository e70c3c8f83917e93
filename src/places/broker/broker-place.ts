/**
 * The **place** for steps at workers that a broker connects with this daemon. messages.ts has the
 * theory of both sides; this is what runs ask the daemon's side for. What workers say is in
 * heard-workers.ts.
 *
 * There is no queue. A task goes to the worker with the most room of those that have all its labels
 * (task-giver.ts). It may be given again while nobody may begin it.
 *
 * - The worker dies, or the link to it: it is given up after its patience, and its tasks are lost,
 *   by no fault of theirs. A new incarnation of it, or a list without the task, says so at once.
 * - The broker dies: no lane has room, and says why. Tasks that were claimed go on for as long as
 *   leases last. A result waits at its worker.
 * - The daemon dies: the next one adopts what workers list (earlier-tasks.ts).
 * - A worker lies: what it says is checked, and fails its own task at most.
 */
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "../../clock.ts";
import { FAILURE_CODES } from "../../core/failure.ts";
import { wantedBy, type Lane, type Room } from "../../core/lane.ts";
import type { PlaceReport } from "../../core/place-report.ts";
import type { PlacedAt } from "../../core/run-state.ts";
import type { SnapshotStep } from "../../core/snapshot.ts";
import type { Task } from "../../core/task.ts";
import type { Log } from "../../log.ts";
import type { FarPlace } from "../far-place.ts";
import type { EarlierAttempt, StartOptions, TaskHandlers } from "../place.ts";
import { EarlierTasks } from "./earlier-tasks.ts";
import type { FarWorker } from "./far-worker.ts";
import { GivenTask } from "./given-task.ts";
import { GivenTasks } from "./given-tasks.ts";
import { HeardWorkers } from "./heard-workers.ts";
import type { SealedBroker } from "./sealed-broker.ts";
import { TaskFiles, type BundleFault } from "./task-files.ts";
import { ToldFaults } from "./told-faults.ts";
import { bytesOfNames, ToldWorkers } from "./told-workers.ts";
import { readHello, readSays } from "./worker-says.ts";
import { TaskGiver } from "./task-giver.ts";
import { Workers } from "./workers.ts";

/** What the place needs. */
export interface BrokerPlaceOptions {
  readonly name: string;
  /** Labels of each worker, besides its own and the place's name. */
  readonly labels: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  /** Speaks to the broker. @param onFault hears of each message that is not what it should be */
  readonly connect: (onFault: (sentence: string) => void) => SealedBroker;
  /** The runs folder, as its real path. */
  readonly root: string;
  /** The folder of bundles. */
  readonly bundles: string;
  /** When leases of earlier daemons began to count, in monotonic milliseconds. */
  readonly since: number;
  readonly bundleFault: BundleFault;
}

/** Runs steps at workers. */
export class BrokerPlace implements FarPlace {
  readonly name: string;
  readonly #labels: readonly string[];
  readonly #log: Log;
  readonly #broker: SealedBroker;
  readonly #workers: Workers;
  readonly #files: TaskFiles;
  readonly #earlier: EarlierTasks;
  readonly #tasks: GivenTasks;
  readonly #heard: HeardWorkers;
  readonly #told: ToldWorkers;
  readonly #giver: TaskGiver;
  readonly #promised = { module: 0, shell: 0 };
  readonly #roomListeners = new Set<() => void>();
  readonly #reportListeners = new Set<() => void>();
  readonly #off: (() => void)[] = [];
  readonly #faults: ToldFaults;
  /** Why the broker does not answer, as the log has it. Undefined: it answers. */
  #loggedDown: string | undefined;
  #closed = false;

  constructor(options: BrokerPlaceOptions) {
    const { name, labels, clock, log, connect, bundles, since, bundleFault } = options;
    this.name = name;
    this.#labels = [name, ...labels.filter((label) => label !== name)];
    this.#log = log;
    this.#faults = new ToldFaults(clock, (sentence) => log.warn({ place: name }, sentence));
    this.#broker = connect(this.#faults.tell);
    this.#tasks = new GivenTasks({
      clock,
      broker: this.#broker,
      settled: (worker, id) => this.#told.settled(worker, id),
      roomChanged: () => this.#tellRoom(),
    });
    this.#told = new ToldWorkers(this.#broker, clock);
    const root = rootId(options.root);
    this.#files = new TaskFiles(this.#broker, clock, bundles, bundleFault);
    this.#workers = new Workers({
      place: name,
      clock,
      log,
      root,
      gone: (worker, because) => this.#heard.gone(worker, because),
      overdue: (worker) => void this.#heard.call(worker),
      silent: (worker) => this.#heard.regive(worker),
      renewed: (worker) => this.#heard.renumber(worker),
      changed: () => this.#tellReport(),
    });
    this.#giver = new TaskGiver({
      clock,
      broker: this.#broker,
      workers: this.#workers,
      told: this.#told,
      labels: this.#labels,
      began: (worker, task, number) => task.claim(worker, number, name),
      ended: (task, end) => this.#heard.ended(task, end),
      stopped: (task) => this.#tasks.stopped(task),
      refused: (task, because) => this.#tasks.refused(task, because),
      lost: (task, because) => this.#tasks.lose(task, because),
      fault: this.#faults.tell,
    });
    this.#earlier = new EarlierTasks({
      clock,
      since,
      here: () => this.#workers.here,
      ask: (...told) => this.#told.adopt(...told),
      adopted: (...given) => this.#adopted(...given),
    });
    this.#heard = new HeardWorkers({
      place: name,
      clock,
      log,
      broker: this.#broker,
      workers: this.#workers,
      told: this.#told,
      giver: this.#giver,
      tasks: this.#tasks,
      earlier: this.#earlier,
      files: this.#files,
      fault: this.#faults.tell,
      roomChanged: () => this.#tellRoom(),
    });
    this.#listen(root);
  }

  /** Whether it has a worker with all these labels, however that worker is. */
  serves(labels: readonly string[]): boolean {
    if (labels.every((label) => this.#labels.includes(label))) return true;
    for (const worker of this.#workers.all()) if (worker.has(labels, this.#labels)) return true;
    return false;
  }

  /** How many more steps may start at workers with these labels. What was promised is taken off. */
  room(kind: "module" | "shell", labels: readonly string[]): number {
    if (this.#closed || !this.#broker.broker.state.up) return -this.#promised[kind];
    return this.#giver.room(kind, labels) - this.#promised[kind];
  }

  /** How much room a step takes: less than 1 where steps of its function are brief. */
  share(spec: SnapshotStep): number {
    return this.#giver.share(spec);
  }

  /** Its lanes are known by who asks: see {@link room}. */
  capacity(): Room {
    return {};
  }

  promise(lane: Lane, share = 1): void {
    this.#promised[wantedBy(lane)?.kind ?? "module"] += share;
  }

  redeem(lane: Lane, share = 1): void {
    this.#promised[wantedBy(lane)?.kind ?? "module"] -= share;
  }

  /** Calls back when {@link room} may have grown. @returns a function that ends the calls */
  onCapacity(callback: () => void): () => void {
    this.#roomListeners.add(callback);
    return () => void this.#roomListeners.delete(callback);
  }

  /** What it says of itself. */
  report(): PlaceReport {
    const { engine, state } = this.#broker.broker;
    const hosts = this.#workers.hosts(this.#labels);
    const because = state.up
      ? hosts.length === 0
        ? `no worker has come yet: start one with \`orchd worker --place ${this.name}\``
        : this.#broker.trouble
      : state.because;
    const report = { place: this.name, engine, labels: this.#labels, hosts };
    return because === undefined ? report : { ...report, because };
  }

  reports(): readonly PlaceReport[] {
    return [this.report()];
  }

  /** Calls back when {@link report} may have changed. @returns a function that ends the calls */
  onReport(callback: () => void): () => void {
    this.#reportListeners.add(callback);
    return () => void this.#reportListeners.delete(callback);
  }

  /** How many tasks it has, with those of an earlier daemon that it looks for. */
  get tasks(): number {
    return this.#tasks.size + this.#earlier.size;
  }

  has(id: string): boolean {
    return this.#tasks.has(id);
  }

  start(
    id: string,
    task: Task,
    handlers: TaskHandlers,
    { alone = false, ahead = false }: StartOptions = {},
  ): void {
    if (this.#closed) throw new Error(`"${id}" cannot be started: the place is closed`);
    if (this.#tasks.has(id)) throw new Error(`"${id}" was started already and has not ended`);
    if (task.kind !== "module" && task.kind !== "shell")
      throw new Error(`"${id}" is no step, and runs on this machine only`);
    const sent = this.#files.of(task);
    if (!this.#broker.fits(0, bytesOfNames(sent.files.length)))
      throw Object.assign(new Error(tooManyFiles(sent.files.length)), {
        name: "PlaceError",
        code: FAILURE_CODES.place,
      });
    const given = new GivenTask({ id, task, handlers, sent, alone, isAhead: ahead });
    this.#tasks.add(given);
    this.#giver.give(given);
  }

  /** It keeps nothing of a frame. */
  forget(): void {}

  stop(id: string, mode: "graceful" | "force", because: string): void {
    const task = this.#tasks.get(id);
    if (task === undefined || task.state.at === "over") return;
    task.told = { mode, because };
    if (task.mayRun) void this.#tellToStop(task);
    else this.#tasks.stopped(task);
  }

  async adopt(
    ids: readonly string[],
    handlersOf: (id: string) => TaskHandlers,
    attemptOf?: (id: string) => EarlierAttempt | undefined,
    laneOf?: (id: string) => { readonly placed?: PlacedAt | undefined },
  ): Promise<ReadonlySet<string>> {
    const lives = await Promise.all(
      ids.map((id) =>
        this.#earlier.ask(id, () => handlersOf(id), attemptOf?.(id), laneOf?.(id).placed),
      ),
    );
    return new Set(ids.filter((_, index) => lives[index]));
  }

  /** Whether a task of an earlier daemon may have begun. Undefined: it was not asked for. */
  mayHaveBegun(id: string): boolean | undefined {
    return this.#earlier.mayHaveBegun(id);
  }

  outlives(id: string): boolean {
    return this.#tasks.get(id)?.mayRun === true;
  }

  leave(ids: readonly string[]): void {
    this.#tasks.leave(ids);
  }

  /** The ends of these tasks are durable: their workers need not keep them. */
  settle(ids: readonly string[]): void {
    this.#tasks.ended.settle(ids);
  }

  /** Ends it. No handler is called any more. What runs at workers may be adopted for a while. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const off of this.#off) off();
    this.#workers.close();
    this.#earlier.close();
    this.#tasks.close();
    if (this.#broker.broker.state.up) await this.#files.close();
    await this.#broker.broker.close();
  }

  /** Hears workers, and how the broker is. */
  #listen(root: string): void {
    this.#off.push(
      this.#broker.listen("hello", (message) => this.#workers.hello(readHello(message))),
      this.#broker.listen(`daemon.${root}`, (message) => this.#heard.hear(readSays(message))),
      this.#broker.broker.onState(() => {
        this.#logState();
        this.#tellReport();
      }),
      this.#broker.onTrouble(() => this.#tellReport()),
    );
  }

  #adopted(
    worker: FarWorker,
    number: number,
    id: string,
    { task }: EarlierAttempt,
    handlers: TaskHandlers,
  ): void {
    const sent = { task, files: [], map: undefined };
    const given = new GivenTask({ id, task, handlers, sent, alone: false, isAhead: false });
    given.adopt(worker, number);
    this.#tasks.add(given);
  }

  /** Tells a task's worker to stop it. What turns out not to have begun ends here. */
  async #tellToStop(task: GivenTask): Promise<void> {
    const answer = await this.#told.stop(task);
    if (task.state.at !== "granted") return;
    if (answer?.type === "refused") this.#tasks.stopped(task);
    else if (answer?.type === "had") this.#tasks.lose(task, "its worker has ended it");
  }

  #tellRoom(): void {
    for (const callback of this.#roomListeners) callback();
  }

  #tellReport(): void {
    for (const callback of this.#reportListeners) callback();
    this.#tellRoom();
  }

  /** Logs that the broker does not answer, once for each reason, and that it answers again. */
  #logState(): void {
    const { state } = this.#broker.broker;
    const because = state.up ? undefined : state.because;
    if (because === this.#loggedDown) return;
    const wasDown = this.#loggedDown !== undefined;
    this.#loggedDown = because;
    if (because !== undefined) this.#log.warn({ place: this.name }, because);
    else if (wasDown) this.#log.info({ place: this.name }, "the broker answers again");
  }
}

function tooManyFiles(files: number): string {
  return (
    `the step needs ${files} files, and no message of the broker names so many: hand it fewer ` +
    "large outputs, or run it on this machine"
  );
}

/** Which daemon's worker one is: two roots of one path on two machines are two. */
function rootId(root: string): string {
  return createHash("sha256").update(`${hostname()}\n${root}`).digest("hex").slice(0, 16);
}
