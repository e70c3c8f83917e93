/**
 * An engine that was there and does not answer any more: it has died, or starts again. Its
 * containers may go on without it, and it tells of them once it is back. So it is asked again for a
 * while, and a step in one of them is neither failed nor run again before that.
 */
import type { Clock } from "../../clock.ts";
import { FAILURE_CODES } from "../../core/failure.ts";
import type { DeathInfo } from "../place.ts";
import { EngineError, type ContainerState, type Engine } from "./engine.ts";

/** How long an engine may be away, in milliseconds. */
export const AWAY_MS = 60_000;
/** When it is asked again. */
const AGAIN_MS = 500;

/** Nobody knows how a step ended, and no step is to blame. The message is a sentence. */
export class EngineLost extends EngineError {}

/** What an engine said of a container, once it answered. */
export interface AwayAnswer {
  /** Undefined: there is no such container. */
  readonly state: ContainerState | undefined;
  /** It did not answer at first. */
  readonly wasAway: boolean;
}

/**
 * How a container is. An engine that does not answer is asked again.
 *
 * @param wanted whether anybody still waits for it
 * @throws EngineLost if it does not come back
 */
export async function stateOnceBack(
  engine: Engine,
  name: string,
  clock: Clock,
  wanted: () => boolean,
): Promise<AwayAnswer> {
  const from = clock.monotonic();
  for (let wasAway = false; ; wasAway = true)
    try {
      const [state] = await engine.inspect([name]);
      return { state, wasAway };
    } catch (error) {
      if (!wanted() || clock.monotonic() - from > AWAY_MS)
        throw new EngineLost((error as Error).message);
      await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
    }
}

/** What the engine's command says when the engine dies under it. */
const CUT = new RegExp(
  "unexpected EOF|connection reset by peer|error during connect|" +
    String.raw`error waiting for container|: EOF\b`,
);

/** Whether the last words of the engine's command say that the engine died under it. */
export function isCut(said: string): boolean {
  return CUT.test(said);
}

/** The death of a task whose engine was lost. */
export function lostWithEngine(id: string, because: string): DeathInfo {
  const code = FAILURE_CODES.place;
  return { inFlight: [id], alone: true, because, code, blameless: "lost" };
}
