import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import { evolvePipeline } from "../../src/core/pipeline-fold.ts";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import { PipelineLedger } from "../../src/ledger/pipeline-ledger.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readPipeline } from "../../src/views/pipeline-reading.ts";
import { anyEvent, countersOf } from "../support/counted-events.ts";
import { tempRoot } from "../support/temp-root.ts";
import { calm } from "./sample-ledgers.ts";

const paused: PipelineEvent = { type: "pipeline.paused" };

type Act =
  | { readonly kind: "lines"; readonly events: readonly PipelineEvent[] }
  | { readonly kind: "restart" | "prune" | "remove" };

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .array(anyEvent, { minLength: 1, maxLength: 12 })
      .map((events): Act => ({ kind: "lines", events })),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "restart" } as const) },
  { weight: 2, arbitrary: fc.constant({ kind: "prune" } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "remove" } as const) },
);

it("counts on through restarts, rotation, pruning and a file that is put back", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 20 }), async (acts) => {
      const { runs } = tempRoot();
      const store = new RunStore(runs);
      const options = {
        ...calm<PipelineEvent>(),
        checkpointLines: 7,
        rotateBytes: 6_000,
      };
      const whole = emptyPipelineState();
      let ledger = await PipelineLedger.open(runs, "p", options);
      let before: Record<string, number> = {};
      for (const one of acts) {
        switch (one.kind) {
          case "lines":
            for (const line of await ledger.append(one.events)) evolvePipeline(whole, line);
            break;
          case "restart":
            await ledger.close();
            ledger = await PipelineLedger.open(runs, "p", options);
            break;
          case "prune":
            prune(store);
            break;
          case "remove":
            rmSync(ledger.path, { force: true });
            ledger.look();
            for (const line of await ledger.append([paused])) evolvePipeline(whole, line);
            break;
        }
        const { tally } = readPipeline(store, "p")?.state ?? emptyPipelineState();
        expect(tally).toEqual(whole.tally);
        const now = countersOf(tally);
        for (const [name, value] of Object.entries(before))
          expect(now[name]).toBeGreaterThanOrEqual(value);
        before = now;
      }
      await ledger.close();
    }),
    { numRuns: 60 },
  );
});

/** Removes the rotated files, as retention does. */
function prune(store: RunStore): void {
  const folder = store.pipelineDir("p");
  for (const name of store.pipelines().includes("p") ? readdirSync(folder) : [])
    if (/^pipeline-.+\.jsonl$/.test(name)) rmSync(join(folder, name));
}
