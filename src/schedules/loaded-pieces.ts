/**
 * A loaded pipeline in pieces of text, as it comes out of the thread that loaded it: taking in
 * thousands of steps at once would hold up the daemon's events.
 *
 * The first piece is the pipeline without its steps. Each further piece is a list of steps. A step
 * of the snapshot that is the template's own is a number: its place in the template.
 */
import { listPieces } from "../core/json-pieces.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { SnapshotStep } from "../core/snapshot.ts";

interface Head {
  readonly loaded: LoadedPipeline;
  /** The snapshot is the template. */
  readonly same: boolean;
}

interface Steps {
  readonly of: "template" | "snapshot";
  readonly steps: readonly (SnapshotStep | number)[];
}

/** The pieces of a pipeline. */
export function* loadedPieces(loaded: LoadedPipeline): Generator<string, void> {
  const { snapshot, template } = loaded;
  const same = snapshot === template;
  const bare = {
    ...loaded,
    template: { ...template, steps: [] },
    snapshot: same ? undefined : { ...snapshot, steps: [] },
  };
  yield JSON.stringify({ loaded: bare, same });
  yield* stepPieces("template", template.steps, []);
  if (!same) yield* stepPieces("snapshot", snapshot.steps, template.steps);
}

function* stepPieces(
  of: Steps["of"],
  steps: readonly SnapshotStep[],
  known: readonly SnapshotStep[],
): Generator<string, void> {
  const textOf = (step: SnapshotStep, index: number): string =>
    step === known[index] ? String(index) : JSON.stringify(step);
  for (const list of listPieces(steps, textOf)) yield `{"of":"${of}","steps":${list}}`;
}

/** Puts a pipeline together from its pieces. */
export class LoadedFromPieces {
  #head: Head | undefined;
  readonly #steps: { readonly [K in Steps["of"]]: SnapshotStep[] } = { template: [], snapshot: [] };

  /** Takes the next piece. */
  take(piece: string): void {
    if (this.#head === undefined) {
      this.#head = JSON.parse(piece) as Head;
      return;
    }
    const { of, steps } = JSON.parse(piece) as Steps;
    for (const step of steps)
      this.#steps[of].push(typeof step === "number" ? this.#steps.template[step]! : step);
  }

  /** The pipeline, once all pieces were taken. */
  get loaded(): LoadedPipeline {
    const { loaded, same } = this.#head!;
    const template = { ...loaded.template, steps: this.#steps.template };
    const snapshot = same ? template : { ...loaded.snapshot, steps: this.#steps.snapshot };
    return { ...loaded, template, snapshot };
  }
}
