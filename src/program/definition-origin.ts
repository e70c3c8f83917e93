/**
 * Where a definition in code was made: the file that called `pipeline()` or `dynamicPipeline()`.
 *
 * A runner loads that file, and finds the definition in it by its name among those that the file
 * makes. The stack of the call tells the file: the first frame that is not of the package itself.
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { ORIGIN_SYMBOL } from "../steps/authoring.ts";
import { definitionKind } from "../steps/resolve-code.ts";

/** A definition's file, absolute, and its name; the name is empty if it has none. */
export interface DefinitionOrigin {
  readonly file: string;
  readonly name: string;
}

/** @throws Error, a sentence, if the value is no definition, or if its file is not known */
export function originOf(definition: object): DefinitionOrigin {
  if (definitionKind(definition) === undefined)
    throw new Error(
      "snapshot() takes a pipeline's name, the path of a file, " +
        "or what pipeline() or dynamicPipeline() returned.",
    );
  const { name } = definition as { readonly name?: string };
  const stack = (definition as Record<symbol, unknown>)[ORIGIN_SYMBOL];
  const files = typeof stack === "string" ? filesIn(stack) : [];
  // The first frame is of steps/authoring.ts, in this copy of the package or in another one.
  const own = files.length === 0 ? "" : `${dirname(dirname(files[0]!))}/`;
  const file = files.find((each) => !each.startsWith(own));
  if (file === undefined)
    throw new Error(
      `it is not known which file made the pipeline ${JSON.stringify(name ?? "")}: ` +
        "call pipeline() at the top level of a file, and keep orchd out of what is bundled.",
    );
  return { file, name: name ?? "" };
}

/** The files that a stack names, the innermost first. */
function filesIn(stack: string): string[] {
  return [...stack.matchAll(/(?:\(|at (?:async )?)((?:file:\/\/)?\/[^()\n]+?):\d+:\d+\)?$/gm)].map(
    ([, place]) =>
      place!.startsWith("file:") ? fileURLToPath(place!.replace(/[?#].*$/, "")) : place!,
  );
}
