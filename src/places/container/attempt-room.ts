/**
 * Waits for room on the disk for what an attempt needs before it begins. Nothing of it has begun,
 * so a full disk costs no attempt: as with a process that the machine cannot start now.
 */
import type { Clock } from "../../clock.ts";
import { isExhausted, whatRanOut } from "../../disk/disk-error.ts";
import { untilRoom } from "../../disk/until-room.ts";
import type { ContainerFiles, ContainersFolder } from "./container-files.ts";
import type { Engine } from "./engine.ts";

/** Who waits. */
export interface RoomWaiter {
  readonly clock: Clock;
  /** Whether what is written is still wanted. */
  isWanted(): boolean;
  /** Called once, if it has to be waited for. @param because a clause */
  waits(because: string): void;
}

/**
 * Does `act` once there is room for it. @throws what `act` throws, where that is another fault, or
 * once nobody wants it any more
 */
export function whenRoom<T>(
  { clock, isWanted, waits }: RoomWaiter,
  act: () => T | Promise<T>,
): Promise<T> {
  let last: unknown;
  return untilRoom(
    { clock, onHeld: (held, error) => (held ? waits(whatRanOut(error)) : undefined) },
    async () => {
      if (last !== undefined && !isWanted()) throw last;
      return act();
    },
    (error) => {
      last = error;
      return isExhausted(error) && isWanted();
    },
  );
}

/**
 * Makes an attempt's folder and writes into it, once there is room. A folder that was written in
 * part is removed.
 *
 * @throws what {@link whenRoom} throws
 */
export function writtenFolder<T>(
  waiter: RoomWaiter,
  folder: Pick<ContainersFolder, "begin" | "end">,
  [hasSecrets, engine]: readonly [hasSecrets: boolean, engine: Engine],
  write: (files: ContainerFiles) => T,
): Promise<readonly [ContainerFiles, T]> {
  return whenRoom(waiter, () => {
    const files = folder.begin(hasSecrets, engine);
    try {
      return [files, write(files)];
    } catch (error) {
      folder.end(files);
      throw error;
    }
  });
}
