/**
 * Reading a run's ledger, where every line is checked and folded. Beside it stands a bare scan of
 * the same bytes for line feeds, with JSON.parse.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../src/clock.ts";
import type { RunEvent } from "../src/core/event.ts";
import { evolve } from "../src/core/run-fold.ts";
import type { RunState } from "../src/core/run-state.ts";
import { LedgerFile } from "../src/ledger/ledger-file.ts";
import { readLedger } from "../src/ledger/ledger-reader.ts";
import { inFolder } from "./bench-root.ts";
import { Rounds, tookHere } from "./rounds.ts";
import { median } from "./row.ts";
import type { Row } from "./row.ts";
import { PLAIN_SNAPSHOT, PLAIN_STEP } from "../test/support/plain-step.ts";

const STEPS = 10_000;
const ROUNDS = 9;

/** A run whose steps all completed: three lines a step. */
function events(): RunEvent[] {
  const steps = Array.from({ length: STEPS }, (_, index) => ({
    ...PLAIN_STEP,
    id: `step-${index}`,
    run: "true",
    after: index < 100 ? [] : [`step-${index - 100}`],
  }));
  const snapshot = {
    name: "bench",
    ...PLAIN_SNAPSHOT,
    file: "bench.yaml",
    steps: [] as unknown[],
  };
  return [
    {
      type: "run.submitted",
      format: 1,
      run: "bench@20261123T020000Z",
      pipeline: "bench",
      orchestratorRunId: "b",
      trigger: { kind: "manual" },
      params: {},
      snapshot,
      tags: [],
    },
    { type: "run.started", because: "nothing else is active" },
    ...steps.flatMap(({ id }) => [
      {
        type: "step.added",
        step: id,
        spec: {
          id,
          run: "true",
          ...PLAIN_STEP,
        },
      },
      { type: "step.started", step: id, attempt: 1, because: "inputs ready" },
      {
        type: "step.completed",
        step: id,
        attempt: 1,
        outputs: { result: { rows: 42, name: id } },
        durationMs: 1.25,
      },
    ]),
  ] as unknown as RunEvent[];
}

function bareScan(path: string): number {
  const bytes = readFileSync(path);
  let lines = 0;
  for (
    let start = 0, end = bytes.indexOf(10);
    end !== -1;
    start = end + 1, end = bytes.indexOf(10, start)
  ) {
    JSON.parse(bytes.toString("utf8", start, end));
    lines += 1;
  }
  return lines;
}

export async function run(): Promise<Row[]> {
  return inFolder(async (folder) => {
    const path = join(folder, "bench.jsonl");
    const written = events();
    const ledger = await LedgerFile.create<RunEvent>(path, written.slice(0, 1), {
      clock: systemClock,
      onFatal: () => undefined,
    });
    await ledger.append(written.slice(1));
    await ledger.close();
    const lines = bareScan(path);
    const raw = new Rounds("scan + JSON.parse");
    const read = new Rounds("readLedger");
    const folded = new Rounds("evolve");
    const fold = (): void => {
      let state: RunState | undefined;
      readLedger<RunEvent>(path, { each: (line) => void (state = evolve(state, line)) });
    };
    for (let round = -2; round < ROUNDS; round += 1) {
      for (const [rounds, once] of [
        [raw, () => bareScan(path)],
        [read, () => readLedger<RunEvent>(path)],
        [folded, fold],
      ] as const) {
        const took = await tookHere(once);
        if (round >= 0) rounds.addRate(took, lines);
      }
    }
    return [
      {
        what: "read and check a ledger",
        unit: "lines/s",
        orchd: read,
        beside: raw,
        goal: { of: "ratio", atLeast: 0.7 },
      },
      {
        what: "read, check and fold it",
        unit: "lines/s",
        orchd: folded,
        beside: raw,
        goal: { of: "ratio", atLeast: 0.7 },
      },
      {
        what: `bytes an event, of ${lines} lines`,
        unit: "bytes",
        orchd: { name: "ledger", samples: [median([statSync(path).size / lines])] },
        goal: { of: "orchd", atMost: 450 },
      },
    ];
  });
}
