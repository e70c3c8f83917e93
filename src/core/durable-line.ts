/**
 * A line that is on the disk, with the ledger that holds it: logs, pages and messages are made from
 * it.
 *
 * Both kinds of ledger report their lines through this one port. A listener never learns of a line
 * that a crash may take back.
 */
import type { PipelineLine, RunLine } from "./event.ts";

/** A durable line, and the ledger that it belongs to. */
export type DurableLine =
  | { readonly ledger: "run"; readonly run: string; readonly line: RunLine }
  | { readonly ledger: "pipeline"; readonly pipeline: string; readonly line: PipelineLine };

/**
 * Is told each line that this process writes: once, in the order of its ledger, after the sync and
 * before anybody who waits for the line goes on. Checkpoints and the first lines of a rotated file
 * are lines too. It must not throw.
 */
export type LineListener = (durable: DurableLine) => void;
