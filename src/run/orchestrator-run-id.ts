/**
 * The id that a user's orchestrator gives a run. It is recorded before anybody is given it: the
 * environments of the submission have it, and all steps must see the same. So the first one stays.
 */
import type { Json } from "../core/snapshot.ts";
import type { RunParts } from "./run-parts.ts";

/** How much of an id is kept, in UTF-16 code units. */
const CHARACTERS = 1_000;

/** Records the id of one run; every method is called within a turn. */
export class OrchestratorRunId {
  readonly #parts: RunParts;
  /** The orchestrator has asked for something that runs with the id. */
  readonly #isUsed: () => boolean;
  #told = false;

  constructor(parts: RunParts, isUsed: () => boolean) {
    this.#parts = parts;
    this.#isUsed = isUsed;
  }

  /** The orchestrator names its run, before its first step. What is no text names nothing. */
  tell(id: Json | undefined): void {
    const { state, emit } = this.#parts;
    const named = textOf(id);
    if (named === undefined || !this.#mayChange() || state.submission !== "started") return;
    this.#told = true;
    if (named !== state.orchestratorRunId)
      emit({ type: "submit.identified", orchestratorRunId: named });
  }

  /** The id for the line that the orchestrator accepted the run. Undefined: it names none. */
  accepted(id: Json | undefined): string | undefined {
    if (!this.#mayChange()) return this.#parts.state.orchestratorRunId;
    return textOf(id);
  }

  /** Whether nobody has been given an id of the run yet: neither the orchestrator nor a step. */
  #mayChange(): boolean {
    if (this.#told || this.#isUsed()) return false;
    return ![...this.#parts.state.steps.values()].some(({ attempts }) => attempts.length > 0);
  }
}

/** A user's class may return anything. */
function textOf(id: Json | undefined): string | undefined {
  return typeof id === "string" && id !== "" ? id.slice(0, CHARACTERS) : undefined;
}
