/** What the frame of every page shows: which root this is, and what may be asked of it. */
import type { DaemonView } from "./status-view.ts";

/** `GET /api/v1/here`. It reads no pipeline's ledger. Times are ISO 8601 in UTC. */
export interface Here {
  readonly at: string;
  /** The machine's name, and the root's path. */
  readonly host: string;
  readonly root: string;
  /** Null while no daemon is up. */
  readonly daemon: DaemonView | null;
  /** `operate` where requests are allowed, and the token of this very question may leave them. */
  readonly may: "read" | "operate";
}
