/**
 * The lines of a log that are told in one turn of the event loop, written together at its end. A
 * call of the system costs ten times as much as making the line: 300 pipelines that are loaded, or
 * 1,000 runs that start, are as many lines in a few turns.
 *
 * A line that may be the last one is written at once, with those before it, and so is what is left
 * when the process exits. Only a SIGKILL takes the lines of its turn with it. The log repeats what
 * the ledgers say, so nothing else is lost.
 *
 * A write has at most 4,096 bytes unless a single line has more. The kernel does not mix such a
 * write to a pipe with what other processes write to it.
 */
import type { DestinationStream } from "pino";

/** PIPE_BUF of Linux. */
const MOST_BYTES = 4_096;
/** From this level of pino's on a line is written at once: `error`. */
const URGENT = 50;

/**
 * Gives a destination the lines of a turn together.
 *
 * @param shown makes of a line what is written; default: the line itself
 */
export function inTurns(
  destination: DestinationStream,
  shown: (line: string) => string = (line) => line,
): DestinationStream {
  let lines = "";
  let bytes = 0;
  let isDue = false;
  const flush = (): void => {
    if (bytes > 0) {
      const text = lines;
      lines = "";
      bytes = 0;
      destination.write(text);
    }
  };
  const atTurnsEnd = (): void => {
    isDue = false;
    flush();
  };
  process.once("exit", flush);
  const stream = {
    // Pino sets the level before each line.
    [Symbol.for("pino.metadata")]: true,
    lastLevel: 0,
    write(json: string): void {
      const line = shown(json);
      const length = Buffer.byteLength(line);
      if (bytes + length > MOST_BYTES) flush();
      lines += line;
      bytes += length;
      if (stream.lastLevel >= URGENT) flush();
      else if (!isDue) {
        isDue = true;
        setImmediate(atTurnsEnd);
      }
    },
  };
  return stream;
}
