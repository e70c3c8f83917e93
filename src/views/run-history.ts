/**
 * Past runs, the newest first. They are found by reading the pipelines' ledgers backwards: no month
 * folder is listed, and no more is read than is asked for.
 */
import { closeSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { defined } from "../core/defined.ts";
import { LinesBackwards } from "../ledger/lines-backwards.ts";
import { rotatedLedgers } from "../ledger/rotated-ledgers.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { parseObject } from "../core/json-object.ts";

/** A run as its pipeline's ledger knows it. */
export interface RunMention {
  readonly run: string;
  /**
   * When its newest line there was written, ISO 8601; or when a newer mention was, if the clock was
   * set back between the two. So the mentions of a ledger are in the order of their times.
   */
  readonly at: string;
  /** How it ended; undefined while it goes on. */
  readonly status?: string;
  /** How long daemons worked on it; undefined while it goes on. */
  readonly workedMs?: number;
}

/** A pipeline's ledgers: the one in use, then the rotated ones, the newest first. */
export function pipelineLedgers(store: RunStore, pipeline: string): string[] {
  const folder = store.pipelineDir(pipeline);
  const rotated = rotatedLedgers(namesIn(folder));
  return [store.pipelineLedger(pipeline), ...rotated.map((name) => join(folder, name))];
}

/**
 * The same, the oldest first. They take a while to read, and the one in use may be rotated
 * meanwhile: it then comes under its new name.
 */
export function* pipelineLedgersOldestFirst(store: RunStore, pipeline: string): Generator<string> {
  const given = new Set<string>();
  for (;;) {
    const [current, ...rotated] = pipelineLedgers(store, pipeline);
    const next = rotated.findLast((path) => !given.has(path));
    yield next ?? current!;
    if (next === undefined) return;
    given.add(next);
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throwIfForbidden(error);
    return [];
  }
}

/** What this user may not read is not the same as what is not there. @throws the error */
function throwIfForbidden(error: unknown): void {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EACCES" || code === "EPERM") throw error;
}

/**
 * A pipeline's ledger lines from the newest to the oldest, those of rotated files too. Lines that
 * hold no JSON object are skipped. A generator that is left early has to be closed (`for` does so):
 * it holds a file open.
 *
 * @param wanted asked before each line: what the line must hold; undefined: anything. It is given
 *   what tells the text of at most so many bytes before, in the same file
 */
export function* linesBackwards(
  store: RunStore,
  pipeline: string,
  wanted: (before: (bytes: number) => string) => Buffer | undefined = () => undefined,
): Generator<Readonly<Record<string, unknown>>> {
  for (const path of pipelineLedgers(store, pipeline)) {
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch (error) {
      throwIfForbidden(error);
      continue;
    }
    try {
      const lines = new LinesBackwards(fd);
      const before = (bytes: number): string => lines.textBefore(bytes);
      const previous = (): Buffer | undefined => lines.previous(wanted(before));
      for (let line = previous(); line !== undefined; line = previous()) {
        const parsed = parseObject(line.toString("utf8"));
        if (parsed !== undefined) yield parsed;
      }
    } finally {
      closeSync(fd);
    }
  }
}

/** How far before a line that is too old a step of the clock is looked for: some hundred lines. */
const NEAR_BYTES = 262_144;
const STEP = /"type":"clock\.stepped","from":"([^"]*)","to":"([^"]*)"/g;

/** Which mentions of runs are wanted. Default: all. */
export interface MentionBounds {
  /** The newest lines, as far as they are after this, are passed over, as if not yet written. */
  readonly top?: string | undefined;
  /** Lines before this moment are left out; milliseconds since 1970. */
  readonly sinceMs?: number;
}

/**
 * A pipeline's runs from the newest mention to the oldest, each once.
 *
 * A line is never older than what it tells of, so the first one that is too old ends the history.
 * Only where the clock was set back may lines before it be later: so for a step back it is looked
 * some way on. A clock that was wrong for longer hides what was before.
 */
export function* runsBackwards(
  store: RunStore,
  pipeline: string,
  { top = "~", sinceMs = Number.NEGATIVE_INFINITY }: MentionBounds = {},
): Generator<RunMention> {
  const seen = new Set<string>();
  let told: string | undefined;
  let isStepNear = false;
  let textBefore = (_bytes: number): string => "";
  const lines = linesBackwards(store, pipeline, (before) => void (textBefore = before));
  for (const line of lines) {
    const { run, at, type, status, durationMs, workedMs = durationMs } = line;
    if (typeof at !== "string") continue;
    if (Date.parse(at) < sinceMs) {
      if (type === "clock.stepped") isStepNear = false;
      else if (!(isStepNear ||= holdsStepBack(textBefore(NEAR_BYTES)))) return;
      continue;
    }
    isStepNear = false;
    if (typeof run !== "string") continue;
    if ((told === undefined && at > top) || seen.has(run)) continue;
    seen.add(run);
    told = told === undefined || at < told ? at : told;
    const ended = type === "run.finished" && typeof status === "string";
    yield {
      run,
      at: told,
      ...defined({
        status: ended ? status : undefined,
        workedMs: ended && typeof workedMs === "number" ? workedMs : undefined,
      }),
    };
  }
}

function holdsStepBack(text: string): boolean {
  return [...text.matchAll(STEP)].some(([, from, to]) => from! > to!);
}
