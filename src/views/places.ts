/** What `orchd places --json` and `GET /api/v1/places` say: where steps run, and what waits. */
import type { DaemonView } from "./status-view.ts";

/** Times are ISO 8601 in UTC. */
export interface PlacesView {
  readonly at: string;
  /** Null while no daemon is up. */
  readonly daemon: DaemonView | null;
  /**
   * As of when the places said this: now while a daemon is up, else when one was last seen, or a
   * run without one. Null: no place ever said anything.
   */
  readonly asOf: string | null;
  /** This machine first, then by name. */
  readonly places: readonly PlaceView[];
  /** The labels that steps wait for; those that nobody serves first. */
  readonly waiting: readonly WaitingSteps[];
  /** How many active runs were not looked at, because there are too many. */
  readonly unread: number;
}

/** One place. */
export interface PlaceView {
  readonly place: string;
  /** `local`, `podman`, `docker`, `ssh`, `nats` or `redis`. */
  readonly engine: string;
  /** The engine's own version; null where it has none, or is not known. */
  readonly engineVersion: string | null;
  readonly labels: readonly string[];
  /** Since when it is as it is. */
  readonly since: string;
  /** Why it takes no work, in a sentence; null: it does. */
  readonly because: string | null;
  /** How many steps run there now. */
  readonly running: number;
  readonly hosts: readonly PlaceHostView[];
}

/** One machine of a place. */
export interface PlaceHostView {
  readonly host: string;
  /** Its own, beside those of the place. */
  readonly labels: readonly string[];
  /** How many steps of each kind it runs at once. */
  readonly threads: number;
  /** Null where it is not known. */
  readonly node: string | null;
  /** The release of orchd there, and the protocol that it speaks. */
  readonly version: string | null;
  readonly protocol: number | null;
  readonly platform: string | null;
  /** Why it takes no work, in a sentence; null: it does. */
  readonly because: string | null;
  readonly running: number;
}

/** Steps that wait for a place with these labels. */
export interface WaitingSteps {
  /** All of them are wanted. */
  readonly labels: readonly string[];
  /** How many steps are ready, and wait. */
  readonly steps: number;
  /** How many are on their way: started, and not yet at their place. */
  readonly starting: number;
  /** The runs that they are of, the oldest first; at most 20. */
  readonly runs: readonly string[];
  /** Why none of them starts, in a sentence; null: they wait for room alone. */
  readonly because: string | null;
}
