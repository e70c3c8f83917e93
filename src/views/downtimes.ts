/** Times without a daemon, by the daemon's own history. */

/** A time in which no daemon was up. `to` is null while it lasts. */
export interface Downtime {
  readonly from: string;
  readonly to: string | null;
  readonly because: string;
}
