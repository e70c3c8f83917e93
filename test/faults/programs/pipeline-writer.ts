/**
 * Appends to a pipeline's ledger: a run that fires and ends, again and again. It prints `ack N`
 * when run N is durable. Arguments: the runs folder, and how many runs. A run's number is in its
 * slot, so the ledger tells how far it got.
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
