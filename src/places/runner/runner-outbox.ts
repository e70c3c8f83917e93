/**
 * What a runner says to the daemon, in batches: all of one turn of the event loop together.
 *
 * A batch costs both sides as much as ten ends of brief steps. So while threads work on further
 * brief steps, good ends wait for those, for a millisecond at most. All else is said at once, and
 * what waits before it
 * (docs/adr/0093-ends-wait-for-those-that-come-soon.md).
 *
 * Where the daemon takes nothing for a while, what is said piles up, and most of it is output. Then
 * the brake is on: threads that print wait, and nothing is read of what shells print. So what piles
 * up stays small, however long the daemon is away.
 */
import type { OutputLine } from "../../core/task.ts";
import type { FromRunner } from "../pool/protocol.ts";

/** How long the calls and the lines of one batch are at most, but its last: UTF-16 code units. */
const BATCH_LENGTH = 262_144;
/** How many lines of output the daemon gets in one message: short lines may be very many. */
const LINES_AT_ONCE = 2_000;

/** How long ends wait at most for others, in milliseconds. */
const WAIT_MS = 1;
/** How many ends wait at most. */
const MOST_WAITING = 32;

/** What is needed of the runner. */
export interface OutboxPorts {
  /** Sends a batch. @returns false: no more for now, until {@link RunnerOutbox.release} */
  send(batch: FromRunner[]): boolean | void;
  /** The ids of the tasks that the threads work on, where others wait behind them. */
  firsts(): readonly string[];
  /** Takes the ends that are there. @returns whether a thread is about to end another step */
  endsSoon(): boolean;
  /** What shells print is read, or not. */
  readShells(isRead: boolean): void;
}

/** Collects what a runner says. */
export class RunnerOutbox {
  readonly #ports: OutboxPorts;
  #batch: FromRunner[] = [];
  /** It holds nothing but good ends. */
  #mayWait = true;
  /** It is looked at as this turn ends. */
  #isDue = false;
  /** It waits for ends that come soon. */
  #wait: NodeJS.Timeout | undefined;
  /** How long the calls (as JSON) and the lines in it are, in UTF-16 code units. */
  #length = 0;
  /** The ids that the daemon was told last, in a text. */
  #begun = "";
  #isBraked = false;
  /** Threads that printed meanwhile: they wait to hear that it was taken. */
  readonly #printers: { heard(): void }[] = [];

  constructor(ports: OutboxPorts) {
    this.#ports = ports;
  }

  /** Says it in this turn, or a good end soon. */
  say(message: FromRunner): void {
    this.#batch.push(message);
    if (message.type !== "done" || !message.result.ok) this.#mayWait = false;
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => this.#endTurn());
  }

  /** Says a call. @param length of its argument's JSON */
  call(message: FromRunner, length: number): void {
    this.say(message);
    this.#count(length);
  }

  /** Says what a task printed. */
  output(id: string, at: string, stream: OutputLine["stream"], lines: readonly string[]): void {
    for (let from = 0; from < lines.length;) {
      const end = endOfSome(lines, from);
      this.say({ type: "output", id, at, stream, lines: lines.slice(from, end.at) });
      if (end.at - from === LINES_AT_ONCE) this.#flush();
      else this.#count(end.length);
      from = end.at;
    }
  }

  /** A thread has printed: it may print more, now or later. */
  printed(thread: { heard(): void }): void {
    if (this.#isBraked) this.#printers.push(thread);
    else thread.heard();
  }

  /** The daemon takes more. */
  release(): void {
    if (!this.#isBraked) return;
    this.#isBraked = false;
    this.#ports.readShells(true);
    for (const thread of this.#printers.splice(0)) thread.heard();
  }

  /** The daemon takes in a batch at once. */
  #count(length: number): void {
    if ((this.#length += length) > BATCH_LENGTH) this.#flush();
  }

  #endTurn(): void {
    // What is taken now is in this batch too.
    const isMore = this.#mayWait && this.#ports.endsSoon();
    this.#isDue = false;
    if (isMore && this.#mayWait && this.#batch.length < MOST_WAITING)
      this.#wait ??= setTimeout(() => this.#flush(), WAIT_MS);
    else this.#flush();
  }

  #flush(): void {
    if (this.#batch.length === 0) return;
    clearTimeout(this.#wait);
    this.#wait = undefined;
    const ids = this.#ports.firsts();
    const batch = this.#batch;
    this.#batch = [];
    this.#mayWait = true;
    this.#length = 0;
    if (ids.length > 0 && ids.join() !== this.#begun) batch.push({ type: "begun", ids });
    this.#begun = ids.join();
    if (this.#ports.send(batch) !== false || this.#isBraked) return;
    this.#isBraked = true;
    this.#ports.readShells(false);
  }
}

/** Where the lines that go into one message end, and how long they are together. */
function endOfSome(lines: readonly string[], from: number): { at: number; length: number } {
  let [at, length] = [from, 0];
  while (at < lines.length && at - from < LINES_AT_ONCE && length <= BATCH_LENGTH)
    length += lines[at++]!.length;
  return { at, length };
}
