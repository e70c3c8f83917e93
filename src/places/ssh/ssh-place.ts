/**
 * The **place** for steps on another machine, by the OpenSSH client: a pool of runners behind the
 * stdin and stdout of commands there (pool/stream-runner.ts), which share one connection
 * (ssh-connection.ts).
 *
 * It takes steps while it is **ready**: the connection is up, the package of this very build is
 * there, and the host was *taken*, so that nothing of an earlier daemon is left or can begin
 * (far-side.ts). It is looked at each time the connection comes up, and again after a while where
 * something was missing: so `orchd place prepare` is noticed.
 *
 * - The daemon dies: its runners there end with their input, or with their lease where the link is
 *   dead too. The next daemon takes the host before it starts anything; `adopt` waits for that, or
 *   until every lease is over. None of their steps is ever adopted.
 * - A client dies, or the link: the runner there ends by itself. The place makes sure by a further
 *   command; where it cannot, the pool waits until the lease is over. Only then is a task `died`,
 *   and nobody is to blame.
 * - A runner cannot be started: its tasks are told that they had not begun, and the place is not
 *   ready until it was looked at again, later each time. So nothing starts over and over.
 */
import { join } from "node:path";
import type { Timer } from "../../clock.ts";
import { defined } from "../../core/defined.ts";
import { FAILURE_CODES } from "../../core/failure.ts";
import { wantedBy, type Lane, type Room } from "../../core/lane.ts";
import type { PlaceReport } from "../../core/place-report.ts";
import type { SshPlaceSettings } from "../../core/place-settings.ts";
import type { PlacedAt } from "../../core/run-state.ts";
import type { SnapshotStep } from "../../core/snapshot.ts";
import type { Task } from "../../core/task.ts";
import type { TaskFrame } from "../../core/task-frame.ts";
import type { FarPlace, FarPlaceOptions, MakeFarPlace } from "../far-place.ts";
import { LatePlacings } from "../late-placing.ts";
import type { StartOptions, TaskHandlers } from "../place.ts";
import type { LaunchRunner } from "../pool/runner-process.ts";
import { RunnerPool } from "../pool/runner-pool.ts";
import { leftClaims, mayHaveBegun, type LeftClaims } from "../pool/far-claims.ts";
import type { CommandEnd, EndedRunner } from "../pool/stream-place.ts";
import { streamRunner } from "../pool/stream-runner.ts";
import { PATIENCE_MS, WIRE_PROTOCOL } from "../pool/wire.ts";
import { farPackage } from "./far-package.ts";
import { claimsFolder } from "./far-side.ts";
import { filesFolder, hostCommand } from "./host-commands.ts";
import { placeToken } from "./place-token.ts";
import { lookAt, tryPackage, type FarMachine } from "./prepare.ts";
import { SshConnection, type ConnectionState } from "./ssh-connection.ts";
import { lastLine } from "./ssh-sentence.ts";
import { hostText } from "./ssh-words.ts";

/** When a machine that was not ready is looked at again, in milliseconds: at first, and at most. */
const FIRST_LOOK_MS = 2_000;
const LONGEST_LOOK_MS = 30_000;
/** How long to rest before a look whether anything of a runner is left, in milliseconds. */
const SURE_REST_MS = 100;

/** Whether steps may start there. */
type Readiness =
  | { readonly ready: true; readonly machine: FarMachine }
  /** A sentence. */
  | { readonly ready: false; readonly because: string };

interface Listeners {
  readonly capacity: Set<() => void>;
  readonly report: Set<() => void>;
}

/** Makes the place. */
export const openSshPlace: MakeFarPlace<SshPlaceSettings> = (options) => new SshPlace(options);

/** Runs steps on another machine. */
export class SshPlace implements FarPlace {
  readonly name: string;
  readonly #options: FarPlaceOptions<SshPlaceSettings>;
  /** By which a root's place knows its processes there, and the daemon's own number in it. */
  readonly #token: string;
  readonly #epoch: number;
  readonly #labels: readonly string[];
  /** Where its steps begin, as their lines say. */
  readonly #at: PlacedAt;
  readonly #placings: LatePlacings;
  readonly #connection: SshConnection;
  readonly #pool: RunnerPool;
  readonly #launchStream: LaunchRunner;
  readonly #tasks = new Set<string>();
  readonly #listeners: Listeners = { capacity: new Set(), report: new Set() };
  #readiness: Readiness;
  /** What is known of the machine, from when it was looked at last. */
  #machine: FarMachine | undefined;
  #look: Timer | undefined;
  #lookAfter = FIRST_LOOK_MS;
  /** Nothing of an earlier daemon is left there. */
  #isTaken = false;
  readonly #untilTaken = new Set<() => void>();
  /** Ids that `adopt` was asked for and did not answer yet. */
  #asked = 0;
  /** All ids that it was asked for. */
  readonly #everAsked = new Set<string>();
  /** What the last runner of an earlier daemon left. */
  #earlier: LeftClaims | undefined;
  #closed = false;

  /** @throws a Node error if the place's folder cannot be made */
  constructor(options: FarPlaceOptions<SshPlaceSettings>) {
    const { clock, log, name, settings, bundles } = options;
    this.#options = options;
    this.name = name;
    this.#token = placeToken(options.folder, name);
    this.#epoch = Number(options.token.slice(options.token.lastIndexOf(".") + 1));
    this.#labels = [...new Set([name, ...settings.labels])];
    this.#at = { place: name, host: settings.host, ref: `${this.#token}.${this.#epoch}` };
    this.#placings = new LatePlacings(clock);
    this.#readiness = { ready: false, because: `${hostText(settings)} is being connected to` };
    this.#connection = new SshConnection({
      clock,
      settings,
      onState: (state) => this.#connectionIs(state),
    });
    const folder = (): string => filesFolder(this.#machine!.folder, farPackage().id);
    this.#launchStream = streamRunner({
      clock,
      where: `on ${hostText(settings)}`,
      // It is known once the machine was looked at, and no runner is started before.
      get folder() {
        return folder();
      },
      command: (own) => ({ words: this.#runWords(own) }),
      claims: (number) => join(this.#claimsFolder(), `${this.#epoch}.${number}`),
      end: (own, number) => this.#makeSure(own, `${this.#epoch}.${number}`),
      explain: (end) => this.#explain(end),
    });
    const { threads, memoryMb } = settings;
    const token = `${this.#token}.${this.#epoch}`;
    this.#pool = new RunnerPool({
      clock,
      log,
      launch: (...given) => this.#launch(...given),
      settings: { threads, memoryMb, bundles, scratch: "", token },
    });
    this.#pool.onCapacity(() => this.#tell("capacity"));
    this.#connection.open();
  }

  serves(labels: readonly string[]): boolean {
    return labels.every((label) => this.#labels.includes(label));
  }

  room(kind: "module" | "shell", labels: readonly string[]): number {
    return this.#readiness.ready && this.serves(labels) ? this.#pool.room(kind) : 0;
  }

  /** How many more steps of each kind may start now. */
  capacity(): Room {
    return this.#readiness.ready ? this.#pool.capacity() : { module: 0, shell: 0 };
  }

  /** How much room a step takes: less than 1 where steps of its function are brief. */
  share(spec: SnapshotStep): number {
    return this.#pool.share(spec);
  }

  has(id: string): boolean {
    return this.#tasks.has(id);
  }

  get tasks(): number {
    return this.#tasks.size + this.#asked;
  }

  whyNot(): string | undefined {
    return this.#readiness.ready ? undefined : this.#readiness.because;
  }

  report(): PlaceReport {
    const { name, settings } = this.#options;
    const labels = this.#labels;
    const because = this.whyNot();
    const { host, threads } = settings;
    const known = this.#machine && {
      node: this.#machine.node,
      platform: this.#machine.platform,
      version: farPackage().version,
      protocol: WIRE_PROTOCOL,
    };
    // The place's labels are its one machine's.
    const hosts = [defined({ host, labels: [], threads, ...known, because })];
    return defined({ place: name, engine: "ssh", labels, hosts, because });
  }

  onReport(callback: () => void): () => void {
    this.#listeners.report.add(callback);
    return () => void this.#listeners.report.delete(callback);
  }

  onCapacity(callback: () => void): () => void {
    this.#listeners.capacity.add(callback);
    return () => void this.#listeners.capacity.delete(callback);
  }

  promise(lane: Lane, share?: number): void {
    this.#pool.promise(kindOf(lane), share);
  }

  redeem(lane: Lane, share?: number): void {
    this.#pool.redeem(kindOf(lane), share);
  }

  /**
   * Starts a task there. One that cannot even begin hears `died`, and that nobody is to blame.
   *
   * @throws Error if the place is closed, or `id` is in use
   */
  start(id: string, task: Task, handlers: TaskHandlers, options?: StartOptions): void {
    if (this.#closed) throw new Error(`"${id}" cannot be started: the place is closed`);
    if (this.#tasks.has(id)) throw new Error(`"${id}" was started already and has not ended`);
    this.#tasks.add(id);
    if (!this.#readiness.ready) {
      // It was ready when the start was decided, and that was written down meanwhile.
      const { because } = this.#readiness;
      const death = { inFlight: [id], alone: true, blameless: "unbegun", because } as const;
      queueMicrotask(() => {
        this.#tasks.delete(id);
        handlers.died({ ...death, code: FAILURE_CODES.place });
      });
      return;
    }
    this.#pool.start(id, task, this.#hearing(id, handlers), options);
  }

  /** Who hears of a task that begins now. */
  #hearing(id: string, handlers: TaskHandlers): TaskHandlers {
    const hearing = this.#placings.of(handlers, () => this.#tasks.delete(id));
    hearing.placed(this.#at);
    return hearing;
  }

  forget(frame: TaskFrame): void {
    this.#pool.forget(frame);
  }

  stop(id: string, mode: "graceful" | "force", because: string): void {
    this.#pool.stop(id, mode, because);
  }

  /** Answers that nothing lives, once that is sure. */
  async adopt(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const { clock, since } = this.#options;
    for (const id of ids) this.#everAsked.add(id);
    const left = since + PATIENCE_MS - clock.monotonic();
    if (ids.length === 0 || this.#isTaken || left <= 0) return new Set();
    this.#asked += ids.length;
    await new Promise<void>((resolve) => {
      const timer = clock.after(left, resolve);
      this.#untilTaken.add(() => {
        timer.cancel();
        resolve();
      });
    });
    this.#asked -= ids.length;
    this.#tell("capacity");
    return new Set();
  }

  /** Whether a task that it was asked for may have begun there. */
  mayHaveBegun(id: string): boolean | "not here" | undefined {
    if (!this.#everAsked.has(id)) return undefined;
    return this.#earlier === undefined || mayHaveBegun(this.#earlier, id) ? true : "not here";
  }

  /** Ends all runners there, and the connection. No handler is called any more. */
  async close(force: boolean): Promise<void> {
    this.#closed = true;
    this.#placings.end();
    this.#look?.cancel();
    for (const resolve of this.#untilTaken) resolve();
    await this.#pool.close({ force });
    await this.#connection.close();
  }

  #connectionIs(state: ConnectionState): void {
    this.#look?.cancel();
    switch (state.kind) {
      case "up":
        void this.#lookAround();
        break;
      case "connecting":
        break;
      case "down":
        this.#unready(state.because);
    }
  }

  /** Sees whether steps can run there, and ends what an earlier daemon left. */
  async #lookAround(): Promise<void> {
    const { name, settings } = this.#options;
    let looked: Awaited<ReturnType<typeof lookAt>>;
    try {
      looked = await lookAt(this.#connection, settings);
    } catch (error) {
      looked = { ok: false, because: (error as Error).message };
    }
    if (!looked.ok) return this.#lookLater(looked.because);
    const { machine } = looked;
    this.#machine = machine;
    if (machine.state !== "whole")
      return this.#lookLater(
        `orchd of this release is not on ${hostText(settings)}: ` +
          `run \`orchd place prepare ${name}\``,
      );
    const taken = await this.#take(machine, this.#isTaken ? [] : [this.#token]);
    if (!taken.ok) return this.#lookLater(taken.because);
    if (!this.#isTaken) this.#earlier = leftClaims(taken.answer.claims);
    this.#isTaken = true;
    for (const resolve of this.#untilTaken) resolve();
    this.#untilTaken.clear();
    if (this.#connection.state.kind === "up") this.#ready(machine);
  }

  #claimsFolder(): string {
    return claimsFolder({ folder: this.#machine!.folder, token: this.#token });
  }

  #take(machine: FarMachine, ends: readonly string[]): ReturnType<typeof tryPackage> {
    const { settings } = this.#options;
    const words = ["take", ...this.#rootWords(machine), ...ends];
    const command = hostCommand(settings, machine.folder, farPackage().id, words);
    return tryPackage(this.#connection, settings, command, WIRE_PROTOCOL);
  }

  /** Which root, place and daemon this is, as far-side.ts reads it. */
  #rootWords({ folder }: FarMachine): string[] {
    return [folder, this.#token, String(this.#epoch)];
  }

  #ready(machine: FarMachine): void {
    if (this.#closed) return;
    this.#lookAfter = FIRST_LOOK_MS;
    if (!this.#readiness.ready) {
      const { node, platform } = machine;
      this.#options.log.info({ place: this.name, node, platform }, "a place is ready for steps");
    }
    this.#readiness = { ready: true, machine };
    this.#tell("report");
    this.#tell("capacity");
  }

  #unready(because: string): void {
    if (this.#closed) return;
    const before = this.#readiness;
    this.#readiness = { ready: false, because };
    if (!before.ready && before.because === because) return;
    this.#options.log.warn({ place: this.name }, `a place takes no steps: ${because}`);
    this.#tell("report");
  }

  #lookLater(because: string): void {
    if (this.#closed) return;
    if (this.#connection.state.kind === "up") {
      this.#look?.cancel();
      this.#look = this.#options.clock.after(this.#lookAfter, () => void this.#lookAround());
      this.#lookAfter = Math.min(2 * this.#lookAfter, LONGEST_LOOK_MS);
      this.#unready(because);
    }
  }

  /** The words that start a runner there. */
  #runWords(own: string): [string, ...string[]] {
    const { settings } = this.#options;
    const machine = this.#machine!;
    const { id } = farPackage();
    const words = ["run", ...this.#rootWords(machine)];
    const command = hostCommand(settings, machine.folder, id, words, own);
    return ["ssh", ...this.#connection.words(command)];
  }

  #launch(
    ...[settings, number, alone, listener]: Parameters<LaunchRunner>
  ): ReturnType<LaunchRunner> {
    return this.#launchStream(settings, number, alone, {
      ...listener,
      exit: (exit) => {
        if (exit.blameless === "unbegun") this.#lookLater(`the runner ${exit.detail}`);
        listener.exit(exit);
      },
    });
  }

  /**
   * Makes sure that nothing of a runner is left, for as long as that helps. Never rejects.
   *
   * @param name by which it leaves its claims
   */
  async #makeSure(own: string, name: string): Promise<EndedRunner | undefined> {
    const { clock } = this.#options;
    const until = clock.monotonic() + PATIENCE_MS;
    // A client that has ended may be the first sign that the link is dead.
    while (!this.#closed && clock.monotonic() < until) {
      await new Promise<void>((resolve) => void clock.after(SURE_REST_MS, resolve));
      if (!this.#readiness.ready) continue;
      const taken = await this.#take(this.#readiness.machine, [own]);
      if (taken.ok) {
        const claims = leftClaims(taken.answer.claims);
        return claims?.runner === name ? { claims } : {};
      }
      if (taken.isOver === true) return {};
    }
    return undefined;
  }

  #explain({ status, said }: CommandEnd): string | undefined {
    if (status === 255) {
      const line = lastLine(said);
      return `lost its connection${line === undefined ? "" : `: ${line}`}`;
    }
    // Node ends with its version, some lines after the error.
    const error = said.split("\n").findLast((line) => /^\w*Error\b.*: /.test(line));
    return error === undefined ? undefined : `ended with status ${status}: ${lastLine(error)}`;
  }

  #tell(what: keyof Listeners): void {
    if (!this.#closed) for (const callback of this.#listeners[what]) callback();
  }
}

/** What a lane is for: a place has the same room for all of its lanes of one kind. */
function kindOf(lane: Lane): Lane {
  return wantedBy(lane)?.kind ?? lane;
}
