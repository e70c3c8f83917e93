/**
 * Follows a ledger that is being written, as fast as it can. It reads on from where it was, and
 * from time to time all of it. When its stdin is closed, it prints how many lines it saw and every
 * fault, as JSON. Arguments: the path, and `half-lines` to drop the rule that a line ends in a line
 * feed.
 */
import { existsSync, readFileSync, writeSync } from "node:fs";
import {
  LEDGER_START,
  readLedger,
  readTail,
  type LedgerMark,
} from "../../../src/ledger/ledger-reader.ts";

interface Note {
  readonly type: string;
  readonly n?: number;
}

const [path = "", ...planted] = process.argv.slice(2);
const faults: string[] = [];
let mark: LedgerMark = LEDGER_START;
let lines = 0;
let looks = 0;
let over = false;
process.stdin.on("end", () => (over = true)).resume();

function look(): void {
  looks += 1;
  const whole = looks % 20 === 0;
  const reading = readLedger<Note>(path, whole ? {} : { from: mark });
  if (reading.end === "damaged")
    faults.push(`line ${reading.fault!.line}: ${reading.fault!.fault}`);
  if (whole && reading.mark.seq < mark.seq)
    faults.push(`${reading.mark.seq} lines were there, and ${mark.seq} before`);
  for (const line of reading.lines)
    if (line.type === "note" && line.n !== line.seq)
      faults.push(`line ${line.seq} says ${String(line.n)}`);
  if (!whole) {
    lines += reading.lines.length;
    mark = reading.mark;
  }
  const tail = readTail<Note>(path, () => true);
  if (tail.end === "damaged") faults.push(`at the end: ${tail.fault!.fault}`);
}

/** Takes all that is there for lines, half ones too, and goes on after it. */
let taken = 0;
function lookWithoutRule(): void {
  looks += 1;
  const text = readFileSync(path).subarray(taken);
  taken += text.length;
  for (const piece of text.toString().split("\n").filter(Boolean)) {
    lines += 1;
    try {
      JSON.parse(piece);
    } catch {
      faults.push(`${piece.slice(0, 40)} is no line`);
    }
  }
}

const lookOnce = planted.includes("half-lines") ? lookWithoutRule : look;
const step = (): void => {
  if (existsSync(path)) lookOnce();
  if (!over) return void setTimeout(step, 5);
  lookOnce();
  writeSync(1, JSON.stringify({ lines, looks, faults }));
};
step();
