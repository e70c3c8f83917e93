/**
 * `orchd verify`: reads every ledger under a runs folder and says what is wrong. Changes nothing.
 *
 * It is stricter than recovery. A torn tail is a fault here, although the daemon would cut it off
 * and go on. So is a ledger that is empty or has no whole header. A run that has not finished is
 * not a fault. A run whose slot has no line is, and so is a line whose run is gone
 * (verify-slots.ts).
 */
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Framed, PipelineLine } from "../core/event.ts";
import { parseRunId } from "../core/run-id.ts";
import { errorCode } from "../disk/disk-error.ts";
import { isThere } from "../disk/path-fault.ts";
import { damagedName } from "./damaged-name.ts";
import { LedgerFormatError } from "./ledger-error.ts";
import { readLedger, type LedgerFault, type LedgerReading } from "./ledger-reader.ts";
import { rotatedNotify } from "./rotated-ledgers.ts";
import { RunStore } from "./run-store.ts";
import { NO_SLOT_LINE, noLedgerText, SlotsTold } from "./verify-slots.ts";

/** What is wrong with one file. */
export interface FileFault {
  readonly file: string;
  /** The first bad line, from 1; 0 for the file as a whole. */
  readonly line: number;
  readonly fault: string;
}

/** What `orchd verify --json` prints. */
export interface Verification {
  /** How many ledgers were read. */
  readonly checked: number;
  readonly faults: FileFault[];
}

const PIPELINE_LEDGER = /^pipeline(-(?<date>\d{4}-\d\d-\d\d)(-(?<n>\d+))?)?\.jsonl$/;
/** How often to look at a young file: a write that is under way looks like a torn tail. */
const LOOKS = 5;
const LOOK_AGAIN_MS = 20;
/** How long a young run's slot may be without its line: jitter may hold the watermark back. */
const LINE_COMES_MS = 10_000;

/** Checks every ledger. A daemon may write them meanwhile. */
export async function verifyRoot(runsDir: string): Promise<Verification> {
  const store = new RunStore(runsDir);
  const faults: FileFault[] = [];
  let checked = 0;
  for (const pipeline of store.pipelines()) {
    try {
      checked += await verifyPipeline(store, pipeline, faults);
    } catch (error) {
      const fault = `it cannot be read: ${(error as Error).message}`;
      faults.push({ file: store.pipelineDir(pipeline), line: 0, fault });
    }
  }
  const told = [
    ...rotatedNotify(namesIn(store.orchdDir)).toReversed(),
    basename(store.notifyLedger),
  ];
  for (const name of told) {
    const file = join(store.orchdDir, name);
    if (!isThere(file)) continue;
    checked += 1;
    const fault = await verifyFile(file, {});
    if (fault !== undefined) faults.push({ file, ...fault });
  }
  return { checked, faults };
}

/** Checks one pipeline's ledgers. @returns how many @throws a Node error if a folder is bad */
async function verifyPipeline(
  store: RunStore,
  pipeline: string,
  faults: FileFault[],
): Promise<number> {
  const told = new SlotsTold();
  const own = new Set<string>();
  for (;;) {
    // Listed again each time: the ledger in use may be rotated while older ones are read.
    const name = ledgerNames(store, pipeline).find((one) => !own.has(one));
    if (name === undefined) break;
    own.add(name);
    const file = join(store.pipelineDir(pipeline), name);
    const fault = await verifyFile<PipelineLine>(file, {}, (line) => told.add(file, line));
    if (fault !== undefined) faults.push({ file, ...fault });
  }
  let runs = 0;
  // The names of one month at a time are in memory.
  for (const month of store.months(pipeline)) {
    for (const run of store.listMonth(pipeline, month)) {
      runs += 1;
      told.isThere(run);
      const file = store.runLedger(run);
      const fault = await verifyFile(file, { run, finishedElsewhere: told.hasFinished(run) });
      if (fault !== undefined) faults.push({ file, ...fault });
      else if (told.lacksLine(store.parseRunId(run)) && !isYoung(file, LINE_COMES_MS))
        faults.push({ file, line: 1, fault: NO_SLOT_LINE });
    }
  }
  if (runs > 0 && !own.has("pipeline.jsonl")) {
    const fault = "it is missing, and there are runs";
    faults.push({ file: store.pipelineLedger(pipeline), line: 0, fault });
  }
  for (const fault of missingRuns(store, pipeline, told)) faults.push(fault);
  for (const stray of straysOf(store, pipeline))
    faults.push({ file: stray, line: 0, fault: "its name is no run's id" });
  return own.size + runs;
}

/** The files of a pipeline's own ledger, the oldest first. */
function ledgerNames(store: RunStore, pipeline: string): string[] {
  const names = namesIn(store.pipelineDir(pipeline)).filter((name) => PIPELINE_LEDGER.test(name));
  const order = (name: string): string => {
    const { date = "9", n = "1" } = PIPELINE_LEDGER.exec(name)!.groups ?? {};
    return `${date} ${n.padStart(9, "0")}`;
  };
  return names.toSorted((a, b) => (order(a) < order(b) ? -1 : 1));
}

/** Runs that lines tell of, and whose ledgers are gone without retention. */
function missingRuns(store: RunStore, pipeline: string, told: SlotsTold): FileFault[] {
  const missing = [...told.missing()].filter(([run]) => !store.exists(run));
  if (missing.length === 0) return [];
  // Retention may have begun meanwhile; its line comes before it removes anything.
  const own = store.pipelineLedger(pipeline);
  if (statSync(own, { throwIfNoEntry: false })?.isFile() === true)
    readLedger<PipelineLine>(own, {
      each: (line) => {
        if (line.type === "runs.pruned") told.add(own, line);
      },
    });
  return missing
    .filter(([run]) => !told.mayBePruned(run) && !isThere(damagedName(store.runLedger(run), 1)))
    .map(([run, line]) => ({ file: store.runLedger(run), line: 0, fault: noLedgerText(line) }));
}

/** What other files say about a ledger that is checked. */
export interface VerifyOptions {
  /** The run that the header must name; undefined for a pipeline's ledger. */
  readonly run?: string | undefined;
  /** The pipeline's ledger says that this run has finished, so no line may be missing. */
  readonly finishedElsewhere?: boolean | undefined;
}

/** Checks one ledger as it is now. @returns its first fault, or undefined if it is whole */
export function verifyLedger(path: string, options: VerifyOptions = {}): LedgerFault | undefined {
  return judge(path, options).fault;
}

async function verifyFile<E extends Framed<object>>(
  path: string,
  options: VerifyOptions,
  each?: (line: E) => void,
): Promise<LedgerFault | undefined> {
  for (let look = 1; ; look += 1) {
    const { fault, torn } = judge<E>(path, options, each);
    if (!torn || look === LOOKS || !isYoung(path)) return fault;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

function isYoung(path: string, ageMs = 1_000): boolean {
  const changed = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return Math.abs(Date.now() - changed) < ageMs;
}

function judge<E extends Framed<object>>(
  path: string,
  options: VerifyOptions,
  each?: (line: E) => void,
): { fault: LedgerFault | undefined; torn: boolean } {
  let header: (E & { type?: unknown; run?: unknown }) | undefined;
  let last: (E & { type?: unknown }) | undefined;
  let misplaced: LedgerFault | undefined;
  let reading: LedgerReading<E>;
  try {
    reading = readLedger<E>(path, {
      each: (line) => {
        header ??= line;
        if (options.run !== undefined && last?.type === "run.finished")
          misplaced ??= { line: line.seq, fault: "it stands after run.finished" };
        last = line;
        each?.(line);
      },
    });
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { fault: undefined, torn: false };
    const fault =
      error instanceof LedgerFormatError
        ? error.message
        : `it cannot be read: ${(error as Error).message}`;
    return { fault: { line: 1, fault }, torn: false };
  }
  return {
    fault: faultOf(reading, options, header, last, misplaced),
    torn: reading.end === "torn",
  };
}

function faultOf<E extends Framed<object>>(
  { end, size, mark, fault }: LedgerReading<E>,
  { run, finishedElsewhere = false }: VerifyOptions,
  header: { type?: unknown; run?: unknown; format?: unknown } | undefined,
  last: { type?: unknown } | undefined,
  misplaced: LedgerFault | undefined,
): LedgerFault | undefined {
  if (size === 0) return { line: 1, fault: "empty: the ledger has no header" };
  if (header === undefined)
    return { line: 1, fault: `no whole header: ${fault?.fault ?? "no line"}` };
  if (end === "damaged" || (end === "torn" && finishedElsewhere))
    return { line: fault!.line, fault: `damaged: ${fault!.fault}` };
  if (end === "torn") return { line: fault!.line, fault: `torn tail: ${fault!.fault}` };
  if (run !== undefined && (header.type !== "run.submitted" || header.run !== run))
    return { line: 1, fault: `the header is not that of ${run}` };
  if (typeof header.format !== "number") return { line: 1, fault: "the header has no format" };
  if (misplaced !== undefined) return misplaced;
  if (finishedElsewhere && last?.type !== "run.finished")
    return {
      line: mark.seq + 1,
      fault: "lines are missing at the end: the pipeline's ledger says that the run finished",
    };
  return undefined;
}

/** Files that have the ending of a run's ledger and no run's name. */
function straysOf(store: RunStore, pipeline: string): string[] {
  return store.months(pipeline).flatMap((month) => {
    const directory = join(store.pipelineDir(pipeline), month);
    return namesIn(directory)
      .filter((name) => name.endsWith(".jsonl") && !name.startsWith("."))
      .filter((name) => {
        const id = parseRunId(basename(name, ".jsonl"));
        return id?.pipeline !== pipeline || id.month !== month;
      })
      .map((name) => join(directory, name));
  });
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory).toSorted();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(errorCode(error) ?? "") && dirname(directory) !== directory)
      return [];
    throw error;
  }
}
