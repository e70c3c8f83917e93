/** An order to stop a run, and the answer. */

/** What a stop asks of one run (docs/semantics.md 10). */
export interface StopOrder {
  /** Graceful: nothing new starts. Force: running steps are ended too. */
  readonly mode: "graceful" | "force";
  /** Who asks. */
  readonly by: string;
  /** The request that asked for it. */
  readonly requestId?: string | undefined;
  /** Why, if there is more to say than that somebody asked. */
  readonly because?: string | undefined;
}

/** Whether the run accepts the stop. If it does, the stop is durable. */
export type StopAnswer =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly reason: string };
