/**
 * What this daemon has answered to requests that it accepted, by their ids. A reply lives for an
 * hour, and somebody may remove it sooner. A request that comes again under the same id, as a
 * client does that never saw the answer, gets it again, and nothing is done twice.
 */
import type { Reply, Request } from "../core/request.ts";

/** How many answers are remembered, the newest ones. */
const KEPT = 4_096;

export class EarlierAnswers {
  readonly #replies = new Map<string, Reply>();

  /** Notes an answer. One that caused nothing, or leaves no trace, is not remembered. */
  note(id: string, { type }: Request, reply: Reply): void {
    // Done again, these find nothing left to do.
    if (!reply.accepted || type === "prune" || type === "repair" || type === "rebuild") return;
    this.#replies.set(id, reply);
    if (this.#replies.size > KEPT) this.#replies.delete(this.#replies.keys().next().value!);
  }

  /** The answer that a request got; undefined if it is not known. */
  to(id: string): Reply | undefined {
    return this.#replies.get(id);
  }
}
