/**
 * What people are told, decided purely: inputs come in one after the other, and messages that are
 * due come out (alert-turn.ts has the theory). It asks no clock, reads no file and sends nothing.
 *
 * The caller writes the due messages and then a checkpoint with {@link AlertFold.packed}, as one
 * write, and goes on from there after a crash.
 */
import { defined } from "../core/defined.ts";
import { packNotifyState, unpackNotifyState, type NotifyState } from "../core/notify-state.ts";
import type { Json } from "../core/snapshot.ts";
import { AlertTurn } from "./alert-turn.ts";
import { takeChannel, takeDamage, takeDisk, takeRestart } from "./daemon-facts.ts";
import type { Decision, NotifyInput } from "./notify-input.ts";
import { takeFacts, takeLine, tellAll, type SlotsBetween } from "./pipeline-lines.ts";
import type { RuleBook } from "./rule-book.ts";
import { lookAtWaits } from "./run-waits.ts";

/** What the fold is made from. */
export interface AlertFoldOptions {
  /** The `state` of the last checkpoint; undefined: nothing is known. */
  readonly packed?: unknown;
  readonly book: RuleBook;
  /** How many slots a stretch of missed ones has; default: two, its ends. */
  readonly slotsBetween?: SlotsBetween;
}

/** The fold. */
export class AlertFold {
  readonly #state: NotifyState;
  readonly #slotsBetween: SlotsBetween;
  #book: RuleBook;
  #releaseAt = 0;
  #lookAt = 0;
  /** When the last input came. */
  #now = 0;

  constructor({ packed, book, slotsBetween }: AlertFoldOptions) {
    this.#state = unpackNotifyState(packed);
    this.#book = book;
    this.#slotsBetween = slotsBetween ?? (() => undefined);
    book.learn(this.#state);
  }

  /** What is known, for reading. */
  get state(): NotifyState {
    return this.#state;
  }

  /** What is known, as JSON: the `state` of a checkpoint. */
  packed(): Json {
    return packNotifyState(this.#state);
  }

  /** Puts other rules in force. What they change is told by the next tick. */
  use(book: RuleBook): void {
    this.#book = book;
    book.learn(this.#state);
    this.#releaseAt = 0;
    this.#lookAt = 0;
  }

  /** Takes in an input. */
  take(input: NotifyInput): Decision {
    const { now } = input;
    // The clock was set back: the moments to come are those of a clock that was wrong.
    if (now < this.#now) this.#releaseAt = this.#lookAt = 0;
    this.#now = now;
    const at = "at" in input ? input.at : input.type === "line" ? input.line["at"] : undefined;
    const time = typeof at === "string" ? Date.parse(at) : now;
    const turn = new AlertTurn(this.#state, this.#book, {
      now,
      happened: Number.isNaN(time) ? now : time,
      isTick: input.type === "tick",
    });
    this.#take(turn, input);
    if (now >= this.#releaseAt) {
      this.#releaseAt = Number.POSITIVE_INFINITY;
      turn.release();
    }
    this.#releaseAt = Math.min(this.#releaseAt, turn.releaseAt);
    this.#lookAt = Math.min(this.#lookAt, turn.lookAt);
    const wakeAt = Math.min(this.#releaseAt, this.#lookAt);
    return defined({ due: turn.due, wakeAt: Number.isFinite(wakeAt) ? wakeAt : undefined });
  }

  #take(turn: AlertTurn, input: NotifyInput): void {
    switch (input.type) {
      case "line":
        if (input.run === undefined) takeLine(turn, input, this.#slotsBetween);
        break;
      case "tick":
        if (input.now >= this.#lookAt) this.#look(turn);
        break;
      case "pipeline":
        takeFacts(turn, input);
        break;
      case "restarted":
        takeRestart(turn, input);
        break;
      case "disk":
        takeDisk(turn, input);
        break;
      case "damage":
        takeDamage(turn, input);
        break;
      case "channel":
        takeChannel(turn, input);
        break;
    }
  }

  /** Looks at all that time alone may change. */
  #look(turn: AlertTurn): void {
    this.#lookAt = Number.POSITIVE_INFINITY;
    for (const [name, entry] of this.#state.pipelines) {
      lookAtWaits(turn, name, entry);
      tellAll(turn, name);
      turn.tidy(name);
    }
    for (const variant of this.#state.daemon.keys())
      if (turn.isOfRemovedChannel(variant)) turn.forget(undefined, variant);
      else turn.tell(undefined, variant);
  }
}
