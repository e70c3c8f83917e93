/**
 * Compiles a pipeline: from what a person wrote to a {@link LoadedPipeline} with its {@link
 * Snapshot}, ready to be scheduled.
 *
 * Pure. The code that the definition names is bundled before and comes in as `code`. What is wrong
 * goes out as faults with their places in the definition, all at once.
 */
import { canonicalHash } from "./canonical-json.ts";
import {
  codeKey,
  compileStep,
  positiveDuration,
  retryOf,
  type StepDefaults,
} from "./compile-step.ts";
import { containerOf } from "./compile-container.ts";
import { defined } from "./defined.ts";
import { didYouMean } from "./did-you-mean.ts";
import { environmentFault } from "./environment-limits.ts";
import { checkedDuration } from "./duration.ts";
import type { FieldPath, Fault } from "./fault.ts";
import type { LoadedPipeline } from "./loaded-pipeline.ts";
import { notifyFaults } from "./notify-settings.ts";
import { orderSteps } from "./order.ts";
import type { PipelineDefinition } from "./pipeline.ts";
import { NO_RETRY } from "./retry.ts";
import { PIPELINE_NAME } from "./run-id.ts";
import { resolveSchedules } from "./schedule/resolve-schedule.ts";
import { envOf, mergeRetention, type OrchdSettings } from "./settings.ts";
import type {
  CodeRef,
  EnvValue,
  Hooks,
  Json,
  OrchestratorRef,
  Snapshot,
  SnapshotStep,
} from "./snapshot.ts";
import { bindParams, hasParams, TemplateError, templateFaults } from "./template.ts";

/** What a pipeline is compiled from. */
export interface CompileInput {
  /** As written. Its shape is checked already. */
  readonly definition: PipelineDefinition;
  /** The pipeline file's absolute path. */
  readonly file: string;
  /**
   * The bundled code, by the {@link codeKey} of the place that names it; `orchestrator` for the
   * orchestrator's module.
   */
  readonly code: ReadonlyMap<string, CodeRef>;
  /** A dynamic pipeline's function. */
  readonly dynamic?: CodeRef | undefined;
  readonly settings: OrchdSettings;
  /** Milliseconds since 1970. Warnings look ahead from here. */
  readonly now: number;
  /** Absolute paths of all files that this pipeline is made from. */
  readonly watched: readonly string[];
}

/** A pipeline that is ready, or everything that is wrong with it. */
export type Compiled =
  | { readonly ok: true; readonly loaded: LoadedPipeline }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/**
 * How many runs may wait under `queue_all` if the file says nothing: a full queue must not become a
 * flood (zenml#5026).
 */
const MAX_QUEUED_RUNS = 100;

/** Compiles a pipeline. */
export function compile(input: CompileInput): Compiled {
  const { definition, file, settings } = input;
  const faults: Fault[] = [];
  const name = definition.name ?? nameFromFile(file);
  if (!PIPELINE_NAME.test(name)) {
    faults.push({
      path: [],
      message:
        `the file's name ${JSON.stringify(name)} cannot be the pipeline's name: ` +
        "give one with name: (lower-case letters, digits, - and _)",
    });
  }
  const resolved = resolveSchedules(definition.schedule, {
    timezone: settings.timezone,
    now: input.now,
  });
  faults.push(...resolved.faults, ...notifyFaults(definition.notify, settings.notify));
  const warnings = [...resolved.warnings];
  const params = definition.params ?? {};
  const known = new Set([
    ...Object.keys(params),
    ...resolved.schedules.flatMap((schedule) => Object.keys(schedule.params ?? {})),
  ]);
  for (const schedule of resolved.schedules) {
    for (const param of Object.keys(schedule.params ?? {})) {
      if (definition.params !== undefined && !Object.hasOwn(params, param)) {
        warnings.push(
          `schedule ${schedule.name}: the pipeline has no param ${JSON.stringify(param)}` +
            didYouMean(param, Object.keys(params)),
        );
      }
    }
  }

  const template = snapshotOf(input, name, known, faults);
  const overlap = definition.overlap ?? "skip";
  const maxActiveRuns = definition.maxActiveRuns ?? (overlap === "allow" ? undefined : 1);
  const concurrency = concurrencyOf(definition, settings, faults);
  if (faults.length > 0) return { ok: false, faults };

  const rest = defined({
    schedules: resolved.schedules,
    params,
    tags: [...new Set(definition.tags)],
    overlap,
    maxActiveRuns,
    maxQueuedRuns: definition.maxQueuedRuns ?? MAX_QUEUED_RUNS,
    concurrency,
    priority: definition.priority ?? 0,
    shadow: definition.shadow ?? false,
    retention: mergeRetention(settings.retention, definition.retention),
    notify: definition.notify,
  });
  const bound = bindSnapshot(template, params, {});
  const tooLarge = environmentFaults(bound.ok ? bound.snapshot : template);
  if (tooLarge.length > 0) return { ok: false, faults: tooLarge };
  return {
    ok: true,
    loaded: {
      name,
      file,
      digest: canonicalHash([template.digest, rest]),
      snapshot: bound.ok ? bound.snapshot : template,
      template,
      ...rest,
      warnings,
      watched: input.watched,
    },
  };
}

/**
 * A pipeline whose stack has an environment: in its snapshot, and in its digest.
 *
 * @returns the faults if the environment is too large with what orchd.yaml and the pipeline set
 */
export function withStackEnv(loaded: LoadedPipeline, stackEnv: Snapshot["stackEnv"]): Compiled {
  if (stackEnv === undefined || Object.keys(stackEnv).length === 0) return { ok: true, loaded };
  const faults = environmentFaults({ ...loaded.snapshot, stackEnv });
  if (faults.length > 0) return { ok: false, faults };
  const { file: _file, digest: _digest, ...body } = loaded.template;
  const digest = canonicalHash({ ...body, stackEnv });
  const template = { ...loaded.template, digest, stackEnv };
  // They are one object where a param has no value: see snapshotFor.
  const isBound = loaded.snapshot !== loaded.template;
  const snapshot = isBound ? { ...loaded.snapshot, digest, stackEnv } : template;
  return {
    ok: true,
    loaded: { ...loaded, digest: canonicalHash([loaded.digest, digest]), snapshot, template },
  };
}

/**
 * The snapshot of a run with its own params, which override the pipeline's defaults. Its digest
 * stays the pipeline's: it says which version of the pipeline ran. The params are in the run's
 * header.
 *
 * @returns the snapshot and all params of the run; or one sentence: a param without a value, a
 *   secret within a text
 */
export function snapshotFor(
  loaded: LoadedPipeline,
  given: { readonly [key: string]: Json } = {},
):
  | {
      readonly ok: true;
      readonly snapshot: Snapshot;
      readonly params: { readonly [key: string]: Json };
    }
  | { readonly ok: false; readonly message: string } {
  const bound =
    Object.keys(given).length === 0 && loaded.snapshot !== loaded.template
      ? { ok: true as const, snapshot: loaded.snapshot }
      : bindSnapshot(loaded.template, loaded.params, given);
  if (!bound.ok) return bound;
  const [fault] = Object.keys(given).length === 0 ? [] : environmentFaults(bound.snapshot);
  if (fault !== undefined)
    return { ok: false, message: `${fault.path.join(".")} ${fault.message}` };
  return { ...bound, params: { ...loaded.params, ...given } };
}

/** What no process can have, in the environments of the pipeline and its steps. */
function environmentFaults({ baseEnv, stackEnv, env, steps }: Snapshot): Fault[] {
  const shared = { ...baseEnv, ...stackEnv, ...env };
  const fault = environmentFault(shared);
  if (fault !== undefined) return [{ path: envPath(["env"], fault.name), message: fault.message }];
  return steps.flatMap((step) => {
    const own =
      Object.keys(step.env).length === 0 ? undefined : environmentFault({ ...shared, ...step.env });
    return own === undefined
      ? []
      : [{ path: envPath(["steps", step.id, "env"], own.name), message: own.message }];
  });
}

function envPath(path: FieldPath, name: string | undefined): FieldPath {
  return name === undefined ? path : [...path, name];
}

function bindSnapshot(
  template: Snapshot,
  defaults: { readonly [key: string]: Json },
  given: { readonly [key: string]: Json },
):
  | { readonly ok: true; readonly snapshot: Snapshot }
  | { readonly ok: false; readonly message: string } {
  try {
    const env = (values: Snapshot["env"]): Snapshot["env"] => bindEnv(values, defaults, given);
    const steps = template.steps.map((step): SnapshotStep => {
      const params = bindParams(step.params, defaults, given) as SnapshotStep["params"];
      const own = env(step.env);
      return params === step.params && own === step.env ? step : { ...step, params, env: own };
    });
    const pipelineEnv = env(template.env);
    const same =
      pipelineEnv === template.env && steps.every((step, index) => step === template.steps[index]);
    return { ok: true, snapshot: same ? template : { ...template, env: pipelineEnv, steps } };
  } catch (thrown) {
    if (thrown instanceof TemplateError) return { ok: false, message: thrown.message };
    throw thrown;
  }
}

function bindEnv(
  env: Snapshot["env"],
  defaults: { readonly [key: string]: Json },
  given: { readonly [key: string]: Json },
): Snapshot["env"] {
  if (!Object.values(env).some((value) => typeof value === "string" && hasParams(value)))
    return env;
  return Object.fromEntries(
    Object.entries(env).map(([name, value]): [string, EnvValue] => {
      const bound =
        typeof value === "string" ? bindParams(value, defaults, given) : (value as unknown as Json);
      if (typeof bound === "string") return [name, bound];
      const secret =
        bound !== null && typeof bound === "object" && "secret" in bound
          ? bound["secret"]
          : undefined;
      return [
        name,
        typeof secret === "string" ? { secret } : bound === null ? "" : JSON.stringify(bound),
      ];
    }),
  );
}

function snapshotOf(
  input: CompileInput,
  name: string,
  known: ReadonlySet<string>,
  faults: Fault[],
): Snapshot {
  const { definition, file, settings, code } = input;
  const fault = (at: FieldPath, message: string): void => void faults.push({ path: at, message });
  const hooks: { -readonly [K in keyof Hooks]: Hooks[K] } = {};
  for (const hook of [
    "init",
    "cleanup",
    "onSuccess",
    "onFailure",
    "onRunFailure",
    "onMissed",
  ] as const) {
    const ref =
      definition.hooks?.[hook] === undefined ? undefined : code.get(codeKey(["hooks", hook]));
    if (ref !== undefined) hooks[hook] = ref;
  }
  const orchestrator = orchestratorOf(input, faults);
  const stepDefaults: StepDefaults = defined({
    retry: retryOf(definition.retry) ?? NO_RETRY,
    onInterruption: definition.onInterruption ?? "retry",
    hooks: defined({ onSuccess: hooks.onSuccess, onFailure: hooks.onFailure }),
    on: orchestrator.place === true ? [orchestrator.flavor] : undefined,
  });
  const timeoutMs = positiveDuration(definition.timeout, ["timeout"], fault);
  const env = envOf(definition.env);
  faults.push(...templateFaults(envTexts(env), ["env"], known));
  const body: Omit<Snapshot, "digest"> = defined({
    name,
    description: definition.description,
    file,
    executionMode: definition.executionMode ?? "continue_on_failure",
    maxParallelSteps: definition.maxParallelSteps ?? 8,
    enableCache: definition.enableCache,
    timeoutMs,
    gracePeriodMs: checkedDuration(definition.gracePeriod) ?? settings.gracePeriodMs,
    baseEnv: Object.keys(settings.env).length === 0 ? undefined : settings.env,
    env,
    hooks,
    orchestrator,
    steps: stepsOf(input, stepDefaults, known, faults),
    dynamic: input.dynamic,
    stepDefaults: input.dynamic && defined({ ...stepDefaults, container: definition.container }),
  });
  const { file: _, ...hashed } = body;
  // Not a spread with one more member: that has a shape of its own for each pipeline.
  return Object.assign(body, { digest: faults.length > 0 ? "" : canonicalHash(hashed) });
}

function stepsOf(
  input: CompileInput,
  defaults: StepDefaults,
  params: ReadonlySet<string>,
  faults: Fault[],
): SnapshotStep[] {
  const { definition, file, code } = input;
  if (input.dynamic !== undefined) {
    const { container } = definition;
    // Each invocation takes it: what is wrong with it is told now.
    containerOf({ uses: "code", container }, { absolutePath: (path) => path }, (path, message) =>
      faults.push({ path, message }),
    );
    if (container !== undefined && defaults.on !== undefined)
      faults.push({
        path: ["container"],
        message:
          `cannot go with the orchestrator ${defaults.on.join()}: ` +
          "containers run on this machine",
        atKey: true,
      });
    if (Object.keys(definition.steps ?? {}).length > 0)
      faults.push({
        path: ["steps"],
        message: "belongs to a static pipeline: a dynamic one calls its steps in its function",
        atKey: true,
      });
    return [];
  }
  if (definition.steps === undefined) {
    faults.push({ path: [], message: "has no steps: name at least one under steps:" });
    return [];
  }
  const steps = new Map<string, SnapshotStep>();
  const context = {
    defaults,
    steps: definition.steps,
    params,
    code,
    folder: file.slice(0, file.lastIndexOf("/")) || "/",
    container: definition.container,
  };
  for (const [id, written] of Object.entries(definition.steps)) {
    steps.set(id, compileStep(id, written, context, faults));
    faults.push(...templateFaults(written.params ?? {}, ["steps", id, "params"], params));
    faults.push(...templateFaults(envTexts(envOf(written.env)), ["steps", id, "env"], params));
  }
  const sorted = orderSteps(
    new Map(
      [...steps].map(([id, step]) => [
        id,
        [...Object.values(step.inputs).map((from) => from.step), ...step.after],
      ]),
    ),
  );
  if ("cycle" in sorted) {
    const [first, second] = sorted.cycle;
    const inputs = steps.get(first!)!.inputs;
    const via = Object.keys(inputs).find((name) => inputs[name]!.step === second);
    faults.push({
      path: ["steps", first!, ...(via === undefined ? ["after"] : ["inputs", via])],
      message:
        "closes a cycle, so that none of these steps could ever start: " +
        sorted.cycle.join(" needs "),
    });
    return [];
  }
  return sorted.order.map((id) => steps.get(id)!);
}

/** Whether a text under `orchestrator` is a module's path and not a flavor's name. */
export function isModulePath(uses: string): boolean {
  return /^\.{0,2}\//.test(uses);
}

function orchestratorOf(input: CompileInput, faults: Fault[]): OrchestratorRef {
  const written = input.definition.orchestrator ?? "local";
  const { uses, config = {} } = typeof written === "string" ? { uses: written } : written;
  if (isModulePath(uses))
    return defined({ flavor: uses, code: input.code.get("orchestrator"), config });
  if (uses === "local" && !Object.hasOwn(input.settings.orchestrators, uses))
    return { flavor: uses, config };
  const named = Object.hasOwn(input.settings.orchestrators, uses)
    ? input.settings.orchestrators[uses]
    : undefined;
  if (named !== undefined)
    return defined({
      flavor: named.flavor,
      code: input.code.get("orchestrator") ?? named.code,
      config: { ...named.config, ...config },
    });
  const places = Object.keys(input.settings.places);
  if (places.includes(uses)) {
    if (Object.keys(config).length > 0)
      faults.push({
        path: ["orchestrator", "config"],
        message: `is for an orchestrator's class, and ${uses} is a place of orchd.yaml`,
        atKey: true,
      });
    return { flavor: uses, place: true, config: {} };
  }
  const known = ["local", ...Object.keys(input.settings.orchestrators), ...places];
  faults.push({
    path: typeof written === "string" ? ["orchestrator"] : ["orchestrator", "uses"],
    message:
      `names ${JSON.stringify(uses)}, which is neither a flavor of orchd.yaml ` +
      `(${known.join(", ")}) nor a module's path (./my-orchestrator.ts)${didYouMean(uses, known)}`,
  });
  return { flavor: uses, config };
}

function concurrencyOf(
  definition: PipelineDefinition,
  settings: OrchdSettings,
  faults: Fault[],
): { group: string; priority: number } | undefined {
  const written = definition.concurrency;
  if (written === undefined) return undefined;
  const group = typeof written === "string" ? written : written.group;
  const groups = Object.keys(settings.concurrency);
  if (!groups.includes(group)) {
    faults.push({
      path: typeof written === "string" ? ["concurrency"] : ["concurrency", "group"],
      message:
        `names group ${JSON.stringify(group)}, which orchd.yaml does not have under concurrency:` +
        didYouMean(group, groups),
    });
  }
  return {
    group,
    priority:
      (typeof written === "string" ? undefined : written.priority) ?? definition.priority ?? 0,
  };
}

function envTexts(env: Snapshot["env"]): { [name: string]: string } {
  return Object.fromEntries(
    Object.entries(env).filter((pair): pair is [string, string] => typeof pair[1] === "string"),
  );
}

/** A pipeline's name if its file gives none. */
function nameFromFile(file: string): string {
  const base = file.slice(file.lastIndexOf("/") + 1);
  return base.replace(/\.(ya?ml|json|[cm]?[jt]s)$/i, "");
}
