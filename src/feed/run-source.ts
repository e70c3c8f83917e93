import { crc32 } from "node:zlib";
import type { RunStore } from "../ledger/run-store.ts";
import type { FeedPosition } from "./feed-position.ts";
import { findPlace, withLedger } from "./find-place.ts";
import { GivenCrcs } from "./given-crcs.ts";
import { LedgerBuffer } from "./ledger-buffer.ts";
import type { WholeLine } from "./whole-lines.ts";

/** How often a ledger that changes while it is looked at is looked at again. */
const TRIES = 4;
/** Of how many lines the checksums are known: a repair may cut far back. */
const KEPT_CRCS = 4_096;

/** One run's ledger, as it is read. */
export class RunSource {
  readonly pipeline: string;
  readonly run: string;
  readonly key: number;
  /** The ledger's path below the runs folder. */
  readonly file: string;
  /** Where it stands among ledgers: the latest time of its lines up to the next one. */
  order = "";
  /** The pipeline's line about its end may be gone. */
  isOrphan = false;
  /** Lines that were given do not stand before the next one any more. */
  isCut = false;
  readonly #buffer: LedgerBuffer;
  #isPlaced = false;

  /** @throws RangeError if the id is not a run's */
  constructor(store: RunStore, run: string) {
    this.run = run;
    this.pipeline = store.parseRunId(run).pipeline;
    this.key = crc32(run);
    const path = store.runLedger(run);
    this.file = path.slice(store.runsDir.length).replace(/^\/+/, "");
    this.#buffer = new LedgerBuffer(path, new GivenCrcs(KEPT_CRCS));
  }

  get head(): WholeLine | undefined {
    return this.#buffer.head;
  }

  /** The checksum of the line that was given last; undefined: its place was not found yet. */
  get crc(): number | undefined {
    return this.#isPlaced ? this.#buffer.crc : undefined;
  }

  /** Reads more lines, if the next one is not there. @returns whether it is there now */
  fill(position: FeedPosition): boolean {
    if (this.#buffer.head !== undefined) return true;
    if (!this.#isPlaced && !this.#place(position)) return false;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const found = this.#buffer.read();
      if (found === "lines") return true;
      if (found !== "moved" || !this.#place(position)) return false;
    }
    return false;
  }

  /** Takes the next line. */
  take(): WholeLine {
    this.isCut = false;
    return this.#buffer.take();
  }

  /** Whether the file is not as it was when it was read last. */
  isTouched(): boolean {
    return this.#buffer.isTouched();
  }

  /** Goes to the line after the last one that was given. False if there is no ledger. */
  #place(position: FeedPosition): boolean {
    const { path } = this.#buffer;
    const mark = position.run(this.run);
    const isOwn = this.#isPlaced;
    const crcs = isOwn || mark === undefined ? this.#buffer.crcs : GivenCrcs.of(mark, KEPT_CRCS);
    const seq = isOwn ? this.#buffer.seq : (mark?.seq ?? 0);
    const isUnchecked = !isOwn && mark?.crc === undefined;
    const crcOf = (of: number): number | undefined => crcs.of(of);
    const given = { seq, crcOf, at: mark?.at ?? position.at, isUnchecked };
    const found = withLedger(path, (fd) => findPlace(fd, path, given));
    if (found === undefined) return false;
    this.isCut ||= found.isCut;
    this.#buffer.goTo(path, found.place, crcs);
    this.#isPlaced = true;
    return true;
  }
}
