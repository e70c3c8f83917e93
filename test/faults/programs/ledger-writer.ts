/**
 * Writes a ledger and prints what was acknowledged: `ack SEQ`, each line in one write. It ends with
 * status 7 when the ledger says that it has failed. Arguments: the path, how many groups to append,
 * and faults to plant: `early` acknowledges before the write, `unsynced` has an fdatasync that does
 * nothing, `torn` has each write reach the file in two pieces, 5 ms apart. `a-second=N` appends N
 * groups a second; default: as fast as it can.
 */
import { existsSync, writeSync } from "node:fs";
import { systemClock } from "../../../src/clock.ts";
import { systemDisk, type Disk } from "../../../src/disk/disk.ts";
import { LedgerFile, type LedgerOptions } from "../../../src/ledger/ledger-file.ts";

interface Note {
  readonly type: string;
  readonly n?: number;
  readonly text?: string;
}

const [path = "", groups = "10", ...planted] = process.argv.slice(2);
/** Writes half. The ledger then writes the other half, as after any short write. */
async function writeHalf(
  ...[fd, bytes, offset, position]: Parameters<Disk["write"]>
): Promise<number> {
  if (offset > 0) return systemDisk.write(fd, bytes, offset, position);
  const written = await systemDisk.write(
    fd,
    bytes.subarray(0, Math.ceil(bytes.byteLength / 2)),
    0,
    position,
  );
  await new Promise((resolve) => setTimeout(resolve, 5));
  return written;
}
const disk: Disk = {
  ...systemDisk,
  ...(planted.includes("unsynced") ? { fdatasync: async () => undefined } : {}),
  ...(planted.includes("torn") ? { write: writeHalf } : {}),
};
const options: LedgerOptions<Note> = {
  clock: systemClock,
  disk,
  onFatal: () => {
    writeSync(1, "fatal\n");
    process.exit(7);
  },
};

function acknowledge(seq: number): void {
  writeSync(1, `ack ${seq}\n`);
}

let file: LedgerFile<Note>;
if (existsSync(path)) {
  file = (await LedgerFile.open<Note>(path, options)).file;
  writeSync(1, `open ${file.lastSeq}\n`);
} else {
  file = await LedgerFile.create<Note>(path, [{ type: "run.submitted" }], options);
  acknowledge(1);
}
const pace = Number(
  planted.find((word) => word.startsWith("a-second="))?.slice("a-second=".length) ?? Infinity,
);
const since = performance.now();
let next = file.lastSeq + 1;
for (let group = 0; group < Number(groups); group += 1) {
  const early = since + (group * 1_000) / pace - performance.now();
  if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
  const events = Array.from({ length: 1 + (next % 3) }, (_, index) => ({
    type: "note",
    n: next + index,
    text: "x".repeat((next * 37) % 300),
  }));
  next += events.length;
  if (planted.includes("early")) acknowledge(next - 1);
  await file.append(events);
  if (!planted.includes("early")) acknowledge(next - 1);
}
await file.close();
writeSync(1, "end\n");
