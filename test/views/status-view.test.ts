/** Which pipelines `orchd status` lists: a removed one only while it has runs, in the past too. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readPastStatus } from "../../src/views/past-status.ts";
import { readStatus } from "../../src/views/status-view.ts";
import { loaded, writePipeline, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const FIRED = { type: "slot.fired", slot: "2026-11-23T02:00:00.000Z", run: RUN };
const QUEUED = { type: "run.queued", run: RUN, because: "another run goes on" };
const STARTED = { type: "run.started", run: RUN };
const ENDED = { type: "run.finished", run: RUN, status: "completed", durationMs: 1 };

it.each<[string, HandEvent[], string[]]>([
  ["no run", [], []],
  ["a run that waits", [FIRED, QUEUED], ["p"]],
  ["a run that goes on", [FIRED, STARTED], ["p"]],
  ["a run that has ended", [FIRED, STARTED, ENDED], []],
])("a removed pipeline with %s", (_, events, shown) => {
  const { root, runs } = tempRoot();
  const roots = { schedules: join(root, "schedules"), runs };
  const removed = { type: "pipeline.removed", file: join(root, "schedules/p.yaml") };
  writePipeline(runs, "p", [loaded("0 2 * * *"), ...events, removed]);
  const now = Date.UTC(2026, 10, 23, 3);
  const reads = [
    (target?: string) => readStatus(roots, target, now),
    (target?: string) => readPastStatus(new RunStore(runs), target, now),
  ];
  for (const read of reads) {
    const names = (target?: string): unknown => {
      const answer = read(target);
      return answer.ok ? answer.view.pipelines.map(({ name }) => name) : answer;
    };
    expect(names()).toEqual(shown);
    expect(names("p")).toEqual(["p"]);
  }
});
