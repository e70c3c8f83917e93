/**
 * What each place said of itself, and when that changed: `runs/.orchd/places.jsonl`, a line each,
 * for `orchd places`, the page and metrics. Only the daemon writes it. It is not synced: a line
 * that a power cut takes is said again by the next daemon.
 *
 * A line holds the whole report of one place, so the newest line of a place is all that a reader
 * needs. `place.removed` says that orchd.yaml has it no more.
 *
 * A host that flaps must not fill the disk. The first change is written at once. After that a place
 * waits for {@link SHORTEST_GAP_MS} before its next line, and twice as long each time, up to {@link
 * LONGEST_GAP_MS}, until it has rested for that long. Only the newest state of a wait is written. A
 * file past {@link MOST_BYTES} is written again with the newest line of each place and the newest
 * of the others.
 *
 * Rejected: lines in `daemon.jsonl`. Older readers take each line there for the begin or the end of
 * a daemon.
 */
import { appendFile, statSync } from "node:fs";
import type { Clock, Timer } from "../clock.ts";
import type { PlaceReport } from "../core/place-report.ts";
import { iso } from "../core/time.ts";
import { writeFileAtomically } from "../disk/atomic-file.ts";
import {
  endsWhole,
  newestOfPlaces,
  placesPath,
  readPlaceLines,
  type PlaceChanged,
  type PlaceLine,
} from "./place-lines.ts";

/** How long after a line a place waits before its next, at least and at most, in milliseconds. */
export const SHORTEST_GAP_MS = 2_000;
export const LONGEST_GAP_MS = 10_000;
/** A longer file is written again, shorter. */
export const MOST_BYTES = 1_048_576;
/** How much of its newest lines stays then, in characters, beside the last of each place. */
const KEPT_CHARACTERS = 262_144;

/** What was last written of one place, and when it may be written again. */
interface Written {
  /** Its report as JSON; undefined: it is removed. */
  text: string | undefined;
  /** Monotonic. */
  at: number;
  gapMs: number;
}

/** What the history needs. */
export interface PlaceHistoryOptions {
  readonly orchdDir: string;
  readonly clock: Clock;
  readonly epoch: number;
  /** What the places say now. */
  readonly reports: () => readonly PlaceReport[];
}

/** Writes what changes. Never throws: it is a help and nothing more. */
export class PlaceHistory {
  readonly #path: string;
  readonly #options: PlaceHistoryOptions;
  readonly #written = new Map<string, Written>();
  #timer: Timer | undefined;
  /** A write is under way. It is off the thread: a file system that is frozen holds it. */
  #writing: Promise<void> | undefined;
  #closed = false;
  /** The file may end within a line: a crash or a full disk cut it. */
  #torn: boolean;

  constructor(options: PlaceHistoryOptions) {
    this.#options = options;
    this.#path = placesPath(options.orchdDir);
    // What an earlier daemon said is not said again where it still holds.
    for (const line of newestOfPlaces(readPlaceLines(this.#path)).values())
      this.#written.set(line.place, {
        text: line.type === "place.removed" ? undefined : textOf(line),
        at: Number.NEGATIVE_INFINITY,
        gapMs: 0,
      });
    this.#torn = !endsWhole(this.#path);
  }

  /** The reports may have changed. What changed is written, now or a little later. */
  look(): void {
    if (this.#closed || this.#writing !== undefined) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    const now = this.#options.clock.monotonic();
    const due: { readonly line: PlaceLine; readonly text: string | undefined }[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const { line, text } of this.#changed()) {
      const { at, gapMs } = this.#written.get(line.place) ?? NEVER;
      if (now >= at + gapMs) due.push({ line, text });
      else next = Math.min(next, at + gapMs);
    }
    if (due.length > 0) {
      this.#write(due, now);
      return;
    }
    if (next !== Number.POSITIVE_INFINITY)
      this.#timer = this.#options.clock.after(next - now, () => this.look());
  }

  /** Writes what has changed since, and ends. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    await this.#writing;
    const lines = this.#changed().map(({ line }) => line);
    if (lines.length > 0) await this.#append(lines);
  }

  /** What is not written as it is now. */
  #changed(): { readonly line: PlaceLine; readonly text: string | undefined }[] {
    const { clock, epoch, reports } = this.#options;
    const at = iso(clock.now());
    const present = reports();
    const names = new Set(present.map(({ place }) => place));
    const changed = present.flatMap((report) => {
      const line = { at, type: "place.changed", epoch, ...report } as const;
      const text = textOf(line);
      return this.#written.get(report.place)?.text === text ? [] : [{ line, text }];
    });
    const removed = [...this.#written].flatMap(([place, { text }]) => {
      const line = { at, type: "place.removed", epoch, place } as const;
      return text === undefined || names.has(place) ? [] : [{ line, text: undefined }];
    });
    return [...changed, ...removed];
  }

  #write(due: readonly { line: PlaceLine; text: string | undefined }[], now: number): void {
    this.#writing = this.#append(due.map(({ line }) => line)).then(async (isWritten) => {
      for (const { line, text } of due) {
        const { at, gapMs, text: before } = this.#written.get(line.place) ?? NEVER;
        const rested = now - at >= LONGEST_GAP_MS + gapMs;
        this.#written.set(line.place, {
          // A disk without room: it is tried again after the gap.
          text: isWritten ? text : before,
          at: now,
          gapMs: rested ? SHORTEST_GAP_MS : Math.min(LONGEST_GAP_MS, gapMs * 2),
        });
      }
      await this.#shorten();
      this.#writing = undefined;
      this.look();
    });
  }

  /** @returns whether they were written whole */
  async #append(lines: readonly PlaceLine[]): Promise<boolean> {
    // A line that follows a torn one begins at a new line; an empty line is passed over.
    const isWritten = await appended(this.#path, (this.#torn ? "\n" : "") + textOfLines(lines));
    this.#torn = !isWritten;
    return isWritten;
  }

  async #shorten(): Promise<void> {
    try {
      if (statSync(this.#path).size <= MOST_BYTES) return;
      await writeFileAtomically(this.#path, shortened(readPlaceLines(this.#path)), { mode: 0o640 });
    } catch {
      // It stays long until the next line.
    }
  }
}

const NEVER: Written = { text: undefined, at: Number.NEGATIVE_INFINITY, gapMs: SHORTEST_GAP_MS };

/** A report without the time and the daemon of its line. */
function textOf({ at: _at, type: _type, epoch: _epoch, ...report }: PlaceChanged): string {
  return JSON.stringify(report);
}

function textOfLines(lines: readonly PlaceLine[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** The newest lines, and before them the last of each place that is not among them. */
function shortened(lines: readonly PlaceLine[]): string {
  let from = lines.length;
  for (let left = KEPT_CHARACTERS; from > 0; from -= 1) {
    left -= JSON.stringify(lines[from - 1]).length + 1;
    if (left < 0) break;
  }
  const newest = lines.slice(from);
  const named = new Set(newest.map(({ place }) => place));
  const older = [...newestOfPlaces(lines.slice(0, from)).values()];
  return textOfLines([...older.filter(({ place }) => !named.has(place)), ...newest]);
}

/** @returns whether it was */
function appended(path: string, text: string): Promise<boolean> {
  return new Promise((resolve) =>
    appendFile(path, text, { mode: 0o640 }, (error) => resolve(error === null)),
  );
}
