/** What the tables of docs/pipeline-files.md call a default is what a file without the key gets. */
import { describe, expect, it } from "vitest";
import { compile } from "../../src/core/compile.ts";
import type { ImageContainer } from "../../src/core/container.ts";
import { parseDuration } from "../../src/core/duration.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import { resolvePlaces } from "../../src/core/place-schema.ts";
import { resolveNotify } from "../../src/core/notify-settings.ts";
import { pipelineJsonSchema, pipelineSchema } from "../../src/core/pipeline.ts";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import {
  DEFAULT_SETTINGS,
  resolveSettings,
  settingsJsonSchema,
  type OrchdSettings,
} from "../../src/core/settings.ts";
import { rowsOf } from "./key-table.ts";

function loaded(written: object): LoadedPipeline {
  const result = compile({
    definition: pipelineSchema.parse({ steps: { s: { run: "true" } }, ...written }),
    file: "/srv/p.yaml",
    code: new Map(),
    settings: DEFAULT_SETTINGS,
    now: Date.UTC(2026, 10, 24),
    watched: [],
  });
  if (!result.ok) throw new Error(JSON.stringify(result.faults));
  return result.loaded;
}

const plain = loaded({});
const scheduled = loaded({ schedule: { cron: "@daily" } }).schedules[0]!;
const stepOf = (written: object): SnapshotStep =>
  loaded({ steps: { s: { run: "true", ...written } } }).snapshot.steps[0]!;
const step = stepOf({});
const retried = stepOf({ retry: { maxRetries: 1 } }).retry;
const cached = stepOf({ cache: {} }).cache!;
const contained = stepOf({ container: "busybox" }).container as ImageContainer;
const { settings } = resolveSettings({}) as { readonly settings: OrchdSettings };
const farAway = resolvePlaces({ far: { engine: "ssh", host: "h" } }, (path) => path)["far"]!;
const { page } = (resolveSettings({ page: {} }) as { readonly settings: OrchdSettings }).settings;
const notify = resolveNotify(
  {
    channels: { ops: { kind: "slack", url: "https://chat.example.org" } },
    heartbeat: { url: "https://hc.example.org" },
  },
  "UTC",
);
const rule = notify.rules[0]!;

/** What a key's value is if nobody wrote it; durations in milliseconds. */
const PIPELINE: Readonly<Record<string, unknown>> = {
  "schedule.timezone": scheduled.timezone,
  "schedule.jitterSeconds": scheduled.jitterSeconds,
  "schedule.catchUp": scheduled.catchUp,
  "schedule.catchUpWindow": scheduled.catchUpWindowMs,
  "schedule.maxCatchUp": scheduled.maxCatchUp,
  overlap: plain.overlap,
  maxActiveRuns: plain.maxActiveRuns,
  maxQueuedRuns: plain.maxQueuedRuns,
  priority: plain.priority,
  shadow: plain.shadow,
  maxParallelSteps: plain.snapshot.maxParallelSteps,
  executionMode: plain.snapshot.executionMode,
  enableCache: settings.enableCache,
  "retry.maxRetries": step.retry.maxRetries,
  "retry.delay": retried.delayMs,
  "retry.backoff": retried.backoff,
  "retry.jitter": retried.jitter,
  onInterruption: step.onInterruption,
  gracePeriod: plain.snapshot.gracePeriodMs,
  orchestrator: plain.snapshot.orchestrator.flavor,
  "container.pull": contained.pull,
  "container.keep": contained.keep,
  "steps.NAME.container.pull": contained.pull,
  "steps.NAME.container.keep": contained.keep,
  "retention.keepDays": plain.retention.keepDays,
  "retention.keepRuns": plain.retention.keepRuns,
  "notify.after": rule.after,
  "notify.queued": rule.queuedMs,
  "steps.NAME.enableCache": step.enableCache,
  "steps.NAME.cache.acrossSlots": cached.acrossSlots,
  "steps.NAME.cache.includeStepCode": cached.includeStepCode,
  "steps.NAME.retry.maxRetries": step.retry.maxRetries,
  "steps.NAME.retry.delay": retried.delayMs,
  "steps.NAME.retry.backoff": retried.backoff,
  "steps.NAME.retry.jitter": retried.jitter,
  "steps.NAME.isolated": step.isolated,
};
const SETTINGS: Readonly<Record<string, unknown>> = {
  project: settings.project,
  timezone: settings.timezone,
  gracePeriod: settings.gracePeriodMs,
  drainPeriod: settings.drainPeriodMs,
  "retention.keepDays": settings.retention.keepDays,
  "retention.keepRuns": settings.retention.keepRuns,
  "runner.threads": settings.runner.threads,
  enableCache: settings.enableCache,
  "containers.atOnce": settings.containers.atOnce,
  "places.NAME.threads": "threads" in farAway ? farAway.threads : undefined,
  // The maker of the place has it: what runs over there is found by its PATH.
  "places.NAME.node": "node",
  "page.requests": page!.requests,
  "page.trustProxy": page!.trustProxy,
  // The mail channel has them: with `tls: implicit`, and without a user.
  "notify.channels.NAME.smtp.port": 465,
  "notify.channels.NAME.smtp.tls": "opportunistic",
  "notify.channels.NAME.timeout": notify.channels["ops"]!.timeoutMs,
  "notify.rules.after": rule.after,
  "notify.rules.queued": rule.queuedMs,
  "notify.heartbeat.every": notify.heartbeat!.everyMs,
  "notify.heartbeat.timeout": notify.heartbeat!.timeoutMs,
};

/**
 * The value that a cell names, by the key's type: `1, no limit under allow` is 1, `orchd.yaml's,
 * 10s` is 10,000. Undefined: it names none.
 */
function valueOf(cell: string, type: string): unknown {
  if (type === "duration") {
    const [text] = /\b\d+(?:ms|s|m|h|d)\b/.exec(cell) ?? [];
    return text === undefined ? undefined : parseDuration(text);
  }
  if (/^(?:integer|number)/.test(type)) {
    const [text] = /\b\d+\b/.exec(cell) ?? [];
    return text === undefined ? undefined : Number(text);
  }
  if (type === "true or false") {
    const [text] = /\b(?:true|false)\b/.exec(cell) ?? [];
    return text === undefined ? undefined : text === "true";
  }
  if (!/^(?:`|text$|text or block$)/.test(type)) return undefined;
  const word = /^(?:.* else )?([\w-]+)$/.exec(cell)?.[1];
  return word === "none" ? undefined : word;
}

describe.each([
  ["a pipeline", pipelineJsonSchema, PIPELINE],
  ["orchd.yaml", settingsJsonSchema, SETTINGS],
])("the defaults of %s", (_what, schema, values) => {
  const said = rowsOf(schema()).map(([key, type, fallback]): [string, unknown] => [
    key!.replaceAll("`", ""),
    valueOf(fallback!, type!),
  ]);

  it("are what its table says", () => {
    expect(Object.fromEntries(said.filter(([, value]) => value !== undefined))).toEqual(values);
  });
});
