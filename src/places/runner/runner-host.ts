/**
 * The runner's main thread. It places the daemon's tasks on worker threads and in shells, limits
 * them, and ends them. It never runs a user's code.
 *
 * A piece (piece.ts) waits, runs, and is over. It is over when exactly one `done`, `aside` or
 * `stuck` was sent for it. Module steps and hooks share warm threads (warm-threads.ts). A piece
 * that is isolated, limited in memory or long-lived (a dynamic pipeline's function, an
 * orchestrator) has a thread of its own, which is used once.
 *
 * When the channel to the daemon closes, all that was started is ended, and the process with it.
 *
 * It stays one file: each way to the end of a piece meets the ways of its start here.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../clock.ts";
import { formatDuration } from "../../core/duration.ts";
import { FAILURE_CODES } from "../../core/failure.ts";
import type { FromThread } from "../../steps/thread-protocol.ts";
import { inheritedEnvironment } from "../../core/inherited-environment.ts";
import { errorCode } from "../../disk/disk-error.ts";
import { whatLacks } from "../../disk/process-start.ts";
import { RETRY_MS } from "../../disk/until-room.ts";
import { killByToken } from "../pool/kill-by-token.ts";
import type { ShellTask } from "../../core/task.ts";
import {
  dropResult,
  type RawResult,
  type RunnerSettings,
  type ToRunner,
} from "../pool/protocol.ts";
import { ClaimBook, leaveClaims } from "../pool/claims.ts";
import { FarClaimBook } from "../pool/far-claims.ts";
import { BundlePackages } from "./bundle-packages.ts";
import { Guard } from "./guard.ts";
import { watchMemoryLimits } from "./memory-limits.ts";
import { codeOf } from "./warm-threads.ts";
import { describeTask, endResult, resultOfThread, threadDeath, type Piece } from "./piece.ts";
import { LeftBehind } from "./left-behind.ts";
import { RunnerOutbox, type OutboxPorts } from "./runner-outbox.ts";
import { RunnerFrames, type GivenPiece } from "./runner-frames.ts";
import { Scratch, attemptPrefix } from "./scratch.ts";
import { ShellStep } from "./shell-step.ts";
import type { ShellListener } from "./shell-process.ts";
import { Spawner } from "./spawner.ts";
import { WarmThreads } from "./warm-threads.ts";
import { WorkerThread, type ThreadOptions } from "./worker-thread.ts";

/**
 * How long a thread may take to say that it heard an abort, in milliseconds. After that it counts
 * as blocked. On a busy machine a thread that is well has to wait for its turn.
 */
const HEARING_MS = 750;
/** How long a thread may take to end when it is told to, in milliseconds. */
const ENDING_MS = 500;
/** How long after its end a step may finish what it did not wait for, in milliseconds. */
const PENDING_MS = 1_000;

/** A shell step can end the spawner a little after its own end, in milliseconds. */
const LATE_DEATH_MS = 1_000;

/** Runs the tasks of one runner. */
export class RunnerHost {
  readonly #settings: RunnerSettings;
  readonly #packages: BundlePackages;
  readonly #outbox: RunnerOutbox;
  readonly #program: URL;
  readonly #guard: Guard;
  readonly #scratch: Scratch;
  readonly #leftBehind = new LeftBehind();
  readonly #spawner: Spawner;
  readonly #pieces = new Map<string, Piece>();
  readonly #frames = new RunnerFrames();
  readonly #warm: WarmThreads<Piece>;
  readonly #waitingShells: Piece[] = [];
  /** Those that need a thread of their own, which the machine does not start now. */
  readonly #threadless: Piece[] = [];
  /** Until then no thread is started: the last one could not be. */
  #noThreadUntil = 0;
  readonly #single = new Set<WorkerThread>();
  readonly #spares: WorkerThread[] = [];
  readonly #cores = availableParallelism();
  /** What is left in a file as the channel closes, and in which. */
  #claims: { readonly path: string; readonly book: ClaimBook | FarClaimBook } | undefined;
  #shells = 0;
  /** The shell step that ended last. */
  #lastShell: { readonly id: string; readonly at: number } | undefined;
  #wantsSpares = false;

  /**
   * @param program the built entry of a worker thread
   * @param send returns false where the daemon takes no more for now ({@link release})
   */
  constructor(settings: RunnerSettings, program: URL, send: OutboxPorts["send"]) {
    this.#settings = settings;
    this.#packages = new BundlePackages(settings.bundles);
    this.#program = program;
    this.#outbox = new RunnerOutbox({
      send,
      firsts: () => {
        this.#takeAllEnds();
        return this.#warm.firsts();
      },
      endsSoon: () => {
        this.#takeAllEnds();
        return this.#warm.endsSoon;
      },
      readShells: (isRead) => this.#readShells(isRead),
    });
    const claims = settings.wire?.claims;
    if (claims !== undefined) this.#claims = { path: claims, book: new FarClaimBook() };
    this.#guard = new Guard(settings.token, join(settings.scratch, attemptPrefix(process.pid)));
    if (settings.wire?.isTemporary === true) this.#guard.keeps(settings.wire.folder);
    this.#scratch = new Scratch(settings.scratch, this.#guard);
    this.#spawner = new Spawner(settings.token, (because, lost) => this.#loseShells(because, lost));
    this.#warm = new WarmThreads({
      cores: this.#cores,
      threads: settings.threads,
      newThread: (reused) => this.#newThread({ reused }),
      end: (thread) => void thread.end(ENDING_MS),
      given: (piece) => this.#limit(piece),
      takeEnds: () => this.#takeAllEnds(),
    });
    watchMemoryLimits(this.#pieces, (piece) => void this.#kill(piece));
  }

  /** Resolves when it may be given tasks. */
  get ready(): Promise<void> {
    return this.#guard.ready;
  }

  /** Takes the daemon's messages. */
  receive(batch: readonly ToRunner[]): void {
    for (const message of batch) {
      switch (message.type) {
        case "start":
          this.#take(message);
          break;
        case "frame":
          this.#frames.learn(message);
          break;
        case "step":
          this.#take(this.#frames.piece(message));
          break;
        case "forget":
          this.#frames.forget(message.frames);
          break;
        case "leave":
          this.#claims = { path: message.path, book: new ClaimBook(message) };
          break;
        case "expect":
          if (this.#claims?.book instanceof ClaimBook) this.#claims.book.expect(message.run);
          break;
        case "settled":
          this.#claims?.book.settle(message.ids);
          break;
        case "stop":
          this.#stop(message.id, message.mode, message.because);
          break;
        case "reply": {
          const { thread } = this.#pieces.get(message.id) ?? {};
          const seq = thread?.seqOf(message.id);
          if (seq !== undefined)
            thread!.post({
              type: "reply",
              seq,
              call: message.call,
              value: message.value,
              stored: message.stored,
              error: message.error,
            });
          break;
        }
      }
    }
    this.#pump();
  }

  /** The daemon takes more again. */
  release(): void {
    this.#outbox.release();
  }

  /** Leaves who had begun, and ends all that was started. */
  end(): void {
    this.#leaveClaims();
    // Before the groups: what is below a shell is found only while the shell lives.
    killByToken(this.#settings.token);
    for (const piece of this.#pieces.values()) piece.shell?.signal("SIGKILL");
  }

  #take({ id, head, body, frame, isMoved }: GivenPiece): void {
    const piece: Piece = { id, head, body, frame, timers: [] };
    this.#pieces.set(id, piece);
    if (head.kind === "module" || head.kind === "shell") this.#claims?.book.add(id, isMoved);
    this.#place(piece);
  }

  /** From here on no thread begins what has not begun: what is written stays true. */
  #leaveClaims(): void {
    if (this.#claims === undefined) return;
    const { path, book } = this.#claims;
    const waits = (piece: Piece): boolean =>
      piece.shell === undefined && (piece.thread?.takeBack(piece.id) ?? true);
    book.settle([...this.#pieces.values()].filter(waits).map(({ id }) => id));
    leaveClaims(path, book.claims);
  }

  #place(piece: Piece): void {
    const { head } = piece;
    if (head.kind === "shell") {
      this.#waitingShells.push(piece);
      return;
    }
    const ownThread =
      head.isolated ||
      head.memoryMb !== undefined ||
      head.kind === "dynamic" ||
      head.kind === "flavor" ||
      head.kind === "load";
    if (!ownThread) {
      this.#warm.add(piece);
      return;
    }
    if (head.isolated) this.#wantsSpares = true;
    const spare = head.memoryMb === undefined ? this.#spares.shift() : undefined;
    const thread = spare ?? this.#newThread({ reused: false, memoryMb: head.memoryMb });
    if (thread === undefined) return void this.#threadless.push(piece);
    this.#single.add(thread);
    this.#run(thread, piece);
  }

  #pump(): void {
    while (this.#waitingShells.length > 0 && this.#shells < this.#settings.threads)
      this.#runShell(this.#waitingShells.shift()!);
    this.#warm.pump();
  }

  /**
   * Undefined where the machine starts no more threads now (TasksMax=, ulimit -u). What needs one
   * waits: it has not begun.
   */
  #newThread(own: Pick<ThreadOptions, "reused" | "memoryMb">): WorkerThread | undefined {
    if (performance.now() < this.#noThreadUntil) return undefined;
    try {
      return this.#startThread(own);
    } catch (error) {
      if (errorCode(error) !== "ERR_WORKER_INIT_FAILED") throw error;
      this.#noThreadUntil = performance.now() + RETRY_MS;
      setTimeout(() => {
        for (const piece of this.#threadless.splice(0)) this.#place(piece);
        this.#pump();
        if (performance.now() < this.#noThreadUntil) this.#tellWaiting(whatLacks(error));
      }, RETRY_MS + 1).unref();
      return undefined;
    }
  }

  /** Says in the logs of what waits for a thread why it does, once. A load has no log. */
  #tellWaiting(because: string): void {
    for (const piece of [...this.#threadless, ...this.#warm.waiting]) {
      if (piece.isTold === true || piece.head.kind === "load") continue;
      piece.isTold = true;
      const at = new Date().toISOString();
      this.#outbox.output(piece.id, at, "orchd", [`${because}: it waits for a thread`]);
    }
  }

  #startThread(own: Pick<ThreadOptions, "reused" | "memoryMb">): WorkerThread {
    return new WorkerThread(
      {
        program: this.#program,
        bundles: this.#settings.bundles,
        packages: this.#packages,
        token: this.#settings.token,
        ...own,
        heapMb: this.#settings.memoryMb,
      },
      {
        message: (thread, message) => this.#onThread(thread, message),
        gone: (thread, error, exitCode) => this.#onGone(thread, error, exitCode),
      },
    );
  }

  #run(thread: WorkerThread, piece: Piece): void {
    piece.thread = thread;
    thread.run(piece, codeOf(piece.head));
    this.#limit(piece);
  }

  #runShell(piece: Piece): void {
    this.#shells += 1;
    const task = JSON.parse(piece.body) as ShellTask;
    piece.shell = new ShellStep(piece.id, task, {
      scratch: this.#scratch,
      token: this.#settings.token,
      guard: this.#guard,
      leftBehind: this.#leftBehind,
      baseEnv: inheritedEnvironment(process.env),
      spares: this.#spawner.spares,
      start: (command, listener) => this.#spawner.start(command, listener),
      output: (stream, lines) =>
        this.#outbox.output(piece.id, new Date().toISOString(), stream, lines),
      ended: (result, durationMs, startedAt) => {
        this.#shells -= 1;
        this.#lastShell = { id: piece.id, at: performance.now() };
        this.#finish(piece, result, durationMs, startedAt);
        this.#pump();
      },
    });
    piece.shell.start();
    this.#limit(piece);
  }

  #limit(piece: Piece): void {
    const { timeoutMs } = piece.head;
    if (timeoutMs === undefined || !this.#pieces.has(piece.id)) return;
    const limit = formatDuration(timeoutMs);
    const because = `${describeTask(piece.head)} was not done within its time limit of ${limit}`;
    const end = (): void => this.#end(piece, "timeout", because, true);
    piece.timers.push(systemClock.after(timeoutMs, end));
  }

  #stop(id: string, mode: "graceful" | "force", because: string): void {
    this.#takeAllEnds();
    const piece = this.#pieces.get(id);
    if (piece === undefined) return;
    const line = [this.#waitingShells, this.#threadless].find((one) => one.includes(piece));
    if (line !== undefined) line.splice(line.indexOf(piece), 1);
    else if (!this.#warm.withdraw(piece)) {
      this.#end(piece, "stopped", because, mode === "force");
      return;
    }
    this.#finish(
      piece,
      { ok: false, outcome: "stopped", error: { name: "Stopped", message: because } },
      0,
      Date.now(),
    );
  }

  /**
   * Tells a running piece to end. With `forced` it is ended after its grace period, or at once if
   * it cannot hear.
   */
  #end(piece: Piece, outcome: "stopped" | "timeout", because: string, forced: boolean): void {
    const before = piece.ending;
    if (before !== undefined && (before.forced || !forced)) return;
    piece.ending = {
      outcome: before?.outcome ?? outcome,
      because: before?.because ?? because,
      forced,
      heard: before?.heard ?? false,
    };
    if (before === undefined) {
      piece.shell?.signal("SIGTERM");
      const seq = piece.thread?.seqOf(piece.id);
      if (seq !== undefined)
        piece.thread!.post({
          type: "abort",
          seq,
          reason: outcome === "timeout" ? "timeout" : "stop",
          because,
        });
    }
    if (!forced) return;
    const { gracePeriodMs } = piece.head;
    piece.timers.push(systemClock.after(gracePeriodMs, () => void this.#kill(piece)));
    if (piece.thread !== undefined) {
      piece.timers.push(
        systemClock.after(HEARING_MS, () => {
          if (piece.ending?.heard !== true) void this.#kill(piece);
        }),
      );
    }
  }

  async #kill(piece: Piece): Promise<void> {
    this.#takeAllEnds();
    if (piece.killing === true || !this.#pieces.has(piece.id)) return;
    piece.killing = true;
    piece.shell?.kill();
    const { thread } = piece;
    if (thread === undefined) return;
    const holdsIt = this.#warm.isolate(thread, piece);
    if (holdsIt) this.#warm.leave(thread);
    this.#pump();
    if (!holdsIt) return;
    // A thread in `execSync` cannot end before its child has ended.
    killByToken(`${this.#settings.token}/${piece.id}`);
    if (await thread.end(ENDING_MS)) return;
    if (!this.#pieces.has(piece.id)) return;
    // They start elsewhere, and nowhere here: this runner may live a moment longer.
    const waiting = [
      ...this.#warm.withdrawAll(),
      ...this.#waitingShells.splice(0),
      ...this.#threadless.splice(0),
    ];
    const unstarted = waiting.map(({ id }) => id);
    for (const id of [...unstarted, piece.id]) this.#pieces.delete(id);
    this.#claims?.book.settle(unstarted);
    this.#outbox.say({
      type: "stuck",
      id: piece.id,
      result: endResult(piece),
      durationMs: 0,
      startedAt: Date.now(),
      unstarted,
    });
  }

  /** Takes the quick ends of all threads that may have any. */
  #takeAllEnds(): void {
    for (const thread of this.#warm.threads) this.#takeEnds(thread);
  }

  #takeEnds(thread: WorkerThread): void {
    for (let end = thread.takeEnd(); end !== undefined; end = thread.takeEnd()) {
      const { seq, json, startedAt, durationMs } = end;
      const id = thread.idOf(seq);
      const piece = id === undefined ? undefined : this.#pieces.get(id);
      thread.answered(seq);
      if (piece === undefined) continue;
      this.#warm.ended(thread, piece, durationMs);
      this.#finish(piece, { ok: true, json }, durationMs, startedAt);
    }
  }

  #onThread(thread: WorkerThread, message: FromThread): void {
    this.#takeEnds(thread);
    if (message.type === "ready" || message.type === "ended") {
      this.#pump();
      return;
    }
    if (message.type === "spoiled") {
      this.#retire(thread);
      this.#pump();
      return;
    }
    const id = thread.idOf(message.seq);
    const piece = id === undefined ? undefined : this.#pieces.get(id);
    switch (message.type) {
      case "heard":
        if (piece?.ending !== undefined) piece.ending.heard = true;
        break;
      case "call":
        if (piece !== undefined)
          this.#outbox.call(
            {
              type: "call",
              id: piece.id,
              call: message.call,
              method: message.method,
              argument: message.argument,
            },
            message.length,
          );
        break;
      case "output":
        if (piece !== undefined)
          this.#outbox.output(piece.id, message.at, message.stream, message.lines);
        this.#outbox.printed(thread);
        break;
      case "done": {
        thread.answered(message.seq);
        if (message.bound === true) thread.bound = true;
        if (piece !== undefined) {
          this.#warm.ended(thread, piece, message.durationMs);
          if (message.spawned) killByToken(`${this.#settings.token}/${piece.id}`);
          this.#finish(piece, resultOfThread(message), message.durationMs, message.startedAt);
        }
        if (this.#single.has(thread) || message.retire !== undefined)
          this.#retire(thread, message.pending === true ? PENDING_MS : 0);
        this.#pump();
        break;
      }
    }
  }

  #retire(thread: WorkerThread, inMs = 0): void {
    this.#warm.leave(thread);
    if (inMs === 0) void thread.end(ENDING_MS);
    else setTimeout(() => void thread.end(ENDING_MS), inMs);
  }

  #onGone(thread: WorkerThread, error: Error | undefined, exitCode: number): void {
    this.#takeEnds(thread);
    this.#warm.leave(thread);
    this.#single.delete(thread);
    const spare = this.#spares.indexOf(thread);
    if (spare !== -1) this.#spares.splice(spare, 1);
    const piece = thread.current === undefined ? undefined : this.#pieces.get(thread.current);
    if (piece !== undefined) {
      killByToken(`${this.#settings.token}/${piece.id}`);
      const told = piece.ending !== undefined || piece.fault !== undefined;
      if (piece.aside !== undefined && piece.ending === undefined)
        this.#setAside(piece, piece.aside, FAILURE_CODES.memory, [...this.#pieces.keys()]);
      else
        this.#finish(
          piece,
          told
            ? endResult(piece)
            : {
                ok: false,
                outcome: "failed",
                error: threadDeath(piece, error, exitCode, this.#settings.memoryMb),
              },
          0,
          Date.now(),
        );
    }
    this.#refillSpares();
    this.#pump();
  }

  /** Keeps one spare thread a core, once there was an isolated step. */
  #refillSpares(): void {
    if (!this.#wantsSpares || this.#pieces.size > 0) return;
    while (this.#spares.length < this.#cores) {
      const spare = this.#newThread({ reused: false });
      if (spare === undefined) return;
      this.#spares.push(spare);
    }
  }

  /** Ends the shell steps whose spawner died: any of them may have ended it. */
  #loseShells(because: string, lost: ReadonlySet<ShellListener>): void {
    const pieces = [...this.#pieces.values()].filter(
      ({ shell }) => shell !== undefined && lost.has(shell),
    );
    for (const { shell } of pieces) shell!.abandon();
    this.#shells -= lost.size;
    const suspects = pieces.map(({ id }) => id);
    const last = this.#lastShell;
    if (last !== undefined && performance.now() - last.at < LATE_DEATH_MS) suspects.push(last.id);
    for (const piece of pieces)
      if (piece.ending !== undefined || piece.fault !== undefined)
        this.#finish(piece, endResult(piece), 0, Date.now());
      else this.#setAside(piece, because, FAILURE_CODES.runnerDied, suspects);
    this.#pump();
  }

  /**
   * Ends a piece that may not be to blame: it starts again where nothing else can be.
   *
   * @param suspects the ids of the pieces that may be to blame, perhaps its own among them
   */
  #setAside(piece: Piece, because: string, code: string, suspects: readonly string[]): void {
    this.#pieces.delete(piece.id);
    for (const timer of piece.timers) timer.cancel();
    const beside = suspects.filter((id) => id !== piece.id);
    this.#outbox.say({ type: "aside", id: piece.id, beside, because, code });
  }

  #readShells(isRead: boolean): void {
    this.#spawner.read(isRead);
    for (const { shell } of this.#pieces.values()) shell?.read(isRead);
  }

  #finish(piece: Piece, result: RawResult, durationMs: number, startedAt: number): void {
    if (!this.#pieces.delete(piece.id)) return;
    for (const timer of piece.timers) timer.cancel();
    const asked = piece.ending;
    // A step that failed after it was told to end has done so. A step whose time was up was too
    // late, whatever it answers.
    const told = asked !== undefined && (asked.outcome === "timeout" || !result.ok);
    if (told || piece.fault !== undefined) dropResult(result);
    this.#outbox.say({
      type: "done",
      id: piece.id,
      result: told || piece.fault !== undefined ? endResult(piece) : result,
      // As the ledger has it: to write and read ten more digits costs as much as the rest.
      durationMs: Math.round(durationMs * 1_000) / 1_000,
      startedAt,
    });
    this.#refillSpares();
  }
}
