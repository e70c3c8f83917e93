/** Asks an engine whether memory was why something in a container was killed. */
import type { Clock } from "../../clock.ts";
import type { Engine } from "./engine.ts";

/** When the engine is asked, in milliseconds each after the one before. */
const AGAIN_MS = 100;
const TRIES = 3;

/**
 * Whether a container ran out of memory, where the engine did not say so with its end. docker hears
 * of the two apart, and may tell the cause a moment later. podman tells both at once. It never
 * rejects.
 */
export async function lateOutOfMemory(
  engine: Pick<Engine, "inspect" | "name">,
  name: string,
  clock: Clock,
): Promise<boolean> {
  for (let tries = 0; engine.name === "docker" && tries < TRIES; tries += 1) {
    await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
    const [state] = await engine.inspect([name]).catch(() => []);
    if (state?.outOfMemory === true) return true;
  }
  return false;
}
