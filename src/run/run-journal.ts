/**
 * Append -> evolve -> act: in this order for all that can be seen from outside.
 *
 * An event is folded into the state at once, so that the next decision sees it. It goes to the disk
 * with all else that was decided in the same turn: one append, one fdatasync. What an event allows
 * (starting a step, answering a request) is given to `afterwards`, and happens when all events
 * before it are durable. So the state may be ahead of the disk, but an act never is.
 *
 * The journal is the only writer of its ledger. So it knows a line's seq before the line is
 * written. A step's fencing token is that seq.
 */
import type { Clock } from "../clock.ts";
import type { RunEvent } from "../core/event.ts";
import { evolveEvent } from "../core/run-fold.ts";
import type { RunState } from "../core/run-state.ts";
import { errorOf } from "../core/thrown.ts";
import { iso } from "../core/time.ts";
import { LedgerOverwritten } from "../ledger/ledger-error.ts";
import type { LedgerFile } from "../ledger/ledger-file.ts";
import type { Log } from "../log.ts";

/** Writes one run's ledger. */
export class RunJournal {
  readonly state: RunState;
  /** Resolves, with the reason, when the ledger can no longer be written. */
  readonly broke: Promise<Error>;
  readonly #file: LedgerFile<RunEvent>;
  readonly #clock: Clock;
  readonly #log: Log;
  #events: RunEvent[] = [];
  #acts: (() => void)[] = [];
  #at = "";
  #inFlight = 0;
  #durable: Promise<void> = Promise.resolve();
  #broken = false;
  #resolveBroke!: (error: Error) => void;

  /** @param state the fold of all that the file holds */
  constructor(state: RunState, file: LedgerFile<RunEvent>, clock: Clock, log: Log) {
    this.state = state;
    this.#file = file;
    this.#clock = clock;
    this.#log = log;
    this.broke = new Promise((resolve) => (this.#resolveBroke = resolve));
  }

  /** Looks whether somebody touched the ledger, and mends it if so. Cheap. */
  look(): void {
    this.#file.look()?.catch((error: unknown) => {
      if (error instanceof LedgerOverwritten) this.break(error);
    });
  }

  /** The ledger can no longer be written. */
  break(error: Error): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#log.error(
      { run: this.state.run, err: error },
      `the ledger of run ${this.state.run} can no longer be written`,
    );
    this.#resolveBroke(error);
  }

  /** Whether the ledger can no longer be written. Then nothing is decided or done any more. */
  get broken(): boolean {
    return this.#broken;
  }

  /** The time of this turn's lines, ISO 8601. */
  get at(): string {
    if (this.#at === "") this.#at = iso(this.#clock.now());
    return this.#at;
  }

  /**
   * Folds an event into the state. Its line is written with the others of this turn.
   *
   * @param line what is written, if long fields were put aside
   * @returns the time of the line, ISO 8601
   */
  emit(event: RunEvent, line: RunEvent = event): string {
    const { at } = this;
    const seq = this.state.lastSeq + 1;
    evolveEvent(this.state, event, seq, at);
    this.#events.push(line);
    return at;
  }

  /** Acts as soon as all that was emitted so far is durable. */
  afterwards(act: () => void): void {
    this.#acts.push(act);
  }

  /**
   * Ends the turn: writes what was emitted. Resolves when that is durable and its acts are done;
   * never if the ledger is broken.
   */
  flush(): Promise<void> {
    if (this.#events.length === 0 && this.#acts.length === 0) return this.#durable;
    const events = this.#events;
    const acts = this.#acts;
    const at = this.#at;
    this.#events = [];
    this.#acts = [];
    this.#at = "";
    if (events.length > 0) return (this.#durable = this.#write(events, at, acts));
    if (this.#inFlight === 0) this.#act(acts);
    else this.#durable = this.#durable.then(() => this.#act(acts));
    return this.#durable;
  }

  /** Writes the rest and closes the ledger. */
  async close(): Promise<void> {
    if (!this.#broken) await this.flush();
    await this.#file.close();
  }

  #write(events: readonly RunEvent[], at: string, acts: readonly (() => void)[]): Promise<void> {
    this.#inFlight += 1;
    const last = this.state.lastSeq;
    return this.#file
      .append(events, at)
      .then((lines) => {
        this.#inFlight -= 1;
        if (lines.at(-1)?.seq !== last)
          throw new Error(`the ledger ${this.#file.path} has another writer`);
        this.#act(acts);
      })
      .catch((error: unknown) => {
        this.break(errorOf(error));
        return new Promise<void>(() => undefined);
      });
  }

  #act(acts: readonly (() => void)[]): void {
    for (const act of acts) {
      try {
        act();
      } catch (error) {
        this.#log.error({ run: this.state.run, err: error }, "carrying out a decision failed");
      }
    }
  }
}
