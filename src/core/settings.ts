/**
 * What `orchd.yaml` may hold, and the settings with every default filled in.
 *
 * The file is optional and strict. The daemon reads it at start and again on SIGHUP. This file is
 * pure; load-settings.ts does the loading.
 */
import * as z from "zod";
import { defined } from "./defined.ts";
import { checkedDuration } from "./duration.ts";
import { isLoopback, readListenAddress } from "./listen-address.ts";
import { notifySchema, resolveNotify, type NotifySettings } from "./notify-settings.ts";
import { placesSchema, resolvePlaces } from "./place-schema.ts";
import type { PlaceSettings } from "./place-settings.ts";
import { telemetrySchema, type TelemetrySettings } from "./telemetry-settings.ts";
import { retentionSchema, orchestratorSchema } from "./pipeline.ts";
import { durationSchema, envSchema, MOST_MEMORY_MB, nameSchema } from "./schema-parts.ts";
import { readZoneName } from "./schedule/zone-name.ts";
import type { EnvValue, OrchestratorRef } from "./snapshot.ts";

const limitSchema = z.strictObject({
  limit: z.int().min(1).describe("how many runs of the group's pipelines may be active at once"),
  maxQueued: z.int().min(1).optional().describe("how many may wait; default: no limit"),
});

const pageSchema = z
  .strictObject({
    listen: z
      .string()
      .superRefine((text, context) => {
        const read = readListenAddress(text);
        if (read.ok) return;
        context.addIssue({ code: "custom", message: `is no place to listen: ${read.because}` });
      })
      .optional()
      .describe(
        "where it listens: HOST:PORT, or unix:PATH for a socket, from the root; " +
          "default: unix:runs/.orchd/page.sock",
      ),
    requests: z
      .boolean()
      .optional()
      .describe("whether who may operate can ask for runs, stops and more; default: false"),
    tokenFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        "a file with the lines `read TOKEN` and `operate TOKEN`, from the root; " +
          "default: one token, new at each start of the daemon",
      ),
    trustProxy: z
      .boolean()
      .optional()
      .describe("whether a reverse proxy checks who asks; default: false"),
    base: z
      .string()
      .regex(
        /^(\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)+$/,
        "must be a path such as /orchd: a / before each part, letters, digits and . _ ~ -",
      )
      .optional()
      .describe("the path below which a reverse proxy shows it; default: none"),
  })
  .superRefine((page, context) => {
    const read = page.listen === undefined ? undefined : readListenAddress(page.listen);
    if (read?.ok !== true || read.address.kind === "unix" || isLoopback(read.address.host)) return;
    if (page.tokenFile !== undefined || page.trustProxy === true) return;
    context.addIssue({
      code: "custom",
      path: ["listen"],
      message:
        "is an address that other machines reach: it needs tokenFile, or trustProxy where a " +
        "reverse proxy checks who asks",
    });
  });

/** orchd.yaml as written. */
export const orchdSettingsSchema = z
  .strictObject({
    project: nameSchema.optional().describe("the project's id in cache keys; default: default"),
    timezone: z
      .string()
      .optional()
      .describe("the IANA time zone of schedules that name none; default: UTC"),
    gracePeriod: durationSchema
      .optional()
      .describe("how long a step has between the signal and its end; default: 10s"),
    drainPeriod: durationSchema
      .optional()
      .describe("how long running steps have when the daemon is told to end; default: 30s"),
    maxActiveRuns: z
      .int()
      .min(1)
      .optional()
      .describe("how many runs of all pipelines may be active at once; default: no limit"),
    concurrency: z
      .union([
        z.record(nameSchema, z.union([z.int().min(1), limitSchema])),
        z.array(
          z.strictObject({ group: nameSchema.describe("the group's name"), ...limitSchema.shape }),
        ),
      ])
      .optional()
      .describe(
        "the concurrency groups: a limit by name, `{db: 2}` or `{db: {limit: 2}}`, or a list of " +
          "{group, limit}; default: none",
      ),
    retention: retentionSchema
      .extend({
        totalMb: z
          .number()
          .min(1)
          .optional()
          .describe(
            "the most MiB of all pipelines' ledgers, logs and artifacts that are kept; the " +
              "oldest go first; default: no limit",
          ),
      })
      .optional()
      .describe("how long ended runs are kept; default: 30 days and 10000 runs a pipeline"),
    runner: z
      .strictObject({
        threads: z.int().min(1).max(256).optional().describe("worker threads; default: 8"),
        memoryMb: z
          .int()
          .min(64)
          .max(MOST_MEMORY_MB)
          .optional()
          .describe(
            "the memory in MiB that a runner process may use, Buffers included; default: three " +
              "quarters of the machine's memory",
          ),
      })
      .optional()
      .describe("the process in which steps run; default: 8 threads"),
    orchestrators: z
      .record(nameSchema, orchestratorSchema)
      .optional()
      .describe("orchestrators by name: a module, or {uses, config}; default: none but local"),
    env: envSchema
      .optional()
      .describe("environment variables of every step of every pipeline; default: none"),
    enableCache: z
      .boolean()
      .optional()
      .describe("whether the local orchestrator reuses results; default: true"),
    containers: z
      .strictObject({
        engine: z
          .enum(["podman", "docker"])
          .optional()
          .describe("the engine; default: the first that answers, podman before docker"),
        atOnce: z
          .int()
          .min(1)
          .max(1_000)
          .optional()
          .describe("how many steps run in containers at once; default: 8"),
      })
      .optional()
      .describe("the containers that steps run in; default: the engine that answers"),
    places: placesSchema
      .optional()
      .describe(
        "places on other machines by name: steps choose them by `on`, and pipelines by " +
          "`orchestrator`; default: none",
      ),
    page: pageSchema
      .optional()
      .describe("the page, which the daemon then starts and restarts; default: no page"),
    notify: notifySchema
      .optional()
      .describe(
        "who is told what went wrong, by `orchd notify`, which the daemon then starts and " +
          "restarts; default: nobody",
      ),
    telemetry: telemetrySchema
      .optional()
      .describe(
        "where traces of runs are sent, by `orchd export otlp`, which the daemon then starts and " +
          "restarts; default: nowhere",
      ),
  })
  .describe("orchd's settings");

/** orchd.yaml as written, with a checked shape. */
export type OrchdSettingsDefinition = z.infer<typeof orchdSettingsSchema>;

/** A concurrency group. */
export interface ConcurrencyGroup {
  readonly limit: number;
  readonly maxQueued?: number;
}

/** How long ended runs are kept, with defaults filled in. */
export interface Retention {
  readonly keepDays: number;
  readonly keepRuns: number;
  readonly keepMb?: number;
}

/**
 * An orchestrator of orchd.yaml. `code` is its module as it was when the settings were loaded
 * (load-settings.ts). Each pipeline that names it reads the module itself (load-file.ts).
 */
export interface NamedOrchestrator extends OrchestratorRef {
  /** The module as written, where it cannot be used at present: then there is no `code`. */
  readonly uses?: string | undefined;
}

/** The page that the daemon starts. */
export interface PageSettings {
  /** As written; undefined: the socket `runs/.orchd/page.sock`. */
  readonly listen?: string;
  readonly requests: boolean;
  /** As written: relative to the root. */
  readonly tokenFile?: string;
  readonly trustProxy: boolean;
  readonly base?: string;
}

/** The containers that steps run in. */
export interface ContainerSettings {
  /** Undefined: podman if it answers, or else docker. */
  readonly engine?: "podman" | "docker";
  /** How many steps run in containers at once. */
  readonly atOnce: number;
}

/** The settings with every default filled in (semantics.md 9). */
export interface OrchdSettings {
  readonly project: string;
  readonly timezone: string;
  readonly gracePeriodMs: number;
  readonly drainPeriodMs: number;
  /** For all pipelines together. Undefined: no limit. */
  readonly maxActiveRuns?: number;
  readonly concurrency: { readonly [group: string]: ConcurrencyGroup };
  /**
   * `totalMb` is for all pipelines together. A pipeline's own `retention` may override the rest.
   */
  readonly retention: Retention & { readonly totalMb?: number };
  readonly runner: { readonly threads: number; readonly memoryMb?: number };
  readonly orchestrators: { readonly [name: string]: NamedOrchestrator };
  readonly env: { readonly [name: string]: EnvValue };
  readonly enableCache: boolean;
  readonly containers: ContainerSettings;
  /** The places on other machines. */
  readonly places: { readonly [name: string]: PlaceSettings };
  /** Undefined: the daemon starts none. */
  readonly page?: PageSettings;
  /** Undefined: nobody is told anything. */
  readonly notify?: NotifySettings;
  /** Undefined: no traces are sent. */
  readonly telemetry?: TelemetrySettings;
}

/** The settings if there is no orchd.yaml. */
export const DEFAULT_SETTINGS: OrchdSettings = {
  project: "default",
  timezone: "UTC",
  gracePeriodMs: 10_000,
  drainPeriodMs: 30_000,
  concurrency: {},
  retention: { keepDays: 30, keepRuns: 10_000 },
  runner: { threads: 8 },
  orchestrators: {},
  env: {},
  enableCache: true,
  containers: { atOnce: 8 },
  places: {},
};

/**
 * Fills in the defaults of a checked orchd.yaml.
 *
 * @param orchestrators the orchestrators, with their modules bundled (load-settings.ts)
 * @param resolvePath makes a path absolute: it counts from the root
 * @returns the settings; or what is wrong with the time zone or with a place, as a sentence
 */
export function resolveSettings(
  written: OrchdSettingsDefinition,
  orchestrators: OrchdSettings["orchestrators"] = {},
  resolvePath: (path: string) => string = (path) => path,
):
  | { readonly ok: true; readonly settings: OrchdSettings }
  | { readonly ok: false; readonly path: readonly string[]; readonly message: string } {
  const zone = readZoneName(written.timezone ?? DEFAULT_SETTINGS.timezone);
  if (!zone.ok) return { ok: false, path: ["timezone"], message: zone.message };
  const twice = Object.keys(written.places ?? {}).find((name) =>
    Object.hasOwn(written.orchestrators ?? {}, name),
  );
  if (twice !== undefined)
    return {
      ok: false,
      path: ["places", twice],
      message:
        "has the name of an orchestrator: a pipeline that names it under orchestrator would mean " +
        "either of them",
    };
  return {
    ok: true,
    settings: defined({
      project: written.project ?? DEFAULT_SETTINGS.project,
      timezone: zone.zone,
      gracePeriodMs: checkedDuration(written.gracePeriod) ?? DEFAULT_SETTINGS.gracePeriodMs,
      drainPeriodMs: checkedDuration(written.drainPeriod) ?? DEFAULT_SETTINGS.drainPeriodMs,
      maxActiveRuns: written.maxActiveRuns,
      concurrency: groupsOf(written.concurrency),
      retention: defined({
        ...mergeRetention(DEFAULT_SETTINGS.retention, written.retention),
        totalMb: written.retention?.totalMb,
      }),
      runner: defined({
        threads: written.runner?.threads ?? DEFAULT_SETTINGS.runner.threads,
        memoryMb: written.runner?.memoryMb,
      }),
      orchestrators,
      env: envOf(written.env),
      enableCache: written.enableCache ?? DEFAULT_SETTINGS.enableCache,
      containers: defined({
        engine: written.containers?.engine,
        atOnce: written.containers?.atOnce ?? DEFAULT_SETTINGS.containers.atOnce,
      }),
      places: resolvePlaces(written.places, resolvePath),
      page: pageOf(written.page),
      notify: written.notify === undefined ? undefined : resolveNotify(written.notify, zone.zone),
      telemetry: written.telemetry,
    }),
  };
}

function pageOf(written: OrchdSettingsDefinition["page"]): PageSettings | undefined {
  if (written === undefined) return undefined;
  const { listen, requests = false, tokenFile, trustProxy = false, base } = written;
  return defined({ listen, requests, tokenFile, trustProxy, base });
}

/** Overrides a retention with a written one. */
export function mergeRetention(
  base: Retention,
  written: z.infer<typeof retentionSchema> | undefined,
): Retention {
  return defined({
    keepDays: written?.keepDays ?? base.keepDays,
    keepRuns: written?.keepRuns ?? base.keepRuns,
    keepMb: written?.keepMb ?? base.keepMb,
  });
}

/** Environment variables as steps get them: numbers, true and false become text. */
export function envOf(written: z.infer<typeof envSchema> | undefined): {
  [name: string]: EnvValue;
} {
  return Object.fromEntries(
    Object.entries(written ?? {}).map(([name, value]) => [
      name,
      typeof value === "object" ? value : String(value),
    ]),
  );
}

function groupsOf(written: OrchdSettingsDefinition["concurrency"]): {
  [group: string]: ConcurrencyGroup;
} {
  const pairs: [string, number | z.infer<typeof limitSchema>][] = Array.isArray(written)
    ? written.map(({ group, ...limit }) => [group, limit])
    : Object.entries(written ?? {});
  return Object.fromEntries(
    pairs.map(([name, limit]) => [
      name,
      typeof limit === "number"
        ? { limit }
        : defined({ limit: limit.limit, maxQueued: limit.maxQueued }),
    ]),
  );
}

/** The JSON Schema of orchd.yaml. */
export function settingsJsonSchema(): Record<string, unknown> {
  return {
    title: "orchd.yaml",
    ...(z.toJSONSchema(orchdSettingsSchema, { io: "input", unrepresentable: "any" }) as Record<
      string,
      unknown
    >),
  };
}
