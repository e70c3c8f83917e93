/**
 * Holds tasks to their memory limits, as far as the runner's main thread can see what they hold
 * (outside-look.ts). A task that holds too much fails and is ended. Where another task in the
 * process may have grown instead, it is set aside: it starts again where it is alone.
 */
import { outOfMemory } from "../../steps/memory-watch.ts";
import { OutsideLook, groupHeldKib } from "./outside-look.ts";
import { describeTask, type Piece } from "./piece.ts";

/** How often the tasks with a limit are looked at, in milliseconds. */
const LOOK_MS = 100;

/**
 * Looks at the tasks with a limit until the process ends.
 *
 * @param pieces the tasks that there are; read at each look
 * @param end ends a piece that holds too much; its `fault` or `aside` says why
 */
export function watchMemoryLimits(
  pieces: ReadonlyMap<string, Piece>,
  end: (piece: Piece) => void,
): void {
  setInterval(() => look(pieces, end), LOOK_MS).unref();
}

function look(pieces: ReadonlyMap<string, Piece>, end: (piece: Piece) => void): void {
  let rssKib: number | undefined;
  for (const piece of pieces.values()) {
    const limit = piece.head.memoryMb;
    if (limit === undefined || piece.killing === true) continue;
    const { thread } = piece;
    if (thread === undefined) {
      const group = piece.shell?.group;
      if (group !== undefined) weigh(piece, limit, groupHeldKib(group), true, end);
      continue;
    }
    rssKib ??= process.memoryUsage.rss() / 1024;
    piece.look ??= new OutsideLook();
    const { kib, certain } = piece.look.look(thread, rssKib);
    const alone = [...pieces.values()].every(
      (other) => other === piece || other.thread === undefined,
    );
    weigh(piece, limit, kib, certain || alone, end);
  }
}

function weigh(
  piece: Piece,
  limitMb: number,
  heldKib: number,
  certain: boolean,
  end: (piece: Piece) => void,
): void {
  if (heldKib <= limitMb * 1024) return;
  piece.fault = outOfMemory(piece.head.step, heldKib, limitMb);
  if (!certain)
    piece.aside =
      `the runner grew beyond what ${describeTask(piece.head)} may hold, ` +
      "while that did not yield,";
  end(piece);
}
