/**
 * One pipeline's ledger, as it is read: file after file, from the one that holds the line that was
 * given last to the one that is in use.
 *
 * The file is looked for by its key (feed-position.ts), because rotation and damage give it other
 * names. It is one of four:
 *
 * - It is there, under whatever name: the reading goes on in it, and then in the files after it.
 *   `pipelineFiles` tells their order.
 * - None of the files is known, and no mark can be the pipeline's: it is new. All of its files
 *   follow.
 * - None of the files is known, and a mark was the pipeline's: the file was pruned, or somebody
 *   removed it. The lines of rotated files that are later than all that was given follow, and then
 *   the whole file that is in use.
 * - There is no file in use: the folder was moved away, or removed. The reading waits.
 */
import type { RunStore } from "../ledger/run-store.ts";
import { nameBits, type FeedPosition, type Mark } from "./feed-position.ts";
import { findPlace, firstCrc, placeAfterTime, withLedger } from "./find-place.ts";
import { GivenCrcs } from "./given-crcs.ts";
import { LedgerBuffer } from "./ledger-buffer.ts";
import { pipelineFiles, type PipelineFile } from "./pipeline-files.ts";
import { START, type Place, type WholeLine } from "./whole-lines.ts";

/** How many files are gone through in one call, and how often a changing one is looked at again. */
const TRIES = 8;
/** Of how many lines the checksums are known: there are a thousand pipelines. */
const KEPT_CRCS = 256;

/** One pipeline's ledger. */
export class PipelineSource {
  readonly pipeline: string;
  readonly run = undefined;
  /** Where it stands among ledgers: the latest time of its lines up to the next one. */
  order = "";
  /** The file of the next line was found by the time: lines before it may never be given. */
  hasJumped = false;
  /** Lines that were given do not stand before the next one any more. */
  isCut = false;
  readonly #store: RunStore;
  readonly #buffer: LedgerBuffer;
  /** The file that is read; undefined: none was found yet. */
  #file: Pick<PipelineFile, "kind" | "key"> | undefined;
  /** The file of the line that was given last: the one that has a mark. */
  #marked: number | undefined;

  constructor(store: RunStore, pipeline: string) {
    this.pipeline = pipeline;
    this.#store = store;
    this.#buffer = new LedgerBuffer(store.pipelineLedger(pipeline), new GivenCrcs(KEPT_CRCS));
  }

  get head(): WholeLine | undefined {
    return this.#buffer.head;
  }

  /** The key of the file that is read. */
  get key(): number {
    return this.#file!.key;
  }

  /** The path of the file that is read, below the runs folder. */
  get file(): string {
    return this.#buffer.path.slice(this.#store.runsDir.length).replace(/^\/+/, "");
  }

  /** The checksum of the line that was given last; undefined: its place was not found yet. */
  get crc(): number | undefined {
    return this.#file !== undefined ? this.#buffer.crc : undefined;
  }

  /** Reads more lines, if the next one is not there. @returns whether it is there now */
  fill(position: FeedPosition): boolean {
    if (this.#buffer.head !== undefined) return true;
    if (this.#file === undefined && !this.#find(position)) return false;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const found = this.#buffer.read();
      if (found === "lines") return true;
      if (found === "none" && this.#file?.kind === "current") return false;
      const goesOn = found === "none" ? this.#goToNext(position) : this.#find(position);
      if (!goesOn) return false;
    }
    return false;
  }

  /** Takes the next line. */
  take(): WholeLine {
    this.isCut = false;
    this.hasJumped = false;
    return this.#buffer.take();
  }

  /** The file of the line before the one that was taken, if that is another one. Asked for once. */
  leftFile(): number | undefined {
    const marked = this.#marked;
    this.#marked = this.key;
    return marked === this.key ? undefined : marked;
  }

  /** Whether the file is not as it was when it was read last. */
  isTouched(): boolean {
    return this.#buffer.isTouched() || (this.#file !== undefined && this.#file.kind !== "current");
  }

  /** Finds the file of the line that was given last. False: nothing can be read now. */
  #find(position: FeedPosition): boolean {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const files = pipelineFiles(this.#store, this.pipeline);
      const known = files.findLast(
        ({ key }) => position.file(key) !== undefined || key === this.#file?.key,
      );
      if (known === undefined)
        return files.at(-1)?.kind === "current" && this.#jump(files, position);
      if (this.#placeIn(known, position.file(known.key))) return true;
    }
    return false;
  }

  /** False: another file has the path by now, or none. */
  #placeIn(file: PipelineFile, mark: Mark | undefined): boolean {
    const isOwn = file.key === this.#file?.key;
    const crcs = isOwn || mark === undefined ? this.#buffer.crcs : GivenCrcs.of(mark, KEPT_CRCS);
    const crcOf = (of: number): number | undefined => crcs.of(of);
    const seq = isOwn || mark === undefined ? this.#buffer.seq : mark.seq;
    const isUnchecked = !isOwn && mark !== undefined && mark.crc === undefined;
    const given = { seq, crcOf, at: mark?.at ?? "", isUnchecked };
    const found = withLedger(file.path, (fd) =>
      firstCrc(fd) === file.first ? findPlace(fd, file.path, given) : undefined,
    );
    if (found === undefined) return false;
    if (mark !== undefined) this.#marked = file.key;
    this.isCut ||= found.isCut;
    this.#goTo(file, found.place, crcs);
    return true;
  }

  /** After the end of a file that is not in use any more. */
  #goToNext(position: FeedPosition): boolean {
    const files = pipelineFiles(this.#store, this.pipeline);
    const index = files.findIndex(({ key }) => key === this.#file?.key);
    if (index < 0) return this.#find(position);
    const next = files[index + 1];
    if (next === undefined) return false;
    this.#goTo(next, START);
    return true;
  }

  /** Goes to what is later than all that was given: no file is known. */
  #jump(files: readonly PipelineFile[], position: FeedPosition): boolean {
    const at = this.#lastTime(position);
    this.hasJumped = at !== undefined;
    let [first, place] = [files.at(-1)!, START];
    for (const file of files.slice(0, -1).toReversed()) {
      if (file.kind === "damaged") continue;
      const from = placeAfterTime(file.path, at ?? "");
      const isOver = withLedger(file.path, (_fd, size) => from.offset >= size) ?? true;
      if (isOver) break;
      [first, place] = [file, from];
      if (from.offset > 0) break;
    }
    this.#goTo(first, place);
    return true;
  }

  /**
   * The latest time of this pipeline's lines that were given, or a later one; undefined: none were.
   * Where its file is not known, each mark that belongs to no file may be the pipeline's.
   */
  #lastTime(position: FeedPosition): string | undefined {
    const own = this.#marked === undefined ? undefined : position.file(this.#marked);
    if (own !== undefined) return own.at;
    const bits = nameBits(this.pipeline);
    const unnamed = position.unnamed(bits);
    if (unnamed.length === 0) return undefined;
    const files = this.#namesakes(bits).flatMap((name) => pipelineFiles(this.#store, name));
    const keys = new Set(files.map(({ key }) => key));
    const times = unnamed.filter(({ key }) => !keys.has(key)).map(({ at }) => at);
    return times.toSorted()[0];
  }

  /** The pipelines whose files' keys begin with the same bits. */
  #namesakes(bits: number): readonly string[] {
    try {
      return this.#store.pipelines().filter((name) => nameBits(name) === bits);
    } catch {
      // The runs folder cannot be listed, and its pipelines' folders can be read all the same.
      return [this.pipeline];
    }
  }

  #goTo(file: PipelineFile, place: Place, crcs = new GivenCrcs(KEPT_CRCS)): void {
    this.#file = file;
    this.#buffer.goTo(file.path, place, crcs, file.first);
  }
}
