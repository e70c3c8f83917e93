/** The position after everything that stands in the ledgers now. */
import { crc32 } from "node:zlib";
import type { PipelineEvent } from "../core/event.ts";
import { emptyPipelineState, evolvePipeline } from "../core/pipeline-state.ts";
import { readTail } from "../ledger/ledger-reader.ts";
import { LinesBackwards } from "../ledger/lines-backwards.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { FeedScope } from "./feed-line.ts";
import { fileKey, FeedPosition, markCrc } from "./feed-position.ts";
import { firstCrc, withLedger } from "./find-place.ts";
import { headOf, recordedCrc } from "./whole-lines.ts";

/** How often a ledger is read that is rotated while it is read. */
const TRIES = 3;

/**
 * The position after the last whole line of each ledger: of pipelines, and of the runs that go on.
 *
 * @throws a Node error, where the folders cannot be listed
 */
export function presentPosition(store: RunStore, scope: FeedScope): FeedPosition {
  if (scope.run !== undefined) return withRun(FeedPosition.start, store, scope.run);
  let position = FeedPosition.start;
  for (const pipeline of scope.pipeline === undefined ? store.pipelines() : [scope.pipeline])
    position = withPipeline(position, store, pipeline);
  return position;
}

function withPipeline(before: FeedPosition, store: RunStore, pipeline: string): FeedPosition {
  const path = store.pipelineLedger(pipeline);
  const first = (): number | undefined => withLedger(path, firstCrc);
  for (let tries = 0; tries < TRIES; tries += 1) {
    const crc = first();
    if (crc === undefined) return before;
    const state = emptyPipelineState();
    let at = "";
    const mark = markOf(path, (line) => {
      evolvePipeline(state, line);
      at = line.at;
    });
    if (mark === undefined || first() !== crc) continue;
    const key = fileKey(pipeline, crc);
    let position = before
      .with({ key, pipeline, seq: mark.seq, crc: markCrc(mark.crc), back: [], turn: 0 })
      .withAt(at > before.at ? at : before.at);
    for (const run of state.active.keys()) position = withRun(position, store, run);
    return position;
  }
  return before;
}

function markOf(
  path: string,
  each: (line: Parameters<typeof evolvePipeline>[1]) => void,
): { readonly seq: number; readonly crc: number } | undefined {
  try {
    return readTail<PipelineEvent>(path, "pipeline.checkpoint", { each }).mark;
  } catch {
    // A newer release wrote it, or it is being replaced.
    return undefined;
  }
}

/** With a mark at the last line of a run's ledger that can be one. */
function withRun(before: FeedPosition, store: RunStore, run: string): FeedPosition {
  const pipeline = store.parseRunId(run).pipeline;
  const mark = { key: crc32(run), pipeline, run, back: [], turn: 0 };
  const last = withLedger(store.runLedger(run), (fd) => {
    const back = new LinesBackwards(fd);
    for (let line = back.previous(); line !== undefined; line = back.previous()) {
      const crc = recordedCrc(line);
      const head = crc === undefined ? undefined : headOf(line.toString("utf8"));
      if (head !== undefined) return { ...head, crc: crc! };
    }
    return undefined;
  });
  if (last === undefined) return before.with({ ...mark, seq: 0, crc: 0 });
  return before
    .with({ ...mark, seq: last.seq, crc: markCrc(last.crc) })
    .withAt(last.at > before.at ? last.at : before.at);
}
