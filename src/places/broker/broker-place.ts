/**
 * The **place** for steps at workers that a broker connects with this daemon. messages.ts has the
 * theory of both sides; this is the daemon's.
 *
 * There is no queue. A task goes to the worker with the most room of those that have all its labels
 * (task-giver.ts). It may be given again while nobody may begin it. A claim is answered yes once,
 * to the worker that it is given to at that moment (`#claim`); from then on it stays there.
 *
 * - The worker dies, or the link to it: it is given up after its patience, and its tasks are lost,
 *   by no fault of theirs. A new incarnation of it, or a list without the task, says so at once.
 * - The broker dies: no lane has room, and says why. Tasks that were claimed go on for as long as
 *   leases last. A result waits at its worker.
 * - The daemon dies: the next one adopts what workers list (earlier-tasks.ts).
 * - A worker lies: what it says is checked (worker-says.ts, result-files.ts), and fails its own
 *   task at most.
 *
 * What workers say and what runs ask for meet in each task's state, so it stays one file.
 */
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import type { Clock } from "../../clock.ts";
import { clipError } from "../../core/failure.ts";
import { wantedBy, type Lane, type Room } from "../../core/lane.ts";
import type { PlaceReport } from "../../core/place-report.ts";
import type { PlacedAt } from "../../core/run-state.ts";
import type { SnapshotStep } from "../../core/snapshot.ts";
import type { Task, TaskResult } from "../../core/task.ts";
import { removeStaged } from "../../steps/staged-result.ts";
import type { Log } from "../../log.ts";
import type { FarPlace } from "../far-place.ts";
import type { EarlierAttempt, StartOptions, TaskHandlers } from "../place.ts";
import { BrokerSilence } from "./broker.ts";
import { EarlierTasks } from "./earlier-tasks.ts";
import { EndedTasks } from "./ended-tasks.ts";
import type { FarWorker } from "./far-worker.ts";
import { GivenTask, placeError, type Taken } from "./given-task.ts";
import type { FromWorker, ToWorkerAnswer, WorkerSays } from "./messages.ts";
import { fetchResult, NotThere, NotWhole } from "./result-files.ts";
import type { SealedBroker } from "./sealed-broker.ts";
import { TaskFiles, type BundleFault } from "./task-files.ts";
import { ToldFaults } from "./told-faults.ts";
import { ToldWorkers } from "./told-workers.ts";
import { readHello, readSays } from "./worker-says.ts";
import { TaskGiver } from "./task-giver.ts";
import { Workers } from "./workers.ts";
import { fileObject } from "./worker-line.ts";

type Said<T extends FromWorker["type"]> = Extract<FromWorker, { readonly type: T }>;
type End = Said<"end">["end"];

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
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #broker: SealedBroker;
  readonly #workers: Workers;
  readonly #files: TaskFiles;
  readonly #earlier: EarlierTasks;
  readonly #tasks = new Map<string, GivenTask>();
  readonly #ended: EndedTasks;
  readonly #told: ToldWorkers;
  readonly #giver: TaskGiver;
  /** Tasks that the next daemon may adopt. */
  readonly #left = new Set<string>();
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
    this.#clock = clock;
    this.#log = log;
    this.#faults = new ToldFaults(clock, (sentence) => log.warn({ place: name }, sentence));
    this.#broker = connect(this.#faults.tell);
    this.#ended = new EndedTasks(clock);
    this.#told = new ToldWorkers(this.#broker, clock);
    const root = rootId(options.root);
    this.#files = new TaskFiles(this.#broker, clock, bundles, bundleFault);
    this.#workers = new Workers({
      place: name,
      clock,
      log,
      root,
      gone: (worker, because) => this.#gone(worker, because),
      overdue: (worker) => void this.#call(worker),
      silent: (worker) => this.#regive(worker),
      renewed: (worker) => this.#renumber(worker),
      changed: () => this.#tellReport(),
    });
    this.#giver = new TaskGiver({
      clock,
      broker: this.#broker,
      workers: this.#workers,
      told: this.#told,
      labels: this.#labels,
      began: (worker, task, number) => task.claim(worker, number, name),
      stopped: (task) => this.#stopped(task),
      refused: (task, because) => this.#refused(task, because),
      lost: (task, because) => this.#lose(task, because),
      fault: this.#faults.tell,
    });
    this.#earlier = new EarlierTasks({
      clock,
      since,
      here: () => this.#workers.here,
      ask: (...told) => this.#told.adopt(...told),
      adopted: (...given) => this.#adopted(...given),
    });
    this.#off.push(
      this.#broker.listen("hello", (message) => this.#workers.hello(readHello(message))),
      this.#broker.listen(`daemon.${root}`, (message) => this.#hear(readSays(message))),
      this.#broker.broker.onState(() => {
        this.#logState();
        this.#tellReport();
      }),
      this.#broker.onTrouble(() => this.#tellReport()),
    );
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
    const fault = this.#files.faultOf(task);
    if (fault !== undefined) throw Object.assign(new Error(fault), { name: "PlaceError" });
    const sent = this.#files.of(task);
    const given = new GivenTask({ id, task, handlers, sent, alone, isAhead: ahead });
    this.#tasks.set(id, given);
    this.#giver.give(given);
  }

  /** It keeps nothing of a frame. */
  forget(): void {}

  stop(id: string, mode: "graceful" | "force", because: string): void {
    const task = this.#tasks.get(id);
    if (task === undefined || task.state.at === "over") return;
    task.told = { mode, because };
    if (task.mayRun) void this.#tellToStop(task);
    else this.#stopped(task);
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
    for (const id of ids) {
      const task = this.#tasks.get(id);
      if (task?.mayRun !== true) continue;
      this.#tasks.delete(id);
      task.state = { at: "over" };
      this.#left.add(id);
    }
  }

  /** The ends of these tasks are durable: their workers need not keep them. */
  settle(ids: readonly string[]): void {
    this.#ended.settle(ids);
  }

  /** Ends it. No handler is called any more. What runs at workers may be adopted for a while. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const off of this.#off) off();
    this.#workers.close();
    this.#earlier.close();
    this.#ended.close();
    for (const task of this.#tasks.values()) task.state = { at: "over" };
    this.#tasks.clear();
    if (this.#broker.broker.state.up) await this.#files.close();
    await this.#broker.broker.close();
  }

  /** What a worker says. Undefined: it is not answered. */
  #hear(says: WorkerSays): ToWorkerAnswer | Promise<ToWorkerAnswer | undefined> | undefined {
    const worker = this.#workers.speaker(says);
    if (worker === undefined) return { type: "again" };
    const { message, number } = says;
    switch (message.type) {
      case "beat":
        return this.#beat(worker, message, number);
      case "claim":
        return this.#claim(worker, message.id, number);
      case "output":
        return this.#output(worker, message, number);
      case "end":
        return this.#end(worker, message, number);
      case "lack":
        return this.#lack(worker, message.hash);
      case "bye":
        this.#workers.bye(worker);
        return { type: "yes" };
    }
  }

  #beat(worker: FarWorker, beat: Said<"beat">, number: number): ToWorkerAnswer | undefined {
    if (!this.#workers.beats(worker, beat, number)) return undefined;
    for (const task of this.#tasksAt(worker)) {
      if (worker.tasks.has(task.id)) continue;
      const { state } = task;
      if (state.at !== "given" && state.at !== "claimed") continue;
      if (state.number === undefined || state.number >= number) continue;
      if (state.at === "given") this.#giver.give(task);
      else if (task.ending === undefined)
        this.#lose(task, `the worker ${worker.name} does not have it any more`);
    }
    this.#earlier.beat(worker);
    this.#tellRoom();
    return { type: "beat", unwanted: beat.tasks.filter((id) => !this.#isWanted(worker, id)) };
  }

  /** Whether a worker should have a task. */
  #isWanted(worker: FarWorker, id: string): boolean {
    const task = this.#tasks.get(id);
    if (task !== undefined) return task.isAt(worker);
    return this.#ended.has(id) || this.#left.has(id) || this.#earlier.mayBeWanted(id);
  }

  #claim(worker: FarWorker, id: string, number: number): ToWorkerAnswer {
    const task = this.#tasks.get(id);
    if (task === undefined) this.#earlier.unbegun(id);
    if (task === undefined || !task.isAt(worker))
      return { type: "no", because: "it was given to another, or is not wanted any more" };
    if (!task.isClaimedBy(worker)) task.claim(worker, number, this.name);
    return { type: "yes" };
  }

  #output(
    worker: FarWorker,
    { id, number: batch, lines }: Said<"output">,
    number: number,
  ): ToWorkerAnswer | undefined {
    const task = this.#runningAt(worker, id, number);
    if (task === undefined) return this.#unclaimed(id);
    if (isOlder(task, number)) return undefined;
    if (task.output(batch, lines)) return { type: "yes" };
    return { type: "no", because: "output before it is missing" };
  }

  #end(
    worker: FarWorker,
    { id, end }: Said<"end">,
    number: number,
  ): ToWorkerAnswer | Promise<ToWorkerAnswer | undefined> | undefined {
    const durable = this.#ended.durable(id);
    if (durable !== undefined) return durable.then(() => ({ type: "yes" }));
    const task = this.#runningAt(worker, id, number);
    if (task === undefined) {
      this.#ended.late(id, end);
      return this.#unclaimed(id);
    }
    if (isOlder(task, number)) return undefined;
    task.ending ??= this.#take(task, end).finally(() => (task.ending = undefined));
    return task.ending.then((taken) => {
      if (taken === "silent") return undefined;
      if (taken !== "taken") return { type: "lacks", hash: taken.lacks };
      return this.#ended.durable(id)?.then(() => ({ type: "yes" })) ?? { type: "yes" };
    });
  }

  /**
   * A task that a worker says something of. It began, if it was granted. One that was taken may end
   * before its claim: its worker cannot run it.
   */
  #runningAt(worker: FarWorker, id: string, number: number): GivenTask | undefined {
    const task = this.#tasks.get(id);
    if (task === undefined || !task.isAt(worker)) return undefined;
    const { state } = task;
    const isTaken = state.at === "given" && state.number !== undefined && number > state.number;
    if (isTaken || state.at === "granted") task.claim(worker, number - 1, this.name);
    return task?.isClaimedBy(worker) === true ? task : undefined;
  }

  /** What is said of a task that the worker does not have. Undefined: that is not known yet. */
  #unclaimed(id: string): ToWorkerAnswer | undefined {
    if (this.#ended.has(id)) return { type: "yes" };
    if (!this.#tasks.has(id) && (this.#left.has(id) || this.#earlier.mayBeWanted(id)))
      return undefined;
    return { type: "no", because: "it is not this worker's any more" };
  }

  /** Takes an end. */
  async #take(task: GivenTask, end: End): Promise<Taken> {
    if (end.kind === "died") {
      const { inFlight, alone, blameless, behind, because, code } = end;
      this.#heard(task);
      task.died({ inFlight, alone, blameless, behind, because, code });
      return "taken";
    }
    let result: TaskResult = end.result.ok
      ? end.result
      : { ...end.result, error: clipError(end.result.error) };
    if ("staged" in result) {
      const { staged } = result;
      try {
        const fetched = await fetchResult(this.#broker, staged, task.task.artifacts);
        task.objects.push(...staged.files.map(({ file }) => fileObject(file)));
        result = { ok: true, staged: fetched };
      } catch (error) {
        if (!(error instanceof NotWhole)) return "silent";
        if (error instanceof NotThere && task.mayLack()) return { lacks: error.hash };
        const message = `its result did not come whole from its worker: ${error.message}`;
        this.#log.warn({ place: this.name, task: task.id }, message);
        result = { ok: false, outcome: "failed", error: placeError(message) };
      }
    }
    // Given up, left or closed while the files came.
    if (this.#tasks.get(task.id) !== task || task.state.at === "over") {
      if ("staged" in result) removeStaged(result.staged.files);
      return "silent";
    }
    const { state, task: given } = task;
    if ("worker" in state && result.ok && given.kind === "module")
      state.worker.paced(given.code, end.durationMs);
    this.#heard(task);
    task.done(result, end.durationMs, this.#clock.now());
    return "taken";
  }

  /** The end of a task is heard. Its worker keeps it until it is durable. */
  #heard(task: GivenTask): void {
    this.#tasks.delete(task.id);
    if ("worker" in task.state) task.state.worker.hasEnded(task, this.#clock.monotonic());
    this.#ended.hear(task, () => this.#removeObjects(task));
    this.#tellRoom();
  }

  async #lack(worker: FarWorker, hash: string): Promise<ToWorkerAnswer | undefined> {
    for (const task of this.#tasks.values()) {
      const file = task.isAt(worker) ? task.sent.files.find((one) => one.hash === hash) : undefined;
      if (file === undefined) continue;
      try {
        await this.#files.put(file);
        return { type: "yes" };
      } catch (error) {
        if (error instanceof BrokerSilence) return undefined;
        this.#faults.tell(`a file of a task cannot be read: ${(error as Error).message}`);
        return { type: "no", because: "the daemon cannot read it" };
      }
    }
    return { type: "no", because: "no task of this worker needs it" };
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
    this.#tasks.set(id, given);
  }

  #gone(worker: FarWorker, because: string): void {
    for (const task of this.#tasksAt(worker)) {
      if (task.mayRun) this.#lose(task, because);
      else this.#giver.give(task);
    }
    this.#earlier.gone();
  }

  /** Calls a worker whose beat is overdue. */
  async #call(worker: FarWorker): Promise<void> {
    const { session, number } = worker;
    const isAbsent = await this.#told.call(worker);
    const isLate = worker.session !== session || worker.number !== number;
    if (isAbsent && !isLate && this.#broker.broker.state.up) this.#workers.missed(worker);
  }

  /** What a worker did not claim goes to another. */
  #regive(worker: FarWorker): void {
    for (const task of this.#tasksAt(worker)) if (task.state.at === "given") this.#giver.give(task);
  }

  #renumber(worker: FarWorker): void {
    this.#regive(worker);
    for (const { state } of this.#tasks.values())
      if (state.at === "claimed" && state.worker === worker) state.number = 0;
  }

  /** Its tasks as they are now: what hears of one may start others. */
  #tasksAt(worker: FarWorker): readonly GivenTask[] {
    return Array.from(this.#tasks.values()).filter((task) => task.isAt(worker));
  }

  /** Tells a task's worker to stop it. What turns out not to have begun ends here. */
  async #tellToStop(task: GivenTask): Promise<void> {
    const answer = await this.#told.stop(task);
    if (task.state.at !== "granted") return;
    if (answer?.type === "refused") this.#stopped(task);
    else if (answer?.type === "had") this.#lose(task, "its worker has ended it");
  }

  /** It was told to stop, and will not begin. */
  #stopped(task: GivenTask): void {
    this.#over(task);
    task.stopped(task.told?.because ?? "it was stopped", this.#clock.now());
  }

  /** Nobody takes it. */
  #refused(task: GivenTask, because: string): void {
    this.#over(task);
    task.lose(because, "unbegun");
  }

  #lose(task: GivenTask, because: string): void {
    this.#over(task);
    this.#ended.giveUp(task);
    task.lose(because, "lost");
  }

  /** A task is none of the place's any more. */
  #over(task: GivenTask): void {
    this.#tasks.delete(task.id);
    task.state = { at: "over" };
    this.#removeObjects(task);
    this.#tellRoom();
  }

  #removeObjects({ objects }: GivenTask): void {
    if (objects.length > 0) void this.#broker.remove(objects.splice(0)).catch(() => undefined);
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

/** Whether a worker said something before it claimed the task, or before it was adopted. */
function isOlder({ state }: GivenTask, number: number): boolean {
  return state.at === "claimed" && number <= state.number;
}

/** Which daemon's worker one is: two roots of one path on two machines are two. */
function rootId(root: string): string {
  return createHash("sha256").update(`${hostname()}\n${root}`).digest("hex").slice(0, 16);
}
