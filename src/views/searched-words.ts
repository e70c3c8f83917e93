/** Whether a run is about some words: its id, its tags, its steps, and every reason of it. */
import { runStatus } from "../core/run-status.ts";
import type { RunState } from "../core/run-state.ts";
import { beginning } from "../core/whole-characters.ts";

/** How much of a text that matched is shown, in characters. */
const SHOWN_CHARACTERS = 300;

/** Where a run matched. */
export interface RunMatch {
  /** The step whose name, reason or error matched; null where it is the run's own. */
  readonly step: string | null;
  /** The text that matched, or its beginning. */
  readonly text: string;
}

/** Words that are looked for, in any case: all of them, in one text or in several. */
export class SearchedWords {
  readonly #words: readonly string[];

  constructor(text: string) {
    this.#words = text
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== "");
  }

  /** Whether they can only be a part of a run's id, so that no ledger has to be opened. */
  get areOfId(): boolean {
    return this.#words.length === 1 && this.#words[0]!.includes("@");
  }

  /** False where no run of this pipeline can match. */
  mayBeOf(pipeline: string): boolean {
    return (
      !this.areOfId || pipeline.endsWith(this.#words[0]!.slice(0, this.#words[0]!.indexOf("@")))
    );
  }

  /** Whether the id alone holds all of them. */
  matchesId(run: string): boolean {
    return this.#words.every((word) => run.toLowerCase().includes(word));
  }

  /**
   * Where a run matches; undefined where it does not. The match is the text with the most words.
   */
  match(state: RunState): RunMatch | undefined {
    let best: { readonly match: RunMatch; readonly count: number } | undefined;
    const left = new Set(this.#words);
    for (const match of textsOf(state)) {
      const text = match.text.toLowerCase();
      const found = this.#words.filter((word) => text.includes(word));
      if (found.length === 0) continue;
      for (const word of found) left.delete(word);
      if (best === undefined || found.length > best.count) best = { match, count: found.length };
      if (left.size === 0 && best.count === this.#words.length) break;
    }
    if (best === undefined || left.size > 0) return undefined;
    return { ...best.match, text: beginning(best.match.text, SHOWN_CHARACTERS) };
  }
}

function* textsOf(state: RunState): Generator<RunMatch> {
  const own = (text: string | undefined): RunMatch[] =>
    text === undefined || text === "" ? [] : [{ step: null, text }];
  yield* own(state.run);
  yield* own(state.finished?.because ?? state.stop?.because ?? state.because);
  yield* own(runStatus(state).status);
  yield* own(state.trigger.kind);
  yield* own(state.stop?.by);
  for (const tag of state.tags) yield* own(tag);
  for (const [step, { because, error }] of state.steps) {
    yield { step, text: step };
    if (error !== undefined)
      yield { step, text: [error.message, error.code ?? error.name].join(" ") };
    if (because !== undefined) yield { step, text: because };
  }
}
