/**
 * A place on other machines, by the name that orchd.yaml gives it. A step with `on` goes to one
 * that has all its labels (place-by-lane.ts).
 *
 * What each of them promises: a task ends with `died` only once nothing of it can run any more, and
 * says by `blameless` where no task is to blame. A result of a task that ended is refused. What an
 * earlier daemon started is asked for by `adopt`, and is answered as gone only then.
 */
import type { Clock } from "../clock.ts";
import type { PlaceReport } from "../core/place-report.ts";
import type { PlaceSettings } from "../core/place-settings.ts";
import type { SnapshotStep } from "../core/snapshot.ts";
import type { SecretSource } from "../core/secret-source.ts";
import type { Log } from "../log.ts";
import type { Place } from "./place.ts";

/** A named place on other machines. */
export interface FarPlace extends Place {
  /** Its name in orchd.yaml, which is one of its labels. */
  readonly name: string;
  /** Whether it has a machine with all these labels, however that machine is. */
  serves(labels: readonly string[]): boolean;
  /**
   * How many more steps of this kind may start now on machines with all these labels, without the
   * room that is promised. At once, from memory.
   */
  room(kind: "module" | "shell", labels: readonly string[]): number;
  /**
   * How much room a step takes: 1, or a part of it where steps of its function were brief lately,
   * so that it may be begun ahead. Undefined: always 1.
   */
  share?(spec: SnapshotStep): number;
  /** Whether it has a task of this id. */
  has(id: string): boolean;
  /** How many tasks it has. Those of an earlier daemon that it was asked for count too. */
  readonly tasks: number;
  report(): PlaceReport;
  /** Calls back when {@link report} has changed. @returns a function that ends the calls */
  onReport(callback: () => void): () => void;
  /** Calls back when {@link room} may have grown. @returns a function that ends the calls */
  onCapacity(callback: () => void): () => void;
  /** The ends of these tasks are durable. Undefined: it need not know. */
  settle?(ids: readonly string[]): void;
  /**
   * Whether a task that {@link Place.adopt} was asked for may have begun. `not here`: it had not at
   * this place, which does not know whether it was to run at another. Undefined: it was not asked
   * for, and so it counts as begun where no other place knows better.
   */
  mayHaveBegun?(id: string): boolean | "not here" | undefined;
  /** Ends it. No handler is called any more. @param force at once */
  close(force: boolean): Promise<void>;
}

/** What a place on other machines is made from. */
export interface FarPlaceOptions<S extends PlaceSettings = PlaceSettings> {
  readonly name: string;
  readonly settings: S;
  readonly clock: Clock;
  readonly log: Log;
  readonly secrets: SecretSource;
  /** The runs folder, as its real path: what belongs to other roots is not touched. */
  readonly root: string;
  /** A folder of its own below the runs folder. It is not there before somebody makes it. */
  readonly folder: string;
  /** Where bundles and artifacts are, by their hashes. */
  readonly bundles: string;
  readonly artifacts: string;
  /** Marks every process of this daemon's steps (core/task.ts, TOKEN_VARIABLE). */
  readonly token: string;
  /** When this daemon began to count leases of earlier daemons, in monotonic milliseconds. */
  readonly since: number;
}

/** Makes a place. Nothing is reached before it is needed, and it is not waited for. */
export type MakeFarPlace<S extends PlaceSettings = PlaceSettings> = (
  options: FarPlaceOptions<S>,
) => FarPlace;
