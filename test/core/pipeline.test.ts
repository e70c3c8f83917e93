/**
 * The shape of a pipeline file: the error names each wrong key and value, and what was probably
 * meant.
 */
import { describe, expect, it } from "vitest";
import { editDistance, nearest } from "../../src/core/did-you-mean.ts";
import { formatPath } from "../../src/core/fault.ts";
import { pipelineJsonSchema, pipelineSchema } from "../../src/core/pipeline.ts";
import {
  orchdSettingsSchema,
  resolveSettings,
  settingsJsonSchema,
  DEFAULT_SETTINGS,
} from "../../src/core/settings.ts";
import { checkShape } from "../../src/core/shape-faults.ts";

function faults(value: unknown): string[] {
  const shape = checkShape(pipelineSchema, value);
  return shape.ok ? [] : shape.faults.map(({ path, message }) => `${formatPath(path)} ${message}`);
}

/** The example of docs/pipeline-files.md and all other keys, as people write them. */
const EVERYTHING = {
  name: "log-digest",
  description: "Counts what the package manager did today",
  tags: ["ops"],
  params: { path: "/var/log/dpkg.log" },
  schedule: {
    cron: "*/5 * * * *",
    timezone: "Europe/Berlin",
    startTime: "2026-12-01T00:00:00Z",
    endTime: "2027-12-01T00:00:00Z",
    jitterSeconds: 30,
    catchUp: "latest",
    catchUpWindow: "24h",
    maxCatchUp: 100,
  },
  overlap: "skip",
  maxActiveRuns: 1,
  maxParallelSteps: 8,
  executionMode: "continue_on_failure",
  enableCache: true,
  retry: {
    maxRetries: 2,
    delay: "5s",
    backoff: 2,
    maxDelay: "5m",
    jitter: 0.1,
    on: ["ECONNRESET"],
  },
  onInterruption: "retry",
  timeout: "1h",
  env: { LANG: "C" },
  orchestrator: "local",
  hooks: {
    init: "./steps/hooks.ts#open",
    cleanup: "./steps/hooks.ts#close",
    onSuccess: "./steps/hooks.ts#ok",
    onFailure: "./steps/hooks.ts#alert",
  },
  steps: {
    read: { uses: "./steps/read.ts", params: { path: "${params.path}" } },
    digest: {
      uses: "./steps/digest.ts",
      inputs: { lines: "read" },
      cache: {
        expiresAfter: "7d",
        acrossSlots: true,
        fileDependencies: ["./steps/words.txt"],
        ignoredInputs: [],
        includeStepCode: true,
      },
    },
    archive: {
      run: 'gzip -c "$ORCHD_INPUT_report" > out.gz',
      inputs: { report: "digest" },
      after: ["read"],
      timeout: "10m",
      resources: { memoryMb: 256 },
      isolated: true,
    },
  },
};

it("takes every key of the format", () => {
  expect(faults(EVERYTHING)).toEqual([]);
  expect(
    faults({
      ...EVERYTHING,
      schedule: [EVERYTHING.schedule],
      orchestrator: { uses: "./o.ts", config: { a: [1] } },
      concurrency: { group: "db", priority: 3 },
      shadow: true,
      priority: 1,
    }),
  ).toEqual([]);
});

describe("a wrong key", () => {
  it.each([
    [{ schedule: { cronn: "x" } }, 'schedule.cronn is not known here; did you mean "cron"?'],
    [{ schedule: [{ cronn: "x" }] }, 'schedule[0].cronn is not known here; did you mean "cron"?'],
    [
      { schedule: { jitter: 5 } },
      'schedule.jitter is not known here; did you mean "jitterSeconds"?',
    ],
    [{ stepz: {} }, 'stepz is not known here; did you mean "steps"?'],
    [{ max_active_runs: 1 }, 'max_active_runs is not known here; did you mean "maxActiveRuns"?'],
    [{ steps: { a: { command: "x" } } }, 'steps.a.command is not known here; did you mean "run"?'],
    [{ steps: { a: { needs: ["b"] } } }, 'steps.a.needs is not known here; did you mean "after"?'],
    [{ cron: "x" }, "cron is not known here; it belongs under schedule"],
    [
      { retry: { foo: 1 } },
      "retry.foo is not known here; known are maxRetries, delay, backoff, maxDelay, jitter, on",
    ],
    [
      { steps: { a: { retry: { onn: [] } } } },
      'steps.a.retry.onn is not known here; did you mean "on"?',
    ],
  ])("%j", (value, message) => expect(faults(value)).toEqual([message]));
});

describe("a wrong value", () => {
  it.each([
    [{ overlap: "skp" }, /overlap must be one of skip, .*, not "skp"; did you mean "skip"\?/],
    [{ name: "Log Digest" }, /name must be 1 to 64 lower-case letters/],
    [{ name: 7 }, /name must be text, not 7; put it in quotes/],
    [{ name: "constructor" }, /every object has already/],
    [
      { schedule: "* * * * *" },
      /a map of keys and values or a list, not .*; its keys are .*cron, /,
    ],
    [{ retry: 3 }, /not 3; its keys are maxRetries, delay, backoff, maxDelay, jitter, on$/],
    [{ notify: "ops" }, /notify must be false, not "ops"$/],
    [{ env: 5 }, /must be a map of keys and values, not 5$/],
    [{ steps: { a: "echo" } }, /steps\.a must be a map .*; its keys are uses, run, /],
    [{ steps: [] }, /steps must be a map of keys and values, not a list/],
    [{ steps: null }, /steps is empty; it must be a map/],
    [{ steps: { a: "x" } }, /steps\.a must be a map of keys and values, not "x"/],
    [{ steps: { "a b": { run: "x" } } }, /steps\.a b is a name that must be 1 to 64 letters/],
    [
      { steps: { toString: { run: "x" } } },
      /steps\.toString is a name that is a word that every object has already/,
    ],
    [{ schedule: "daily" }, /schedule must be a map of keys and values or a list, not "daily"/],
    [{ maxActiveRuns: 0 }, /maxActiveRuns must be at least 1/],
    [{ maxActiveRuns: 1.5 }, /maxActiveRuns must be a whole number, not 1.5/],
    [{ retry: { maxRetries: -1 } }, /retry\.maxRetries must be at least 1/],
    [{ retry: { delay: "5x" } }, /retry\.delay must be a duration such as/],
    [{ retry: { delay: -1 } }, /retry\.delay must be a duration such as/],
    [{ retry: { backoff: 0 } }, /retry\.backoff must be at least 1/],
    [{ timeout: "soon" }, /timeout must be a duration.*, not "soon"$/],
    [{ retry: { maxRetries: 0 } }, /must be at least 1; for no retry write retry: \{\}$/],
    [{ retry: { on: "" } }, /retry\.on must not be empty$/],
    [{ tags: "x".repeat(100) }, /tags must be a list, not "x{64}…"$/],
    [{ steps: { a: { run: "x", shell: [] } } }, /steps\.a\.shell must not be empty$/],
    [{ concurrency: { priority: 1 } }, /concurrency\.group is missing; it must be text$/],
    [{ env: { A: null } }, /env\.A is empty; it must be text, a number, true or false or a map/],
    [{ env: { "A-B": "x" } }, /env\.A-B is a name that must be an environment variable's name/],
    [{ env: { A: { secret: "../etc/passwd" } } }, /env\.A\.secret must be the name of a secret/],
    // Who writes the secret itself there is not told it again: the sentence goes into a ledger.
    [{ env: { A: { secret: "hunter 2" } } }, /of a secret: letters, digits, \., - and _$/],
    [
      { params: { a: { secret: "x", more: 1 } } },
      /params\.a must be \{secret: NAME\} and nothing else/,
    ],
    [{ hooks: { init: "a#b#c" } }, /hooks\.init must be a module's path/],
    [{ tags: "ops" }, /tags must be a list, not "ops"/],
    [{ steps: { a: { run: "" } } }, /steps\.a\.run must not be empty/],
    [{ steps: { a: { inputs: { x: 1 } } } }, /steps\.a\.inputs\.x must be text/],
    [{ schedule: { cron: "*".repeat(300) } }, /schedule\.cron is longer/],
    [
      { schedule: { catchUp: "last" } },
      /schedule\.catchUp must be one of none, latest, all, not "last"/,
    ],
  ])("%j", (value, message) => expect(faults(value)).toEqual([expect.stringMatching(message)]));

  it("does not hide another", () => {
    expect(
      faults({
        overlap: "x",
        schedule: { cronn: 1, catchUp: 2 },
        steps: { a: { run: 1 }, b: { uses: 2 } },
      }),
    ).toHaveLength(5);
  });
});

describe("the JSON Schemas", () => {
  function undescribed(schema: unknown, path: string, found: string[]): string[] {
    if (schema === null || typeof schema !== "object") return found;
    const { properties } = schema as { properties?: Record<string, Record<string, unknown>> };
    for (const [key, member] of Object.entries(properties ?? {}))
      if (typeof member["description"] !== "string") found.push(`${path}.${key}`);
    for (const [key, member] of Object.entries(schema))
      undescribed(member, `${path}.${key}`, found);
    return found;
  }

  it("describe every key", () => {
    expect(undescribed(pipelineJsonSchema(), "", [])).toEqual([]);
    expect(undescribed(settingsJsonSchema(), "", [])).toEqual([]);
  });

  it("refuse unknown keys as the schemas do", () => {
    expect(pipelineJsonSchema()).toMatchObject({
      additionalProperties: false,
      properties: { schedule: {}, steps: {} },
    });
  });
});

describe("orchd.yaml", () => {
  const settings = (value: unknown): unknown => {
    const shape = checkShape(orchdSettingsSchema, value);
    return shape.ok
      ? resolveSettings(shape.value)
      : shape.faults.map(({ path, message }) => `${formatPath(path)} ${message}`);
  };

  it("has defaults for everything", () => {
    expect(settings({})).toEqual({ ok: true, settings: DEFAULT_SETTINGS });
  });

  it("takes groups in each way of writing them", () => {
    for (const concurrency of [{ db: 2 }, { db: { limit: 2 } }, [{ group: "db", limit: 2 }]]) {
      expect(settings({ concurrency })).toMatchObject({
        settings: { concurrency: { db: { limit: 2 } } },
      });
    }
  });

  it("reads durations and retention", () => {
    expect(
      settings({
        gracePeriod: "3s",
        drainPeriod: 5,
        retention: { keepDays: 7 },
        runner: { threads: 2, memoryMb: 512 },
        env: { N: 1 },
      }),
    ).toMatchObject({
      settings: {
        gracePeriodMs: 3_000,
        drainPeriodMs: 5_000,
        retention: { keepDays: 7, keepRuns: 10_000 },
        runner: { threads: 2, memoryMb: 512 },
        env: { N: "1" },
      },
    });
  });

  it("names what is wrong", () => {
    expect(settings({ timezon: "UTC" })).toEqual([
      'timezon is not known here; did you mean "timezone"?',
    ]);
    expect(settings({ timezone: "Mars/Olympus" })).toMatchObject({ ok: false, path: ["timezone"] });
    expect(settings({ runner: { thread: 1 } })).toEqual([
      'runner.thread is not known here; did you mean "threads"?',
    ]);
  });
});

describe("did you mean", () => {
  it.each([
    ["cronn", "cron"],
    ["corn", "cron"],
    ["Cron", "cron"],
    ["timzone", "timezone"],
    ["foo", undefined],
    ["x", undefined],
    ["", undefined],
  ])("%j: %j", (word, meant) =>
    expect(nearest(word, ["cron", "timezone", "env", "run", "uses"])).toBe(meant),
  );

  it("counts a swap of neighbours once", () => {
    expect([
      editDistance("corn", "cron"),
      editDistance("", "abc"),
      editDistance("kitten", "sitting"),
    ]).toEqual([1, 3, 3]);
  });
});
