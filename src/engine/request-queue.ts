/**
 * Which request comes next, where many wait.
 *
 * The requests that concern one pipeline are a **lane**: they are taken in the order in which they
 * were written. Lanes take turns, and so do the users who asked. So a flood of requests holds up
 * neither another user nor another pipeline: a request waits for its own lane, and for one request
 * of each of the others.
 *
 * Rejected: one order by time for all. A person's `orchd run` then waits behind each of 30,000
 * requests that a script left before it.
 */
import { parseRunId } from "../core/run-id.ts";
import type { ReadRequest } from "../ledger/requests.ts";

/**
 * How many requests of one lane may be under way. A lane whose requests take long (a pipeline file
 * that hangs) leaves room for the others.
 */
const LANE_LIMIT = 64;
/** How many requests of a lane are taken before they are cut off its list. */
const CUT_AT = 1_024;
/**
 * The lane of prune, repair and rebuild, of which one is under way at a time: they may take
 * minutes. No pipeline's name begins with a blank.
 */
const UPKEEP = " upkeep";
/** The lane of what concerns no pipeline: files that are no requests above all. */
const OTHERS = " others";

/** A request that waits for its turn: what is kept in memory of its file. */
export interface WaitingRequest {
  readonly id: string;
  /** The user id of the one who asked. */
  readonly owner: number;
  readonly lane: string;
  /** When it was written, in milliseconds since 1970. */
  readonly writtenAt: number;
  /** The size of its file. */
  readonly bytes: number;
  /** An earlier daemon may have carried it out. */
  readonly left: boolean;
}

/**
 * The lane of a request.
 *
 * @param laneOfId the lane of another request that waits, by its id
 */
export function laneOf(read: ReadRequest, laneOfId: (id: string) => string | undefined): string {
  if (!read.ok) return OTHERS;
  const { request } = read;
  switch (request.type) {
    case "submit":
    case "pause":
    case "resume":
    case "backfill":
      return request.pipeline;
    case "stop":
    case "rerun":
      return parseRunId(request.run)!.pipeline;
    case "cancel_backfill":
      // Not before the backfill that it cancels.
      return laneOfId(request.id) ?? OTHERS;
    case "prune":
    case "repair":
    case "rebuild":
      return UPKEEP;
  }
}

interface Lane {
  readonly waiting: WaitingRequest[];
  /** How many of `waiting` were taken. */
  taken: number;
  underWay: number;
}

/** The requests that wait. */
export class RequestQueue {
  /** By owner, then by lane. The order of the members is the order of their turns. */
  readonly #owners = new Map<number, Map<string, Lane>>();

  /** Puts a request behind those of its lane. */
  add(request: WaitingRequest): void {
    this.#lane(request).waiting.push(request);
  }

  /** Takes the next request that may begin; undefined if there is none. */
  take(): WaitingRequest | undefined {
    for (const [owner, lanes] of this.#owners)
      for (const [name, lane] of lanes) {
        const limit = name === UPKEEP ? 1 : LANE_LIMIT;
        const request = lane.underWay < limit ? lane.waiting[lane.taken] : undefined;
        if (request === undefined) continue;
        lane.taken += 1;
        lane.underWay += 1;
        if (lane.taken >= CUT_AT) {
          lane.waiting.splice(0, lane.taken);
          lane.taken = 0;
        }
        // To the end of both orders.
        lanes.delete(name);
        lanes.set(name, lane);
        this.#owners.delete(owner);
        this.#owners.set(owner, lanes);
        return request;
      }
    return undefined;
  }

  /** A request that was taken is no longer under way. */
  done(request: WaitingRequest): void {
    const lane = this.#lane(request);
    lane.underWay -= 1;
    if (lane.underWay > 0 || lane.taken < lane.waiting.length) return;
    const lanes = this.#owners.get(request.owner)!;
    lanes.delete(request.lane);
    if (lanes.size === 0) this.#owners.delete(request.owner);
  }

  #lane({ owner, lane: name }: WaitingRequest): Lane {
    let lanes = this.#owners.get(owner);
    if (lanes === undefined) this.#owners.set(owner, (lanes = new Map<string, Lane>()));
    let lane = lanes.get(name);
    if (lane === undefined) lanes.set(name, (lane = { waiting: [], taken: 0, underWay: 0 }));
    return lane;
  }
}
