/**
 * Goes on with a pipeline's ledger: a run fired and ended, again and again, with `ack N` on stdout
 * once that is durable. Arguments: the runs folder, and how many. The number of a run is in its
 * slot, and so is known from the ledger.
 */
import { writeSync } from "node:fs";
import { systemClock } from "../../../src/clock.ts";
import { PipelineLedger } from "../../../src/ledger/pipeline-ledger.ts";
import { firedAndEnded, numberOf } from "./pipeline-lines.ts";

const [runs = "", count = "1"] = process.argv.slice(2);
const ledger = await PipelineLedger.open(runs, "p", {
  clock: systemClock,
  onFatal: () => process.exit(7),
});
for (let left = Number(count); left > 0; left -= 1) {
  const n = numberOf(ledger.state) + 1;
  await ledger.append(firedAndEnded(n));
  writeSync(1, `ack ${n}\n`);
}
await ledger.close();
