/** What a run's steps were given and what they gave, no longer than a page can show. */
import { isArtifactRef } from "../core/artifact-ref.ts";
import type { RunState, StepState } from "../core/run-state.ts";
import type { Json } from "../core/snapshot.ts";
import { beginning } from "../core/whole-characters.ts";

/** A value with more characters than this as JSON is cut. */
const MOST_CHARACTERS = 4_096;
/** All values of a run together; those that come after are cut to nothing. */
const MOST_OF_RUN = 1_048_576;

/** Gives the values of one run's steps. */
export class StepValues {
  readonly #state: RunState;
  #left = MOST_OF_RUN;

  constructor(state: RunState) {
    this.#state = state;
  }

  /** What a step was given. An input that no step gave yet is left out. */
  inputs(step: StepState): Readonly<Record<string, Json>> {
    const given: [string, Json][] = Object.entries(step.values ?? {});
    for (const [name, { step: from, output }] of Object.entries(step.spec.inputs)) {
      const value = this.#output(this.#state.steps.get(from), output);
      if (value !== undefined) given.push([name, value]);
    }
    return Object.fromEntries(given.map(([name, value]) => [name, this.#short(value)]));
  }

  /** What it gave; null where it gave nothing. */
  outputs({ outputs }: StepState): Json | null {
    if (outputs === undefined) return null;
    if (isArtifactRef(outputs)) return this.#short(outputs);
    return Object.fromEntries(
      Object.entries(outputs).map(([name, value]) => [name, this.#short(value)]),
    );
  }

  #output(from: StepState | undefined, output: string | undefined): Json | undefined {
    const outputs = from?.outputs;
    if (outputs === undefined) return undefined;
    if (isArtifactRef(outputs)) return outputs;
    const name = output ?? (from?.spec.outputs === undefined ? "result" : undefined);
    if (name === undefined) return outputs;
    return Object.hasOwn(outputs, name) ? outputs[name] : undefined;
  }

  #short(value: Json): Json {
    const text = JSON.stringify(value);
    const most = Math.min(MOST_CHARACTERS, this.#left);
    this.#left -= Math.min(text.length, most);
    return text.length <= most ? value : { $cut: beginning(text, most), characters: text.length };
  }
}
