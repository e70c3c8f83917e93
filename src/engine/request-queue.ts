/**
 * Which request comes next, where many wait.
 *
 * What a request concerns is its **subject**: mostly a pipeline. The requests of one subject are
 * taken in the order in which they were written. Subjects take turns, and so do the users who
 * asked. So a flood of requests holds up neither another user nor another pipeline: a request waits
 * for those before it of its own subject, and for one request of each of the others.
 *
 * Rejected: one order by time for all. A person's `orchd run` then waits behind each of 30,000
 * requests that a script left before it.
 */
import type { Request } from "../core/request.ts";
import { parseRunId } from "../core/run-id.ts";
import type { ReadRequest } from "../ledger/requests.ts";

/**
 * How many requests of one subject may be under way. A subject whose requests take long (a pipeline
 * file that hangs) leaves room for the others.
 */
const SUBJECT_LIMIT = 64;
/** How many requests of a subject are taken before they are cut off its list. */
const CUT_AT = 1_024;
/**
 * The subject of prune, repair and rebuild, of which one is under way at a time: they may take
 * minutes. No pipeline's name begins with a blank.
 */
const UPKEEP = " upkeep";
/** The subject of what concerns no pipeline: files that are no requests above all. */
const OTHERS = " others";

/** A request that waits for its turn: what is kept in memory of its file. */
export interface WaitingRequest {
  readonly id: string;
  /** The user id of the one who asked. */
  readonly owner: number;
  readonly subject: string;
  /** When it was written, in milliseconds since 1970. */
  readonly writtenAt: number;
  /** The size of its file. */
  readonly bytes: number;
  /** An earlier daemon may have carried it out. */
  readonly left: boolean;
}

/**
 * The subject of a request.
 *
 * @param known the subject of another request that waits, by its id
 */
export function subjectOf(read: ReadRequest, known: (id: string) => string | undefined): string {
  if (!read.ok) return OTHERS;
  const { request } = read;
  // Not before the backfill that it cancels.
  if (request.type === "cancel_backfill") return known(request.id) ?? OTHERS;
  return pipelineOf(request) ?? UPKEEP;
}

/** The pipeline whose ledger would hold what a request causes; undefined: that is in none. */
export function pipelineOf(request: Request): string | undefined {
  switch (request.type) {
    case "submit":
    case "pause":
    case "resume":
    case "silence":
    case "backfill":
      return request.pipeline;
    case "stop":
    case "rerun":
      return parseRunId(request.run)!.pipeline;
    case "cancel_backfill":
    case "prune":
    case "repair":
    case "rebuild":
      return undefined;
  }
}

/** The requests of one user and one subject. */
interface Line {
  readonly waiting: WaitingRequest[];
  /** How many of `waiting` were taken. */
  taken: number;
  underWay: number;
}

/** The requests that wait. */
export class RequestQueue {
  /** By owner, then by subject. The order of the members is the order of their turns. */
  readonly #owners = new Map<number, Map<string, Line>>();

  /** Puts a request behind those of its user and subject. */
  add(request: WaitingRequest): void {
    this.#line(request).waiting.push(request);
  }

  /** Takes the next request that may begin; undefined if there is none. */
  take(): WaitingRequest | undefined {
    for (const [owner, lines] of this.#owners)
      for (const [subject, line] of lines) {
        const limit = subject === UPKEEP ? 1 : SUBJECT_LIMIT;
        const request = line.underWay < limit ? line.waiting[line.taken] : undefined;
        if (request === undefined) continue;
        line.taken += 1;
        line.underWay += 1;
        if (line.taken >= CUT_AT) {
          line.waiting.splice(0, line.taken);
          line.taken = 0;
        }
        // To the end of both orders.
        lines.delete(subject);
        lines.set(subject, line);
        this.#owners.delete(owner);
        this.#owners.set(owner, lines);
        return request;
      }
    return undefined;
  }

  /** A request that was taken is no longer under way. */
  done(request: WaitingRequest): void {
    const line = this.#line(request);
    line.underWay -= 1;
    if (line.underWay > 0 || line.taken < line.waiting.length) return;
    const lines = this.#owners.get(request.owner)!;
    lines.delete(request.subject);
    if (lines.size === 0) this.#owners.delete(request.owner);
  }

  #line({ owner, subject }: WaitingRequest): Line {
    let lines = this.#owners.get(owner);
    if (lines === undefined) this.#owners.set(owner, (lines = new Map<string, Line>()));
    let line = lines.get(subject);
    if (line === undefined) lines.set(subject, (line = { waiting: [], taken: 0, underWay: 0 }));
    return line;
  }
}
