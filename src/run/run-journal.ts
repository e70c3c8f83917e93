/**
 * Append -> evolve -> act, in that order as far as anybody outside can tell.
 *
 * An event is folded into the state at once, so that the next decision sees it, and goes to the
 * disk with everything else that was decided in the same turn: one append, one fdatasync. What an
 * event allows (starting a step, answering a request) is given to `afterwards` and happens when all
 * that was said before it is durable. So the state may be ahead of the disk, and no act ever is.
 *
 * The journal is its ledger's only writer; that is why it may know a line's seq before the line is
 * written. A step's fencing token is that seq.
 */
import type { Clock } from "../clock.ts";
import type { RunEvent } from "../core/event.ts";
import { evolve, type RunState } from "../core/run-state.ts";
import { iso } from "../core/time.ts";
import type { LedgerFile } from "../ledger/ledger-file.ts";
import type { Log } from "../log.ts";

/** See the head of this file. */
export class RunJournal {
  readonly state: RunState;
  readonly #file: LedgerFile<RunEvent>;
  readonly #clock: Clock;
  readonly #log: Log;
  #events: RunEvent[] = [];
  #acts: (() => void)[] = [];
  #at = "";
  #inFlight = 0;
  #durable: Promise<void> = Promise.resolve();
  #broken = false;

  /** @param state the fold of all that the file holds */
  constructor(state: RunState, file: LedgerFile<RunEvent>, clock: Clock, log: Log) {
    this.state = state;
    this.#file = file;
    this.#clock = clock;
    this.#log = log;
  }

  /** The ledger can no longer be written: nothing is decided or done any more. */
  get broken(): boolean {
    return this.#broken;
  }

  /**
   * Folds an event in, to be written with this turn's others. Gives the time that its line will
   * carry.
   *
   * @param line what is written, where long fields were put aside
   */
  emit(event: RunEvent, line: RunEvent = event): string {
    if (this.#at === "") this.#at = iso(this.#clock.now());
    const seq = this.state.lastSeq + 1;
    // The spread stands last: a copied object that gets further members costs V8 forty times as
    // much.
    evolve(this.state, { seq, b: seq, at: this.#at, ...event });
    this.#events.push(line);
    return this.#at;
  }

  /** Does something once everything that was emitted so far is durable. */
  afterwards(act: () => void): void {
    this.#acts.push(act);
  }

  /**
   * Ends the turn: writes what was emitted. Resolves when it is durable and its acts are done;
   * never where the ledger broke.
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

  /** Writes what is left and closes the ledger. */
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
        this.#broken = true;
        this.#log.error(
          { run: this.state.run, err: error },
          `the ledger of run ${this.state.run} can no longer be written`,
        );
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
