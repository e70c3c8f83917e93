/**
 * Holds pieces of work to their memory limits, as far as that is seen from the runner's main thread
 * (outside-look.ts): what holds too much is given its fault and ended. Where others in the process
 * may have grown instead, it is set aside: to start again where nobody else can be to blame.
 */
import { outOfMemory } from "../../../steps/memory-watch.ts";
import { OutsideLook, groupHeldKib } from "./outside-look.ts";
import { describeTask, type Piece } from "./piece.ts";

/** How often the memory of what is limited is looked at. */
const LOOK_MS = 100;

/**
 * Looks at what is limited until the process ends.
 *
 * @param pieces what there is now; read at each look
 * @param end ends a piece that holds too much, and has been marked with why
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
    piece.aside = `the runner grew beyond what ${describeTask(piece.head)} may hold, while that did not yield,`;
  end(piece);
}
