import type { RunStore } from "../ledger/run-store.ts";
import type { FeedScope } from "./feed-line.ts";
import { FeedPosition, type Mark } from "./feed-position.ts";
import { pipelineFiles } from "./pipeline-files.ts";

/** The marks of a position that a scope needs. */
export function narrowed(position: FeedPosition, store: RunStore, scope: FeedScope): FeedPosition {
  if (scope.run === undefined && scope.pipeline === undefined) return position;
  const isWanted = wantedBy(store, scope);
  let narrow = FeedPosition.start.withAt(position.at, position.turn);
  for (const mark of position.marks()) if (isWanted(mark)) narrow = narrow.with(mark);
  return narrow;
}

function wantedBy(store: RunStore, { run, pipeline }: FeedScope): (mark: Mark) => boolean {
  if (run !== undefined) return (mark) => mark.run === run;
  const keys = new Set(pipelineFiles(store, pipeline!).map(({ key }) => key));
  // A mark that was read from a text says whose it is by its key alone. Where the pipeline has no
  // file now, it may come back.
  return (mark) =>
    mark.pipeline === undefined
      ? keys.size === 0 || keys.has(mark.key)
      : mark.pipeline === pipeline;
}
