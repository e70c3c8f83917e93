/** The position after everything that stands in the ledgers now. */
import { fstatSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { RunStore } from "../ledger/run-store.ts";
import type { FeedScope } from "./feed-line.ts";
import { BACK, beginningOf, fileKey, FeedPosition, markCrc, type Mark } from "./feed-position.ts";
import { firstCrc, linesBackwards, withLedger } from "./find-place.ts";
import type { SeenFile } from "./seen-file.ts";
import { runEndedBy, runsBegunBy } from "./told-runs.ts";
import type { WholeLine } from "./whole-lines.ts";

/** Is told what a pipeline's ledger looked like before its end was read. */
type OnLedger = (pipeline: string, seen: SeenFile) => void;

/**
 * The position after the last whole line of each ledger: of pipelines, and of the runs that go on.
 *
 * @throws a Node error, where the folders cannot be listed
 */
export function presentPosition(
  store: RunStore,
  scope: FeedScope,
  onLedger: OnLedger = () => undefined,
): FeedPosition {
  if (scope.run !== undefined) return withRun(FeedPosition.start, store, scope.run);
  let position = FeedPosition.start;
  for (const pipeline of scope.pipeline === undefined ? store.pipelines() : [scope.pipeline])
    position = withPipeline(position, store, pipeline, onLedger);
  return position;
}

function withPipeline(
  before: FeedPosition,
  store: RunStore,
  pipeline: string,
  onLedger: OnLedger,
): FeedPosition {
  const read = withLedger(store.pipelineLedger(pipeline), (fd) => {
    const { ino, size, mtimeMs } = fstatSync(fd);
    const first = firstCrc(fd);
    if (first === undefined) return undefined;
    const tail = tailOf(fd);
    onLedger(pipeline, { ino, size, mtimeMs });
    return { first, ...tail };
  });
  if (read === undefined) return before;
  const { first, last, active } = read;
  let position = withLast(before, { key: fileKey(pipeline, first), pipeline }, last);
  for (const run of active) position = withRun(position, store, run);
  return position;
}

/** The last lines of a pipeline's ledger, and the runs that go on. Reads back to a checkpoint. */
function tailOf(fd: number): {
  readonly last: readonly WholeLine[];
  readonly active: ReadonlySet<string>;
} {
  const last: WholeLine[] = [];
  const active = new Set<string>();
  const ended = new Set<string>();
  let isFound = false;
  for (const line of linesBackwards(fd)) {
    if (last.length <= BACK) last.push(line);
    else if (isFound) break;
    if (isFound) continue;
    const end = runEndedBy(line);
    if (end !== undefined) ended.add(end);
    for (const run of runsBegunBy(line)) if (!ended.has(run)) active.add(run);
    isFound = line.type === "pipeline.checkpoint";
  }
  return { last, active };
}

/** With a mark at the last line of a run's ledger. */
function withRun(before: FeedPosition, store: RunStore, run: string): FeedPosition {
  let path: string;
  try {
    path = store.runLedger(run);
  } catch {
    // The line names something that is no run's id: there is no file to read.
    return before;
  }
  const { pipeline } = store.parseRunId(run);
  const last = withLedger(path, (fd) => {
    const lines: WholeLine[] = [];
    for (const line of linesBackwards(fd)) if (lines.push(line) > BACK) break;
    return lines;
  });
  return last === undefined || last.length === 0
    ? before.with(beginningOf(pipeline, run, 0))
    : withLast(before, { key: crc32(run), pipeline, run }, last);
}

/** @param lines the last lines of the ledger, backwards */
function withLast(
  before: FeedPosition,
  ledger: Pick<Mark, "key" | "pipeline" | "run">,
  lines: readonly WholeLine[],
): FeedPosition {
  const [last, ...others] = lines;
  if (last === undefined) return before;
  const { seq, at, crc } = last;
  const back = others.map((line) => markCrc(line.crc));
  return before
    .with({ ...ledger, seq, crc: markCrc(crc), back, at, turn: 0 })
    .withAt(at > before.at ? at : before.at);
}
