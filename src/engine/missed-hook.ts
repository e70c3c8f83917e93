/**
 * Calls a pipeline's `onMissed` hook for slots that were missed, once their lines are durable. The
 * hook belongs to no run: what it throws is logged, and nothing waits for it. Its environment is
 * that of the pipeline's other hooks; `${run.id}` is `PIPELINE#onMissed` in it, and
 * `${run.scheduledFor}` the newest slot that was missed.
 */
import { countText } from "../core/counted.ts";
import { defined } from "../core/defined.ts";
import { toStepError } from "../core/failure.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { CodeRef, EnvValue } from "../core/snapshot.ts";
import { bindRun, bindRunEnv } from "../core/template.ts";
import { baseLayer, resolveSecrets } from "../run/environment.ts";
import type { HookTask } from "../core/task.ts";
import type { Place, TaskHandlers } from "../places/place.ts";
import { resultOf, runTask } from "../places/run-task.ts";
import type { SecretSource } from "../core/secret-source.ts";
import type { Log } from "../log.ts";
import type { MissedSlot } from "./slot-recorder.ts";

/** How long the hook may take, in milliseconds. */
const LIMIT_MS = 300_000;
/** The most slots that the hook is told: a long downtime misses many at once. It gets the count. */
const SLOTS_TOLD = 1_000;

/** What calling the hook needs. */
export interface MissedHookPorts {
  readonly place: Place;
  readonly log: Log;
  readonly secrets: SecretSource;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The `env` of orchd.yaml, for a version that does not have it. */
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
  const fields = { pipeline: loaded.name, hook: "onMissed" };
  const failed = (message: string): void =>
    ports.log.error(fields, `the onMissed hook of pipeline ${loaded.name} failed: ${message}`);
  const output: TaskHandlers["output"] = (lines) => {
    for (const { stream, line } of lines) ports.log.info({ ...fields, stream }, line);
  };
  let task: HookTask;
  try {
    task = taskOf(loaded, code, missed, ports);
  } catch (error) {
    return failed(toStepError(error).message);
  }
  runTask(ports.place, { id: `${task.run.id}-${(calls += 1)}`, task, output }, (end) => {
    const result = resultOf(end, ({ because, code: reason }) => ({
      name: "RunnerDied",
      message: `${because} (${reason})`,
    }));
    if (!result.ok) failed(result.error.message);
  });
}

function taskOf(
  { name: pipeline, snapshot, params }: LoadedPipeline,
  code: CodeRef,
  missed: readonly MissedSlot[],
  ports: MissedHookPorts,
): HookTask {
  const id = `${pipeline}#onMissed`;
  const { slot: newest, until = newest } = missed.at(-1)!;
  const words = { id, scheduledFor: until };
  const secrets: string[] = [];
  const env: Record<string, string> = {};
  const base = baseLayer(ports.environment, snapshot.baseEnv ?? ports.settingsEnv());
  const layers = {
    ...bindRunEnv(base, words),
    ...snapshot.stackEnv,
    ...bindRunEnv(snapshot.env, words),
  };
  for (const [name, value] of Object.entries(layers)) {
    if (typeof value === "string") env[name] = value;
    else secrets.push((env[name] = ports.secrets.get(value.secret)));
  }
  const given = resolveSecrets(bindRun(params, words), ports.secrets, secrets);
  const slots = missed
    .slice(0, SLOTS_TOLD)
    .map(({ slot, until, because, schedule }) => defined({ slot, because, until, schedule }));
  return defined({
    kind: "hook",
    hook: "onMissed",
    code,
    run: { id, pipeline, attempt: 1 },
    env: { ...env, ORCHD_PIPELINE: pipeline },
    secrets: secrets.length === 0 ? undefined : [...new Set(secrets)],
    timeoutMs: LIMIT_MS,
    gracePeriodMs: snapshot.gracePeriodMs,
    because:
      missed.length === 1
        ? missed[0]!.because
        : `${countText(missed.length, "slot")} were missed; the last: ${missed.at(-1)!.because}`,
    slots,
    params: given,
  });
}
