/**
 * Records results in the cache's index of a runs folder, and is killed (SIGKILL) by itself.
 * Arguments: the folder of the index, how many results it records, after how many of them it
 * flushes, and `now` or `written`: whether it dies with the last one, or once all are in the file.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../src/clock.ts";
import { CacheIndex } from "../../../src/ledger/cache-index.ts";

const [folder = "", count = "", flushAfter = "", dies = "now"] = process.argv.slice(2);
const index = new CacheIndex(folder, { clock: systemClock });

for (let n = 1; n <= Number(count); n += 1) {
  const key = (n % 3).toString(16).repeat(64);
  index.record(key, { run: `p@${n}`, step: "a", at: new Date(n).toISOString() });
  if (n === Number(flushAfter)) await index.flush();
}
const die = (): void => void process.kill(process.pid, "SIGKILL");
if (dies === "now") die();
setInterval(() => {
  const lines = readFileSync(join(folder, "index.jsonl"), "utf8").split("\n");
  if (lines.length > Number(count)) die();
}, 10);
