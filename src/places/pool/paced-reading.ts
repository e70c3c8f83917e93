/**
 * Reads what programs print, in pieces, so that a daemon has time for all else meanwhile.
 *
 * Node reads up to two megabytes of a pipe before a timer has its turn, and those may be a million
 * lines of one step.
 */
import type { Readable } from "node:stream";

/** How much is read in one turn of the event loop, in bytes: there may be 16,000 lines in it. */
const TURN_BYTES = 64 * 1024;
/** How much is read between two rests, in bytes, and how long one is, in milliseconds. */
const BURST_BYTES = 1024 * 1024;
const REST_MS = 2;

/** Reads an output. Each 64 KiB, others have their turn. */
export function readInTurns(output: Readable, take: (chunk: Buffer) => void): void {
  read(output, take, false);
}

/** Reads an output whose writer may be a flood that never ends: it also rests in between. */
export function readWithRests(output: Readable, take: (chunk: Buffer) => void): void {
  read(output, take, true);
}

function read(output: Readable, take: (chunk: Buffer) => void, rests: boolean): void {
  let [turn, burst] = [0, 0];
  output.on("error", () => {});
  output.on("data", (chunk: Buffer) => {
    take(chunk);
    turn += chunk.length;
    if (turn < TURN_BYTES) return;
    burst += turn;
    turn = 0;
    output.pause();
    const resume = (): void => void output.resume();
    if (!rests || burst < BURST_BYTES) return void setImmediate(resume);
    burst = 0;
    setTimeout(resume, REST_MS).unref();
  });
}
