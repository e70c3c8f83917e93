/** What the frame of every page shows: which root this is, and what may be asked of it. */
import { hostname } from "node:os";
import { iso } from "../core/time.ts";
import { readDaemon } from "../ledger/daemon-info.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { Roots } from "./roots.ts";
import { viewDaemon, type DaemonView } from "./status-view.ts";

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

/** @param now milliseconds since 1970 */
export function readHere(
  { root }: Pick<Roots, "root">,
  store: RunStore,
  may: Here["may"],
  now: number,
): Here {
  const daemon = viewDaemon(readDaemon(store.orchdDir));
  return { at: iso(now), host: hostname(), root, daemon, may };
}
