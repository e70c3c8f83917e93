import { crc32 } from "node:zlib";
import { parseObject } from "../core/json-object.ts";
import type { FeedLine, FeedScope } from "./feed-line.ts";
import { beginningOf, type FeedPosition, type Mark } from "./feed-position.ts";
import { positionText } from "./position-text.ts";
import type { WholeLine } from "./whole-lines.ts";

/** Where a line stands. */
export interface LineOrigin extends Pick<Mark, "key" | "run"> {
  readonly pipeline: string;
  /** The ledger's path below the runs folder. */
  readonly file: string;
  /** Lines that were given before it do not stand any more: its `seq` may have been given. */
  readonly isCut: boolean;
}

/** What else a line changes in a position: which ledgers are read. */
export interface LedgersChanged {
  /** The file that was read before this one: its lines were all given. */
  readonly left?: number | undefined;
  /** The runs that begin, of which no line was given. */
  readonly begun: readonly string[];
  /** The runs that end. */
  readonly ended: readonly string[];
}

/** What most lines change: nothing. */
export const NOTHING_CHANGED: LedgersChanged = { begun: [], ended: [] };

/** A position after one more line. */
export function positionAfter(
  before: FeedPosition,
  { key, pipeline, run }: LineOrigin,
  line: WholeLine,
  { left, begun, ended }: LedgersChanged,
): FeedPosition {
  let position = before.after({ key, pipeline, run }, line);
  if (left !== undefined) position = position.without({ key: left, run: undefined });
  for (const one of begun)
    if (position.run(one) === undefined)
      position = position.with(beginningOf(pipeline, one, position.turn));
  for (const one of ended) position = position.without({ key: crc32(one), run: one });
  return position;
}

/** A line that is given to any number of feeds. What it costs to make is paid once. */
export class FeedItem implements FeedLine {
  readonly origin: LineOrigin;
  readonly whole: WholeLine;
  readonly changed: LedgersChanged;
  /** The reader's position after this line. */
  readonly after: FeedPosition;
  #line: Readonly<Record<string, unknown>> | undefined;
  #text: string | undefined;

  constructor(origin: LineOrigin, whole: WholeLine, changed: LedgersChanged, after: FeedPosition) {
    this.origin = origin;
    this.whole = whole;
    this.changed = changed;
    this.after = after;
  }

  get pipeline(): string {
    return this.origin.pipeline;
  }

  get run(): string | undefined {
    return this.origin.run;
  }

  get file(): string {
    return this.origin.file;
  }

  get seq(): number {
    return this.whole.seq;
  }

  get raw(): string {
    return this.whole.raw;
  }

  get line(): Readonly<Record<string, unknown>> {
    return (this.#line ??= parseObject(this.whole.raw) ?? {});
  }

  get position(): string {
    return (this.#text ??= positionText(this.after, {}, this));
  }

  /** Whether a scope has this line. */
  isIn({ pipeline, run }: FeedScope): boolean {
    if (run !== undefined) return this.origin.run === run;
    return pipeline === undefined || this.origin.pipeline === pipeline;
  }
}

/** The same line for a feed that has a position of its own. */
export class PlacedLine implements FeedLine {
  readonly #item: FeedItem;
  readonly #position: FeedPosition;
  readonly #scope: FeedScope;
  #text: string | undefined;

  constructor(item: FeedItem, position: FeedPosition, scope: FeedScope) {
    this.#item = item;
    this.#position = position;
    this.#scope = scope;
  }

  get pipeline(): string {
    return this.#item.pipeline;
  }

  get run(): string | undefined {
    return this.#item.run;
  }

  get file(): string {
    return this.#item.file;
  }

  get seq(): number {
    return this.#item.seq;
  }

  get raw(): string {
    return this.#item.raw;
  }

  get line(): Readonly<Record<string, unknown>> {
    return this.#item.line;
  }

  get position(): string {
    return (this.#text ??= positionText(this.#position, this.#scope, this));
  }
}
