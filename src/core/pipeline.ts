/**
 * What a person may write in a pipeline file. The keys are the same in YAML, JSON and code
 * (docs/pipeline-files.md lists them).
 *
 * The schema checks shapes. compile.ts checks what the words mean together: that steps exist, that
 * there is no cycle, that a step has `uses` or `run`. Every key gives its default in its
 * description, and `orchd schema` prints the descriptions for editors.
 */
import * as z from "zod";
import { pipelineNotifySchema } from "./notify-settings.ts";
import { containerSchema, stepContainerSchema } from "./container-schema.ts";
import { EXIT_STATUS } from "./retry.ts";
import { EXECUTION_MODES } from "./status.ts";
import { scheduleSchema } from "./schedule/schedule-schema.ts";
import {
  codeSchema,
  durationSchema,
  envSchema,
  jsonSchema,
  MOST_MEMORY_MB,
  nameSchema,
  paramsSchema,
  wordSchema,
} from "./schema-parts.ts";

/** What happens to a slot that comes while a run of its pipeline is active. */
export const OVERLAP_POLICIES = [
  "skip",
  "queue",
  "queue_all",
  "cancel",
  "terminate",
  "allow",
] as const;
/** One of {@link OVERLAP_POLICIES}. */
export type Overlap = (typeof OVERLAP_POLICIES)[number];

const onInterruption = z.enum(["retry", "rerun", "fail"]);
const priority = z.int().min(-1000).max(1000);
const word = z.string().regex(/\S/, "must not be empty");
const words = z.union([word, z.array(word)]);

/** A retry policy as written. */
export const retrySchema = z
  .strictObject({
    maxRetries: z
      .int()
      .min(1, "must be at least 1; for no retry write retry: {}")
      .optional()
      .describe("attempts after the first; default: 0, that is no retry"),
    delay: durationSchema.optional().describe("the wait before the second attempt; default: 0s"),
    backoff: z
      .number()
      .min(1)
      .max(1000)
      .optional()
      .describe("each wait is the one before, times this; default: 1"),
    maxDelay: durationSchema.optional().describe("no wait is longer; default: none"),
    jitter: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe("the share of a wait that chance may add or subtract, 0 to 1; default: 0"),
    on: words
      .refine(
        (on) => [on].flat().every((word) => !word.startsWith("exit:") || EXIT_STATUS.test(word)),
        "must name a status from 1 to 255 after exit:, as in exit:75",
      )
      .optional()
      .describe(
        "the codes or names of errors, or of their causes, that are retried, and exit:75 for a " +
          "command that ended with that status; default: all",
      ),
  })
  .describe("when a failed attempt is tried again");

/** A step's `cache` block as written. */
export const cacheSchema = z
  .strictObject({
    expiresAfter: durationSchema
      .optional()
      .describe(
        "how long a result is reused, from the start of the step that made it; default: for ever",
      ),
    acrossSlots: z
      .boolean()
      .optional()
      .describe("a result may be reused in another slot; default: false"),
    fileDependencies: words
      .optional()
      .describe(
        "files whose content is part of the key, from the pipeline file's folder; default: none",
      ),
    ignoredInputs: words.optional().describe("inputs that are not part of the key; default: none"),
    includeStepCode: z
      .boolean()
      .optional()
      .describe("the step's code is part of the key; default: true"),
    cacheFunction: codeSchema
      .optional()
      .describe("a function whose string is part of the key; default: none"),
  })
  .describe("how a step's result is reused; default: until its key changes");

const stepHooksSchema = z
  .strictObject({
    onSuccess: codeSchema
      .optional()
      .describe("called after the step's outputs are committed; default: the pipeline's"),
    onFailure: codeSchema
      .optional()
      .describe("called after the step's last attempt failed; default: the pipeline's"),
  })
  .describe("functions called as the step ends; default: the pipeline's");

const hooksSchema = z
  .strictObject({
    init: codeSchema
      .optional()
      .describe("called before the first step; what it returns is `context.state`; default: none"),
    cleanup: codeSchema
      .optional()
      .describe("called after the last step, if init was; default: none"),
    onSuccess: codeSchema
      .optional()
      .describe("called for each step that succeeds, unless the step has its own; default: none"),
    onFailure: codeSchema
      .optional()
      .describe(
        "called for each step that fails for good, unless the step has its own; default: none",
      ),
    onRunFailure: codeSchema
      .optional()
      .describe("called once for a run that failed, with the reason; default: none"),
    onMissed: codeSchema
      .optional()
      .describe("called for slots that were missed, with the reason; default: none"),
  })
  .describe("functions called around a run and its steps; default: none");

/** One step as written. */
export const stepSchema = z
  .strictObject({
    uses: codeSchema
      .optional()
      .describe(
        "the module with the step's function: ./steps/read.ts, or ./steps/read.ts#NAME; " +
          "this or `run`; default: none",
      ),
    run: z
      .string()
      .min(1, "must not be empty")
      .max(262_144, "is longer than 256 KiB: put it into a script file")
      .optional()
      .describe("a shell step's text; this or `uses`; default: none"),
    shell: z
      .union([word, z.array(word).min(1)])
      .optional()
      .describe("the shell and its arguments for `run`; default: /bin/sh -eu"),
    cwd: z
      .string()
      .min(1)
      .optional()
      .describe(
        "the folder in which `run` runs, from the pipeline file's folder; default: that folder",
      ),
    params: paramsSchema
      .optional()
      .describe(
        "the step's params, in which ${params.NAME}, ${run.id} and ${run.scheduledFor} are " +
          "replaced; default: none",
      ),
    inputs: z
      .record(wordSchema, z.string())
      .optional()
      .describe(
        "the step's inputs: each is the result of another step, `read`, or one of its declared " +
          "outputs, `read.NAME`; default: none",
      ),
    outputs: z
      .array(wordSchema)
      .min(1)
      .optional()
      .describe("the properties that the step's result has; default: one result"),
    after: words
      .optional()
      .describe("steps that must succeed first, without passing data; default: none"),
    when: z
      .string()
      .optional()
      .describe(
        'a condition over params and inputs, `params.env == "prod" && inputs.rows.count > 0`: ' +
          "if it is false, the step is skipped; default: none",
      ),
    env: envSchema
      .optional()
      .describe(
        "environment variables, which override the pipeline's; ${…} as in params; default: none",
      ),
    enableCache: z
      .boolean()
      .optional()
      .describe(
        "whether an earlier result may be used instead of running the step; " +
          "default: the pipeline's; false for `run`",
      ),
    cache: cacheSchema.optional(),
    retry: retrySchema.optional().describe("default: the pipeline's"),
    onInterruption: onInterruption
      .optional()
      .describe(
        "what happens if the daemon or the runner dies during the step; default: the pipeline's",
      ),
    timeout: durationSchema.optional().describe("each attempt's limit; default: none"),
    startWithin: durationSchema
      .optional()
      .describe(
        "how long the step may wait for room where it runs, once it could start: then it fails; " +
          "default: for ever",
      ),
    resources: z
      .strictObject({
        memoryMb: z
          .int()
          .min(16)
          .max(MOST_MEMORY_MB)
          .optional()
          .describe("the memory that the step may use, in MiB; default: the runner's"),
        cpus: z
          .number()
          .min(0.01)
          .optional()
          .describe("the processors that the step's container may use, as 1.5; default: all"),
        gpus: z
          .int()
          .min(1)
          .optional()
          .describe("the graphics processors that the step's container gets; default: none"),
      })
      .optional()
      .describe("limits; default: none"),
    isolated: z
      .boolean()
      .optional()
      .describe(
        "a worker thread of its own, used once (a shell step has its own process in any case); " +
          "default: false",
      ),
    hooks: stepHooksSchema.optional(),
    container: stepContainerSchema.optional(),
    on: words
      .optional()
      .describe(
        "the labels that the step's place must have, all of them; a place's name is one, and " +
          "this machine is local; default: the place of `orchestrator`, or else local",
      ),
  })
  .describe("one step: a module's function or a shell text");

/**
 * The pipeline's `orchestrator` as written: a flavor's name or a module, with or without a config.
 */
export const orchestratorSchema = z.union([
  z.string().min(1),
  z.strictObject({
    uses: z
      .string()
      .min(1)
      .describe("a flavor's name, or the module with the orchestrator's class"),
    config: z
      .record(z.string(), jsonSchema)
      .optional()
      .describe("what the class's config schema takes; default: {}"),
  }),
]);

const concurrencySchema = z
  .union([
    nameSchema,
    z.strictObject({
      group: nameSchema.describe("a group of orchd.yaml, whose limit all its pipelines share"),
      priority: priority
        .optional()
        .describe("the higher goes first when runs wait; default: the pipeline's priority"),
    }),
  ])
  .describe("the concurrency group; default: none");

/** How long ended runs are kept. */
export const retentionSchema = z
  .strictObject({
    keepDays: z
      .number()
      .min(0)
      .optional()
      .describe("runs that ended longer ago may be removed; default: 30"),
    keepRuns: z
      .int()
      .min(1)
      .optional()
      .describe("the most runs of a pipeline that are kept; default: 10000"),
    keepMb: z
      .number()
      .min(1)
      .optional()
      .describe(
        "the most MiB of a pipeline's ledgers, logs and artifacts that are kept; default: no limit",
      ),
  })
  .describe("how long ended runs are kept; default: 30 days and 10000 runs a pipeline");

/** A pipeline as written. */
export const pipelineSchema = z
  .strictObject({
    name: nameSchema.optional().describe("default: the file's name without its ending"),
    description: z.string().max(4096).optional().describe("what it is for; default: none"),
    tags: z
      .array(z.string().min(1).max(64))
      .max(64)
      .optional()
      .describe("words to find it by; default: none"),
    params: paramsSchema
      .optional()
      .describe(
        "the params that steps refer to, with their defaults; a schedule and a run may override " +
          "them; if any is declared, a run with an undeclared param is refused; default: none",
      ),
    schedule: z
      .union([scheduleSchema, z.array(scheduleSchema)])
      .optional()
      .describe("when it runs: one schedule or a list; default: only by hand"),
    overlap: z
      .enum(OVERLAP_POLICIES)
      .optional()
      .describe(
        "what happens to a slot that comes while a run is active: skip it, queue one, queue_all, " +
          "cancel the older run gracefully, terminate it, or allow both; default: skip",
      ),
    maxActiveRuns: z
      .int()
      .min(1)
      .optional()
      .describe(
        "how many runs may be active before `overlap` decides; default: 1, no limit under allow",
      ),
    maxQueuedRuns: z
      .int()
      .min(1)
      .optional()
      .describe("how many runs may wait under queue_all; default: 100"),
    concurrency: concurrencySchema.optional(),
    priority: priority.optional().describe("the higher goes first when runs wait; default: 0"),
    shadow: z.boolean().optional().describe("slots are recorded and nothing runs; default: false"),
    maxParallelSteps: z
      .int()
      .min(1)
      .max(10_000)
      .optional()
      .describe("how many steps of one run may run at once; default: 8"),
    executionMode: z
      .enum(EXECUTION_MODES)
      .optional()
      .describe("what happens to the rest when a step fails; default: continue_on_failure"),
    enableCache: z
      .boolean()
      .optional()
      .describe(
        "whether earlier results may be used instead of running module steps; " +
          "default: the orchestrator's, true",
      ),
    retry: retrySchema.optional().describe("the steps' retry policy; default: none"),
    onInterruption: onInterruption
      .optional()
      .describe(
        "what happens to a step if the daemon or the runner dies during it: retry by its policy, " +
          "rerun uncounted, or fail; default: retry",
      ),
    timeout: durationSchema.optional().describe("the run's limit; default: none"),
    gracePeriod: durationSchema
      .optional()
      .describe("how long a step has between the signal and its end; default: orchd.yaml's, 10s"),
    env: envSchema
      .optional()
      .describe("environment variables of every step; ${…} as in params; default: none"),
    orchestrator: orchestratorSchema
      .optional()
      .describe(
        "the flavor that runs it: local, a name of orchd.yaml (an orchestrator, or a place on " +
          "other machines), or {uses, config}; default: local",
      ),
    hooks: hooksSchema.optional(),
    container: containerSchema
      .optional()
      .describe("the container of each step that has none of its own; default: none"),
    retention: retentionSchema
      .optional()
      .describe("how long its ended runs are kept; default: orchd.yaml's"),
    notify: pipelineNotifySchema.optional(),
    steps: z
      .record(wordSchema, stepSchema)
      .optional()
      .describe(
        "the steps by name; required, except in a dynamic pipeline, which has none; default: none",
      ),
  })
  .describe("an orchd pipeline");

/** A pipeline as written, with a checked shape. */
export type PipelineDefinition = z.infer<typeof pipelineSchema>;
/** A step as written, with a checked shape. */
export type StepDefinition = z.infer<typeof stepSchema>;
/** A retry policy as written. */
export type RetryDefinition = z.infer<typeof retrySchema>;

/** The JSON Schema of a pipeline file, as `orchd schema` prints it for editors. */
export function pipelineJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(pipelineSchema, { io: "input", unrepresentable: "any" }) as Record<
    string,
    unknown
  >;
  return { title: "orchd pipeline", ...schema };
}
