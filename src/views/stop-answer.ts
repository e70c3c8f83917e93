/** What a run's orchestrator said to a stop that was accepted, as the run's ledger tells. */
import { setTimeout as sleep } from "node:timers/promises";
import type { RunLine } from "../core/event.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import type { RunStore } from "../ledger/run-store.ts";

/** How long a `stopRun` is waited for, a little longer than it may take, in milliseconds. */
const ANSWER_MS = 32_000;
/** How often the run's ledger is looked at meanwhile. */
const LOOK_MS = 200;

/**
 * What the run's orchestrator could not do, where it is asked to stop the run and answers within
 * {@link ANSWER_MS}.
 *
 * @param since the run's last line before the stop
 */
export async function orchestratorFailure(
  store: RunStore,
  run: string,
  since: number,
): Promise<string | undefined> {
  const path = store.runLedger(run);
  for (let waitedMs = 0; waitedMs < ANSWER_MS; waitedMs += LOOK_MS) {
    const lines = readLedger<RunLine>(path).lines.filter(({ seq }) => seq > since);
    const asked = lines.find(({ type }) => type === "run.stop_requested");
    if (asked?.type !== "run.stop_requested" || asked.asksOrchestrator !== true) return undefined;
    for (const line of lines) {
      if (line.type === "stop.failed" && line.mode === asked.mode) return line.because;
      if (line.type === "stop.accepted" && line.mode === asked.mode) return undefined;
      if (line.type === "run.finished") return undefined;
    }
    await sleep(LOOK_MS);
  }
  return undefined;
}
