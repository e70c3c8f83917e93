/**
 * An orchestrator that overrides all that can be overridden, and notes each call.
 *
 * It is one class for three ways of use: the conformance suite calls it in this process, and
 * maximal.test.ts copies this file, as a user's own, for a runner and for a program. It notes the
 * calls in the file of its config, because the instances of a run share no memory.
 */
import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { BaseOrchestrator, z } from "../../src/index.ts";
import type {
  Capabilities,
  DynamicPipelineSubmission,
  ExecutionMode,
  FetchedStatus,
  PipelineSubmission,
  PlaceholderRun,
  Snapshot,
  SubmissionResult,
} from "../../src/index.ts";

const config = z
  .object({
    /** The file of its calls, absolute; empty: it notes nothing. */
    calls: z.string().default(""),
    /** It runs nothing by `runStep`: a job elsewhere ends when its file says so. */
    elsewhere: z.boolean().default(false),
    /** It retries steps itself. */
    retries: z.boolean().default(false),
    /** Results of earlier runs may be used. */
    caches: z.boolean().default(true),
    /** Submitting waits for the end. */
    waits: z.boolean().default(false),
    /** What a graceful `stopRun` throws. */
    stopFault: z.string().default(""),
  })
  .transform((given) => ({
    ...given,
    get isRemote(): boolean {
      return given.elsewhere;
    },
  }));

type Config = z.infer<typeof config>;

/** Overrides everything. */
export default class MaximalOrchestrator extends BaseOrchestrator<typeof config> {
  static flavor = "maximal";
  static config = config;
  /** The file of the hooks' calls, where the snapshot names another orchestrator. */
  static calls = "";
  #run = "";

  static override async runInitHook(snapshot: Snapshot): Promise<unknown> {
    const { calls = this.calls } = snapshot.orchestrator.config as Partial<Config>;
    note({ calls }, "runInitHook", snapshot.name);
    const own = await super.runInitHook(snapshot);
    note({ calls }, "super.runInitHook", own ?? null);
    return calls === "" ? undefined : { own: own ?? null, from: "maximal" };
  }

  static override async runCleanupHook(snapshot: Snapshot): Promise<void> {
    const { calls = this.calls } = snapshot.orchestrator.config as Partial<Config>;
    note({ calls }, "runCleanupHook", snapshot.name);
    await super.runCleanupHook(snapshot);
    note({ calls }, "super.runCleanupHook");
  }

  override get capabilities(): Partial<Capabilities> {
    return { resubmits: true };
  }
  override get isRemote(): boolean {
    return this.config.isRemote;
  }
  override get enableCache(): boolean {
    return this.config.caches;
  }
  override get isSynchronous(): boolean {
    return this.config.waits;
  }
  override get isSchedulable(): boolean {
    return true;
  }
  override get supportsClientSideCaching(): boolean {
    return true;
  }
  override get handlesStepRetries(): boolean {
    return this.config.retries;
  }
  override get supportsDynamicPipelines(): boolean {
    return true;
  }
  override get canRunIsolatedSteps(): boolean {
    return true;
  }
  override get supportedExecutionModes(): readonly ExecutionMode[] {
    return ["continue_on_failure", "stop_on_failure", "fail_fast"];
  }
  override get environment(): Readonly<Record<string, string>> {
    return { MAXIMAL: this.config.elsewhere ? "elsewhere" : "here", LAYER: "stack" };
  }

  override describe(): ReturnType<BaseOrchestrator["describe"]> {
    note(this.config, "describe");
    return super.describe();
  }

  override getOrchestratorRunId(): string {
    const run = process.env["ORCHD_RUN_ID"] ?? this.#run;
    return run === "" ? "" : `maximal-${run}`;
  }

  override async submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
    const { snapshot, stack, baseEnvironment, stepEnvironments, placeholderRun } = submission;
    this.#run = placeholderRun.id;
    note(this.config, "submitPipeline", {
      steps: snapshot.steps.map(({ id }) => id),
      stack: [stack.orchestrator === this, stack.artifactStore.type, stack.environment],
      base: shown(baseEnvironment),
      each: Object.fromEntries(
        Object.entries(stepEnvironments).map(([id, own]) => [id, shown(own)]),
      ),
      run: placeholderRun,
    });
    if (this.config.elsewhere) return this.#job(placeholderRun);
    const steps = Promise.allSettled(snapshot.steps.map((step) => this.runStep(step)));
    return {
      metadata: { steps: snapshot.steps.length },
      waitForCompletion: () => steps.then(() => note(this.config, "waitForCompletion")),
    };
  }

  override async submitDynamicPipeline(
    given: DynamicPipelineSubmission,
  ): Promise<SubmissionResult> {
    const { stack, environment, placeholderRun } = given;
    this.#run = placeholderRun.id;
    note(this.config, "submitDynamicPipeline", {
      stack: [stack.orchestrator === this, stack.artifactStore.type, stack.environment],
      environment: shown(environment),
      run: placeholderRun,
    });
    return {
      metadata: { dynamic: true },
      waitForCompletion: async () => {
        await this.runPipelineFunction();
        note(this.config, "waitForCompletion");
      },
    };
  }

  override async runStep(step: { readonly id: string } | string): Promise<void> {
    const id = typeof step === "string" ? step : step.id;
    for (let attempt = 1; ; attempt += 1) {
      note(this.config, "runStep", id, attempt);
      try {
        return await super.runStep(step);
      } catch (error) {
        const { name, message } = error as Error;
        note(this.config, "runStep rejects", id, attempt, message);
        const isSpent = /^Step(Skipped|Stopped)$/.test(name) || message.includes("not run again");
        if (!this.config.retries || isSpent) throw error;
      }
    }
  }

  override async runPipelineFunction(): Promise<void> {
    note(this.config, "runPipelineFunction");
    await super.runPipelineFunction();
  }

  override async fetchStatus(
    run: PlaceholderRun,
    { includeSteps = false }: { readonly includeSteps?: boolean } = {},
  ): Promise<FetchedStatus> {
    note(this.config, "fetchStatus", run.orchestratorRunId, includeSteps, run.metadata);
    if (!this.config.elsewhere) return super.fetchStatus(run, { includeSteps });
    const told = jobOf(this.config, run);
    return told === "" ? {} : { status: told as NonNullable<FetchedStatus["status"]> };
  }

  override async stopRun(
    run: PlaceholderRun,
    { graceful = false }: { readonly graceful?: boolean } = {},
  ): Promise<void> {
    const { calls, stopFault } = this.config;
    note(this.config, "stopRun", run.orchestratorRunId, run.status, graceful);
    await super.stopRun(run, { graceful });
    if (stopFault !== "" && graceful) throw new Error(stopFault);
    // A job takes its time to end, and ends at once by force.
    if (this.config.elsewhere && !graceful) tell(`${calls}.${run.id}`, "stopped");
  }

  /** A job on another platform: its file tells how it stands. */
  #job(run: PlaceholderRun): SubmissionResult {
    tell(`${this.config.calls}.${run.id}`, "running");
    return {
      metadata: { job: run.id },
      waitForCompletion: async () => {
        while (jobOf(this.config, run) === "running") await sleep(10);
        note(this.config, "waitForCompletion", jobOf(this.config, run));
      },
    };
  }
}

/** Whole or not at all: others read it meanwhile. */
function tell(path: string, status: string): void {
  writeFileSync(`${path}.new`, status);
  renameSync(`${path}.new`, path);
}

function jobOf({ calls }: Pick<Config, "calls">, { id }: PlaceholderRun): string {
  const file = `${calls}.${id}`;
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** What a test looks at of an environment. */
function shown(environment: Readonly<Record<string, string>>): Record<string, string> {
  const names = ["BASE", "LAYER", "MAXIMAL", "OWN", "ORCHD_RUN_ID", "ORCHD_ORCHESTRATOR_RUN_ID"];
  return Object.fromEntries(
    [...names, "ORCHD_STEP"].flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function note({ calls }: Pick<Config, "calls">, name: string, ...given: unknown[]): void {
  if (calls) appendFileSync(calls, `${JSON.stringify([name, ...given])}\n`);
}
