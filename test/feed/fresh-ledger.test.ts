/** A feed hears at once of a ledger whose maker still has it open. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { PipelineEvent } from "../../src/core/event.ts";
import { FeedHub } from "../../src/feed/feed-hub.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";

it("gives lines of a new ledger before the slow look", async () => {
  const { runs } = tempRoot();
  mkdirSync(join(runs, "p"));
  const event = (because: string): PipelineEvent =>
    ({ type: "pipeline.paused", by: "test", because }) as unknown as PipelineEvent;
  const ledger = await LedgerFile.create<PipelineEvent>(
    join(runs, "p/pipeline.jsonl"),
    [{ ...event("first"), format: 1, pipeline: "p" }],
    {
      clock: systemClock,
      onFatal: (error) => {
        throw error;
      },
    },
  );
  const hub = new FeedHub(new RunStore(runs));
  const feed = hub.subscribe();
  const next = feed[Symbol.asyncIterator]().next();
  const from = performance.now();
  await ledger.append([event("second")]);
  const { value } = await next;
  expect((value as { raw: string }).raw).toContain('"second"');
  expect(performance.now() - from).toBeLessThan(900);
  hub.close();
  await ledger.close();
});
