/**
 * How far a reader of ledgers has come: for each ledger that is read, a mark at the line that was
 * given last.
 *
 * ## What a mark says
 *
 * - A pipeline's ledger is known by a key of 32 bits, made of the pipeline's name and the checksum
 *   of the file's first line: 8 bits of the name, and 24 of both. Rotation renames the file and
 *   begins another: the key goes with the lines and not with the name. A file that took the
 *   ledger's place has another key.
 * - A run's ledger is known by the run's id. It is in the position from the pipeline's line that
 *   begins the run to the one that ends it.
 * - `seq` and 24 bits of the line's checksum say which line was given last. Each checksum follows
 *   from all lines before it. So a mark whose line is there, with this checksum, says that nothing
 *   behind it has changed. The checksums of a few lines before it tell how far back a ledger was
 *   cut, if it was cut and written again.
 * - `at` is the latest time of its lines that were given. It is the last resort, where a ledger was
 *   cut further back than the checksums reach: lines that were written since carry a later time.
 *   A text tells it for the ledgers that changed last; for the others it is the latest time of all
 *   lines that were given, of any ledger.
 *
 * ## In memory
 *
 * A position is a value: `with` and `without` make another one. Every line that a hub gives carries
 * its position, and most are never asked for. So the marks are in 256 buckets. A new position
 * copies one bucket and the list of buckets, and shares the rest.
 *
 * Two pipelines may have one key, once in 8,000 roots of 1,000 pipelines. Their marks then
 * overwrite one another, the checksum does not match, and `at` decides.
 */
import { crc32 } from "node:zlib";

/** How many checksums of lines before the last one a mark keeps. */
export const BACK = 15;
const BUCKETS = 256;
const LOW_BITS = 0xff_ffff;

/** The last line that was given of one ledger. */
export interface Mark {
  /** A pipeline's file: its key. A run: 32 bits of its id. */
  readonly key: number;
  /** The pipeline; undefined where the mark was read from a text, and its file was not met yet. */
  readonly pipeline?: string | undefined;
  /** A run's id; undefined for a pipeline's file. */
  readonly run?: string | undefined;
  /** 0: no line was given. */
  readonly seq: number;
  /** 24 bits of the line's checksum; undefined: not known. */
  readonly crc: number | undefined;
  /** The same of the lines before it, backwards. */
  readonly back: readonly number[];
  /** The latest time of the ledger's lines that were given, or a later one; ISO 8601. */
  readonly at: string;
  /** Counts lines that were given: which marks changed last. */
  readonly turn: number;
}

/** Marks whose keys have the same first 8 bits, by their keys. */
export interface Bucket {
  readonly marks: readonly Mark[];
  /** The marks of pipelines' files as bytes, once they were asked for (position-text.ts). */
  bytes?: Buffer;
}

const EMPTY_BUCKET: Bucket = { marks: [] };

/** The key of a pipeline's file. @param firstCrc the checksum of its first line */
export function fileKey(pipeline: string, firstCrc: number): number {
  const low = crc32(`${pipeline} ${firstCrc.toString(16).padStart(8, "0")}`) & LOW_BITS;
  return ((nameBits(pipeline) << 24) | low) >>> 0;
}

/** The part of its files' keys that a pipeline's name decides. */
export function nameBits(pipeline: string): number {
  return crc32(pipeline) >>> 24;
}

/** The bits of a checksum that a mark keeps. */
export function markCrc(crc: number): number {
  return crc & LOW_BITS;
}

let start: FeedPosition | undefined;

/** A position. It does not change. */
export class FeedPosition {
  /**
   * The position before every line. No static field: in the code that tsc writes for one, the class
   * is not there yet.
   */
  static get start(): FeedPosition {
    return (start ??= new FeedPosition(
      Array.from({ length: BUCKETS }, () => EMPTY_BUCKET),
      "",
      0,
    ));
  }

  readonly buckets: readonly Bucket[];
  /** The latest time of all lines that were given, ISO 8601; empty before the first. */
  readonly at: string;
  /** How many lines were given. */
  readonly turn: number;

  private constructor(buckets: readonly Bucket[], at: string, turn: number) {
    this.buckets = buckets;
    this.at = at;
    this.turn = turn;
  }

  /** The mark of a pipeline's file. */
  file(key: number): Mark | undefined {
    return this.#bucket(key).marks.find((mark) => mark.key === key && mark.run === undefined);
  }

  /** The mark of a run. */
  run(run: string): Mark | undefined {
    return this.#bucket(crc32(run)).marks.find((mark) => mark.run === run);
  }

  /** The marks of files of which the name is not known, of pipelines with these bits in theirs. */
  unnamed(bits: number): readonly Mark[] {
    return this.buckets[bits]!.marks.filter(
      ({ run, pipeline }) => run === undefined && pipeline === undefined,
    );
  }

  /** All marks. */
  *marks(): Generator<Mark> {
    for (const { marks } of this.buckets) yield* marks;
  }

  /** The position after one more line. @param at when the line was written */
  after(
    ledger: Pick<Mark, "key" | "pipeline" | "run">,
    line: { readonly seq: number; readonly crc: number; readonly at: string },
  ): FeedPosition {
    const { key, pipeline, run } = ledger;
    const old = run === undefined ? this.file(key) : this.run(run);
    const follows = old?.seq === line.seq - 1 && old.crc !== undefined && old.seq > 0;
    const back = follows ? [old.crc, ...old.back.slice(0, BACK - 1)] : [];
    const { seq, crc } = line;
    const turn = this.turn + 1;
    const at = line.at > (old?.at ?? "") ? line.at : old!.at;
    const mark: Mark = { key, pipeline, run, seq, crc: markCrc(crc), back, at, turn };
    return this.#with(mark, line.at > this.at ? line.at : this.at, turn);
  }

  /** The same position with this mark. */
  with(mark: Mark): FeedPosition {
    return this.#with(mark, this.at, this.turn);
  }

  /** The same position with another latest time. */
  withAt(at: string, turn = this.turn): FeedPosition {
    return new FeedPosition(this.buckets, at, turn);
  }

  /** The same position without this mark. */
  without(gone: Pick<Mark, "key" | "run">): FeedPosition {
    const { marks } = this.#bucket(gone.key);
    const left = marks.filter(({ key, run }) => key !== gone.key || run !== gone.run);
    return left.length === marks.length ? this : this.#replaced(gone.key, left, this.at, this.turn);
  }

  /** The marks that another position does not have, or has at another line. */
  *unlike(other: FeedPosition): Generator<Mark> {
    for (const [index, bucket] of this.buckets.entries()) {
      if (bucket === other.buckets[index]) continue;
      for (const mark of bucket.marks) {
        const its = mark.run === undefined ? other.file(mark.key) : other.run(mark.run);
        if (its?.seq !== mark.seq || its.crc !== mark.crc) yield mark;
      }
    }
  }

  #bucket(key: number): Bucket {
    return this.buckets[key >>> 24]!;
  }

  #with(mark: Mark, at: string, turn: number): FeedPosition {
    const { marks } = this.#bucket(mark.key);
    const kept = marks.filter(({ key, run }) => key !== mark.key || run !== mark.run);
    const index = kept.findIndex(({ key }) => key > mark.key);
    kept.splice(index < 0 ? kept.length : index, 0, mark);
    return this.#replaced(mark.key, kept, at, turn);
  }

  #replaced(key: number, marks: readonly Mark[], at: string, turn: number): FeedPosition {
    const buckets = this.buckets.slice();
    buckets[key >>> 24] = { marks };
    return new FeedPosition(buckets, at, turn);
  }
}

/** A mark at the start of a run, of which no line was given yet. */
export function beginningOf(pipeline: string, run: string, turn: number): Mark {
  return { key: crc32(run), pipeline, run, seq: 0, crc: 0, back: [], at: "", turn };
}
