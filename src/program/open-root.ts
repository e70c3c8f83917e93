/**
 * `openRoot`: how a program runs pipelines itself (docs/programs.md).
 *
 * This file is part of what `import "orchd"` loads in every step and every pipeline file. So it
 * holds nothing: what stands behind it is loaded with the first call.
 */
import { OPENING_SYMBOL } from "../core/loaded-definition.ts";
import type { OpenRoot, OpenRootOptions } from "./root.ts";

/**
 * Opens a root. With a daemon, what the program does becomes requests to it. Without one, the
 * program takes the daemon's lock and runs the engine itself, until it closes the root.
 *
 * ```ts
 * import { openRoot, Stack } from "orchd";
 *
 * await using root = await openRoot("/var/lib/orchd");
 * const orchestrator = root.orchestrator("local");
 * const stack = new Stack({ name: "default", orchestrator });
 * const snapshot = await root.snapshot("etl");
 * const placeholderRun = await root.placeholder(snapshot);
 * const environments = { baseEnvironment: {}, stepEnvironments: {} };
 * const submission = { snapshot, stack, ...environments, placeholderRun };
 * const result = await orchestrator.submitPipeline(submission);
 * await result?.waitForCompletion?.();
 * ```
 *
 * @param path the root's folder: that of orchd.yaml, `schedules` and `runs`
 * @throws Error, a sentence, if the root is not there, or if another process holds it
 */
export async function openRoot(path: string, options: OpenRootOptions = {}): Promise<OpenRoot> {
  // A thread loads the program's file for what the program makes before this call.
  const opening = (globalThis as Record<symbol, unknown>)[OPENING_SYMBOL];
  if (typeof opening === "function") return (opening as () => Promise<never>)();
  const { ProgramRoot } = await import("./program-root.ts");
  return ProgramRoot.open(path, options);
}
