/**
 * Asks the daemon, up or down: leaves a request, and waits for the reply while a daemon runs
 * (docs/requests.md).
 *
 * A request that was left is never lost. So a daemon that is down, or that goes down meanwhile, is
 * no failure: the request is kept.
 */
import { systemClock, type Clock } from "../clock.ts";
import type { Reply, RequestInput } from "../core/request.ts";
import { readHolder } from "./daemon-info.ts";
import { waitForReply, writeRequest } from "./requests.ts";
import { RunStore } from "./run-store.ts";
import { readWorkSign, type WorkSign } from "./work-sign.ts";

/** How long a living daemon may give neither an answer nor a sign of its work, in milliseconds. */
const PATIENCE_MS = 60_000;
/** How long to wait between two looks at whether the daemon still lives, in milliseconds. */
const LOOK_MS = 500;

/** What came of a request. */
export type Answer =
  | { readonly kind: "answered"; readonly id: string; readonly reply: Reply }
  /** No daemon runs. The request stays, and the next daemon answers it. */
  | { readonly kind: "kept"; readonly id: string }
  /** A daemon lives, and gave neither an answer nor a sign for a minute. The request stays. */
  | { readonly kind: "silent"; readonly id: string }
  /** The request could not be written, so nothing was asked. */
  | { readonly kind: "unwritten"; readonly error: NodeJS.ErrnoException };

/**
 * Whether a process that answers requests holds these ledgers: a daemon, also one that still
 * recovers; or, for requests that name `run`, the process that drives that run without a daemon
 * (semantics.md 25).
 */
export function daemonRuns(runsDir: string, run?: string): boolean {
  const holder = readHolder(new RunStore(runsDir).orchdDir);
  return (
    holder !== null &&
    (holder.role === "daemon" ||
      (run !== undefined && (holder.run === run || holder.runs?.includes(run) === true)))
  );
}

/**
 * Leaves a request and waits for the daemon's reply, if a daemon runs. It waits as long as the
 * daemon gives a sign that it is at work (work-sign.ts).
 *
 * @param onWork told that it is, each time that this is looked at
 */
export async function ask(
  runsDir: string,
  request: RequestInput,
  clock: Clock = systemClock,
  onWork?: (sign: WorkSign, id: string) => void,
): Promise<Answer> {
  let id: string;
  try {
    id = await writeRequest(runsDir, request, { clock });
  } catch (error) {
    const failed = error as NodeJS.ErrnoException;
    if (failed.syscall === undefined) throw error;
    return { kind: "unwritten", error: failed };
  }
  const run = "run" in request ? request.run : undefined;
  const { orchdDir } = new RunStore(runsDir);
  for (let silent = 0; silent < PATIENCE_MS; silent += LOOK_MS) {
    const alive = daemonRuns(runsDir, run);
    const reply = await waitForReply(runsDir, id, alive ? LOOK_MS : 0, clock);
    if (reply !== null) return { kind: "answered", id, reply };
    if (!alive) return { kind: "kept", id };
    const sign = readWorkSign(orchdDir, clock.now());
    if (sign === undefined) continue;
    silent = 0;
    onWork?.(sign, id);
  }
  return { kind: "silent", id };
}
