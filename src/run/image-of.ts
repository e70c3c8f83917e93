/** What the name of a container's image means now, for the cache key of its step. */
import type { ContainerSpec } from "../core/container.ts";
import { Masker } from "../core/mask.ts";
import type { SecretSource } from "../core/secret-source.ts";
import type { OutputLine } from "../core/task.ts";
import { iso } from "../core/time.ts";
import { registryAuth } from "./container-task.ts";
import type { RunDeps } from "./run-deps.ts";

/** Who asks. */
export interface ImageAsker {
  readonly deps: RunDeps;
  readonly secrets: SecretSource;
  /** Nobody needs the image any more. */
  readonly signal: AbortSignal;
  /** Writes to the run's log. */
  output(lines: readonly OutputLine[]): void;
}

/**
 * The id of the image, pulled if need be: the run's log tells of a pull. Undefined: no step runs in
 * a container here.
 *
 * @throws Error, a sentence
 */
export async function imageOf(
  container: ContainerSpec,
  of: Pick<OutputLine, "step" | "attempt">,
  { deps, secrets, signal, output }: ImageAsker,
): Promise<string | undefined> {
  const found: string[] = [];
  const auth = registryAuth(container, secrets, found);
  const masker = new Masker(found);
  return deps.place.imageId?.(container, auth, {
    signal,
    tell(lines) {
      const own = { at: iso(deps.clock.now()), ...of, stream: "orchd" } as const;
      output(lines.map((line) => ({ ...own, line: masker.text(line) })));
    },
  });
}
