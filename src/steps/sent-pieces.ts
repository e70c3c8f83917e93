/**
 * Pieces on their way from a runner's main thread to a worker thread. Several travel in one
 * message. To clone an object for each costs both threads more than all else that the message
 * holds: so their heads are one text, a list of plain values. What a piece has for a body stays a
 * text of its own, which is only copied.
 */

/** A task on its way to a thread. */
export interface SentPiece {
  readonly seq: number;
  readonly id: string;
  /** The pipeline that it is a task of. */
  readonly pipeline: string;
  /** The task as JSON; of a step with a frame its own parts, or nothing. */
  readonly body: string;
  /** The number of its frame (core/task-frame.ts), its name and its attempt. */
  readonly frame?: number;
  readonly step?: string;
  readonly attempt?: number;
}

/** Pieces, packed. */
export interface PackedPieces {
  /** JSON: for each piece {@link VALUES} values. */
  readonly heads: string;
  /** The bodies of those that have one, in order. */
  readonly bodies: readonly string[];
}

/** How many values a head has. */
const VALUES = 7;
/** Frames count from 1. */
const NO_FRAME = 0;

// A step may change what `JSON.parse` is.
const { parse } = JSON;

/** For the main thread. */
export function packPieces(pieces: readonly SentPiece[]): PackedPieces {
  const heads: (number | string)[] = [];
  const bodies: string[] = [];
  for (const { seq, id, pipeline, body, frame = NO_FRAME, step = "", attempt = 0 } of pieces) {
    heads.push(seq, id, pipeline, body === "" ? 0 : 1, frame, step, attempt);
    if (body !== "") bodies.push(body);
  }
  return { heads: JSON.stringify(heads), bodies };
}

/** For the worker thread: the pieces as they were. */
export function unpackPieces({ heads, bodies }: PackedPieces): SentPiece[] {
  const values = parse(heads) as (number | string)[];
  const pieces: SentPiece[] = [];
  let next = 0;
  for (let at = 0; at < values.length; at += VALUES) {
    const seq = values[at] as number;
    const id = values[at + 1] as string;
    const pipeline = values[at + 2] as string;
    const body = values[at + 3] === 0 ? "" : bodies[next++]!;
    const frame = values[at + 4] as number;
    if (frame === NO_FRAME) pieces.push({ seq, id, pipeline, body });
    else {
      const step = values[at + 5] as string;
      pieces.push({ seq, id, pipeline, body, frame, step, attempt: values[at + 6] as number });
    }
  }
  return pieces;
}
