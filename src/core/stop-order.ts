/** Asking a run to stop, and the answer. */

/** What a stop asks of one run (docs/semantics.md 10). */
export interface StopOrder {
  /** Graceful: nothing new starts. Force: what runs is ended too. */
  readonly mode: "graceful" | "force";
  /** Who asks. */
  readonly by: string;
  /** The request that it comes from. */
  readonly requestId?: string | undefined;
  /** Why, where it is not simply asked for. */
  readonly because?: string | undefined;
}

/** Whether the run takes the stop. Where it does, the stop is durable. */
export type StopAnswer =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly reason: string };
