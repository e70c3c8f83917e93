/** Where a project's folders are. Absolute paths. */
export interface Roots {
  readonly root: string;
  /** The drop folder. */
  readonly schedules: string;
  /** The ledgers. */
  readonly runs: string;
}
