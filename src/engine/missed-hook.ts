/**
 * Calls a pipeline's `onMissed` hook when slots were missed, after their lines are durable. It
 * belongs to no run: what it throws is logged, and nothing waits for it.
 */
import { toStepError } from "../core/failure.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { EnvValue, Json } from "../core/snapshot.ts";
import { baseLayer } from "../run/environment.ts";
import type { HookTask } from "../core/task.ts";
import type { Place, TaskHandlers } from "../places/place.ts";
import { resultOf, runTask } from "../places/run-task.ts";
import type { SecretSource } from "../run/secrets.ts";
import type { Log } from "../log.ts";
import type { MissedSlot } from "./slot-recorder.ts";

/** How long the hook may take, in milliseconds. */
const LIMIT_MS = 300_000;
/**
 * A long downtime misses many slots at once: the hook is told of so many, and of how many there
 * were.
 */
const SLOTS_TOLD = 1_000;

/** What calling the hook needs. */
export interface MissedHookPorts {
  readonly place: Place;
  readonly log: Log;
  readonly secrets: SecretSource;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The `env` of orchd.yaml. */
  readonly settingsEnv: () => Readonly<Record<string, EnvValue>>;
}

let calls = 0;

/** Calls the hook if the pipeline has one. Never throws. */
export function callMissedHook(
  loaded: LoadedPipeline,
  missed: readonly MissedSlot[],
  ports: MissedHookPorts,
): void {
  const code = loaded.snapshot.hooks.onMissed;
  if (code === undefined || missed.length === 0) return;
  const pipeline = loaded.name;
  const failed = (message: string): void =>
    ports.log.error(
      { pipeline, hook: "onMissed" },
      `the onMissed hook of pipeline ${pipeline} failed: ${message}`,
    );
  try {
    const secrets: string[] = [];
    const env: Record<string, string> = {};
    for (const [name, value] of Object.entries({
      ...baseLayer(ports.environment, ports.settingsEnv()),
      ...loaded.snapshot.env,
    })) {
      if (typeof value === "string") env[name] = value;
      else secrets.push((env[name] = ports.secrets.get(value.secret)));
    }
    const slots = missed.slice(0, SLOTS_TOLD).map(({ slot, until, because, schedule }): Json => ({
      slot,
      because,
      ...(until === undefined ? {} : { until }),
      ...(schedule === undefined ? {} : { schedule }),
    }));
    const task: HookTask = {
      kind: "hook",
      hook: "onMissed",
      code,
      run: { id: `${pipeline}#onMissed`, pipeline, attempt: 1 },
      env: { ...env, ORCHD_PIPELINE: pipeline },
      ...(secrets.length === 0 ? {} : { secrets }),
      timeoutMs: LIMIT_MS,
      gracePeriodMs: loaded.snapshot.gracePeriodMs,
      because:
        missed.length === 1
          ? missed[0]!.because
          : `${missed.length} slots were missed; the last: ${missed.at(-1)!.because}`,
      slots,
      params: loaded.params,
    };
    const id = `${pipeline}#onMissed-${(calls += 1)}`;
    const output: TaskHandlers["output"] = (lines) => {
      for (const { stream, line } of lines)
        ports.log.info({ pipeline, hook: "onMissed", stream }, line);
    };
    runTask(ports.place, { id, task, output }, (end) => {
      const result = resultOf(end, ({ because, code }) => ({
        name: "RunnerDied",
        message: `${because} (${code})`,
        code,
      }));
      if (!result.ok) failed(result.error.message);
    });
  } catch (error) {
    failed(toStepError(error).message);
  }
}
