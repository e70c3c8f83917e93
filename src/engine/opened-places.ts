/**
 * Which places on other machines may have steps, durably: `.orchd/places/opened.json`.
 *
 * A run's ledger says where a step began, but not where it was sent before that. And a name says
 * nothing of machines: while no daemon runs, orchd.yaml may give it to others. So each place is
 * written down, with what its machines are found by, before it is given a step. The next daemon
 * compares. Where one of these places is gone or has other machines, a step that it may have is
 * waited for until all leases are over.
 *
 * - The places of earlier daemons stay in the file until their leases are over: this daemon may die
 *   before that.
 * - A file that is missing or cannot be read says nothing: any place may be gone. It is not written
 *   before the leases are over. Where no place was ever opened, there is nothing to say.
 * - A file that cannot be written is removed, which says nothing too.
 */
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { canonicalJson } from "../core/canonical-json.ts";
import { machinesOf, type PlaceSettings } from "../core/place-settings.ts";
import { errorCode } from "../disk/disk-error.ts";
import { makeFolder } from "../disk/make-folder.ts";
import { readOwnText } from "../disk/own-file.ts";
import { syncPath } from "../disk/sync-path.ts";
import type { Log } from "../log.ts";

const FILE = "opened.json";

/** A place, and what its machines are found by. */
export interface OpenedPlace {
  readonly place: string;
  /** As canonical JSON. */
  readonly machines: string;
}

/** @param settings the place's */
export function openedPlace(place: string, settings: PlaceSettings): OpenedPlace {
  return { place, machines: canonicalJson(machinesOf(settings)) };
}

/** The list of one root. Only its daemon has it. */
export class OpenedPlaces {
  readonly #folder: string;
  readonly #log: Log;
  /** Those of earlier daemons. Undefined: nobody knows. */
  #earlier: readonly OpenedPlace[] | undefined;
  #present: readonly OpenedPlace[] = [];
  /** The leases of earlier daemons are over. */
  #isOver = false;
  #written: string | undefined;

  /** @param folder a folder of the root that only its daemon writes. It need not be there */
  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
    this.#earlier = this.#read();
  }

  /**
   * Whether a step of an earlier daemon may be on machines that no present place finds.
   *
   * @param place where a line says that it began. Undefined: no line says so
   */
  mayBeElsewhere(place: string | undefined): boolean {
    const had = this.#earlier?.filter((one) => place === undefined || one.place === place) ?? [];
    return had.length === 0 || had.some((one) => !includes(this.#present, one));
  }

  /** These places may be given steps from now on, and no others. Durable when it returns. */
  set(present: readonly OpenedPlace[]): void {
    this.#present = present;
    this.#write();
  }

  /** The leases of earlier daemons are over: their places are forgotten. */
  leasesOver(): void {
    this.#isOver = true;
    this.#write();
  }

  #write(): void {
    if (this.#earlier === undefined && !this.#isOver) return;
    const earlier = this.#isOver ? [] : this.#earlier!;
    const all = [...this.#present, ...earlier.filter((one) => !includes(this.#present, one))];
    if (all.length === 0 && this.#written === undefined) return;
    const listed = all.map(({ place, machines }) => ({
      place,
      ...(JSON.parse(machines) as object),
    }));
    const text = `${JSON.stringify({ format: 1, places: listed })}\n`;
    if (text === this.#written) return;
    const path = join(this.#folder, FILE);
    try {
      makeFolder(this.#folder);
      const aside = join(this.#folder, `.${FILE}.${process.pid}`);
      writeFileSync(aside, text, { mode: 0o640 });
      syncPath(aside);
      renameSync(aside, path);
      syncPath(this.#folder);
      this.#written = text;
    } catch (error) {
      this.#written = undefined;
      this.#log.warn(
        { err: error },
        "which places may have steps could not be written: after a crash each such step waits 15 s",
      );
      removed(path);
    }
  }

  #read(): readonly OpenedPlace[] | undefined {
    try {
      const text = readOwnText(join(this.#folder, FILE));
      const { format, places } = JSON.parse(text) as {
        readonly format?: unknown;
        readonly places?: readonly { readonly place: string }[];
      };
      if (format !== 1 || !Array.isArray(places)) return undefined;
      this.#written = text;
      return places.map(({ place, ...machines }) => ({ place, machines: canonicalJson(machines) }));
    } catch (error) {
      const isNew = errorCode(error) === "ENOENT" && !existsSync(this.#folder);
      return isNew ? [] : undefined;
    }
  }
}

function includes(places: readonly OpenedPlace[], { place, machines }: OpenedPlace): boolean {
  return places.some((one) => one.place === place && one.machines === machines);
}

function removed(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // A disk on which nothing can be written or removed takes no step's start either.
  }
}
