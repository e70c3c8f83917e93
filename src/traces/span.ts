/** A span that has ended, as ledgers tell it. Plain data: it can be sent, or written down. */
import { beginning } from "../core/whole-characters.ts";

/** What an attribute may be. Never a value of a param, an input or an output. */
export type AttributeValue = string | number | boolean | readonly string[];

/** Attributes by name. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** A moment within a span. */
export interface SpanEvent {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly attributes: Attributes;
}

/** A span. Its ids are those of core/trace-span.ts. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined: it is the root of its trace. */
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: "server" | "internal";
  /** Milliseconds since 1970. */
  readonly startMs: number;
  /** Never before `startMs`. */
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
  /** How many events were left out. */
  readonly droppedEvents: number;
  /** Why it is an error, for people. Undefined: it is none. */
  readonly error: string | undefined;
}

/** The most events that a span has; the field's usual limit. */
export const MOST_EVENTS = 128;
/** The longest text of an attribute, in UTF-16 code units. */
const LONGEST_TEXT = 4_096;

/** The events of a span that has not ended. */
export class SpanEvents {
  readonly #events: SpanEvent[] = [];
  #dropped = 0;

  add(name: string, at: string, attributes: Attributes = {}): void {
    if (this.#events.length < MOST_EVENTS)
      this.#events.push({ name, atMs: Date.parse(at), attributes });
    else this.#dropped += 1;
  }

  get all(): Pick<Span, "events" | "droppedEvents"> {
    return { events: this.#events, droppedEvents: this.#dropped };
  }
}

/** A text as an attribute has it. */
export function shortText(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${beginning(text, LONGEST_TEXT - 1)}…`;
}
