/**
 * What a place says of itself: for `orchd places`, and for the reason why a step waits for one.
 * How many steps run there is not in it: ledgers say that (`step.placed`).
 */

/** One machine of a place: a host, or a worker of a broker. */
export interface PlaceHost {
  /** Its name, as `step.placed` has it. */
  readonly host: string;
  readonly labels: readonly string[];
  /** How many steps of each kind it runs at once. */
  readonly threads: number;
  /** `20.20.0`; undefined: not known yet. */
  readonly node?: string | undefined;
  /** The release of orchd there, and the protocol that it speaks. */
  readonly version?: string | undefined;
  readonly protocol?: number | undefined;
  /** `linux/x64`. */
  readonly platform?: string | undefined;
  /** Why it takes no work, in a sentence. Undefined: it does. */
  readonly because?: string | undefined;
}

/** One place. */
export interface PlaceReport {
  readonly place: string;
  /** `local`, `podman`, `docker`, `ssh`, `nats`, `redis`. */
  readonly engine: string;
  /** Its name is one of them. */
  readonly labels: readonly string[];
  readonly hosts: readonly PlaceHost[];
  /** Why it takes no work, in a sentence: `the broker at … does not answer`. Undefined: it does. */
  readonly because?: string | undefined;
}
