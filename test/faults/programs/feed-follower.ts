/**
 * Follows the ledgers of a runs folder, and notes each line with its position in one write. Started
 * again, it goes on from the last line that it noted whole. Arguments: the runs folder, the file of
 * the notes, and `start` to begin with the first line that there is.
 */
import { appendFileSync, existsSync, readFileSync, truncateSync } from "node:fs";
import { openFeed } from "../../../src/feed/open-feed.ts";
import { RunStore } from "../../../src/ledger/run-store.ts";

const [runs = "", notes = ""] = process.argv.slice(2);
let from = "start";
if (existsSync(notes)) {
  const text = readFileSync(notes);
  const end = text.lastIndexOf(0x0a) + 1;
  truncateSync(notes, end);
  const last = text.subarray(0, end).toString("utf8").split("\n").at(-2);
  if (last !== undefined) ({ position: from } = JSON.parse(last) as { position: string });
}
for await (const { position, pipeline, run, raw } of openFeed(new RunStore(runs), { from }))
  appendFileSync(notes, `${JSON.stringify({ ledger: run ?? pipeline, raw, position })}\n`);
