/**
 * Finds the orchestrator that a snapshot names: `local`, one of orchd.yaml's, a class in a user's
 * file, or a place on other machines. A place can do what `local` can: the run-loop plans the steps
 * of both. Where it is not there any more, its steps wait for it.
 *
 * The daemon never runs a user's code. A runner tells it the name of a user's flavor, and what the
 * class declares. It asks once for each version of the code and each config.
 */
import { canonicalHash } from "../core/canonical-json.ts";
import { toStepError, type StepError } from "../core/failure.ts";
import { formatPath, type Fault } from "../core/fault.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Json, OrchestratorRef, Snapshot, SnapshotStep } from "../core/snapshot.ts";
import { EXECUTION_MODES } from "../core/status.ts";
import type { OverriddenHooks } from "./base-orchestrator.ts";
import { DEFAULT_CAPABILITIES, type Capabilities } from "./capabilities.ts";
import { LocalOrchestrator } from "./local-orchestrator.ts";
import { environmentOf } from "./stack-component.ts";
import type { Place, TaskHandlers } from "../places/place.ts";
import { awaitTask } from "../places/run-task.ts";

/** An instance of an orchestrator that lives in this process, because a program holds it. */
export interface LiveOrchestrator {
  /**
   * Calls a method, as a runner does for a FlavorTask.
   *
   * @param ask what the instance asks of the run meanwhile
   * @param artifacts the folder of values that are in files
   */
  call(
    method: string,
    argument: Json,
    ask: NonNullable<TaskHandlers["call"]>,
    artifacts: string,
  ): Promise<Json>;
}

/** An orchestrator as the daemon knows it. */
export interface Flavor {
  readonly name: string;
  readonly capabilities: Capabilities;
  /** The environment of the stack that it makes: of the component itself, and of no other. */
  readonly environment: Readonly<Record<string, string>>;
  /** The hooks of a run that its class overrides or calls. Undefined: none. */
  readonly hooks?: OverriddenHooks | undefined;
  /** It has a `stopRun` of its own. */
  readonly hasStopRun: boolean;
  /** It declares `canStop`: all its steps run through `runStep`, or orchd may let go of them. */
  readonly declaresStop: boolean;
  /** The user's class and its config. Undefined for `local` and for a place. */
  readonly ref?: OrchestratorRef & { readonly code: NonNullable<OrchestratorRef["code"]> };
  /** The instance, where a program holds it. */
  readonly live?: LiveOrchestrator;
  /** Why a run of an earlier daemon cannot go on: its orchestrator is not there any more. */
  readonly lost?: StepError;
}

/**
 * An orchestrator cannot take a run or a pipeline. `message` is a sentence; `fault` also says where
 * in the pipeline's file. Nothing was written.
 */
export class SubmissionRefused extends Error {
  override readonly name = "SubmissionRefused";
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(`${formatPath(fault.path)} ${fault.message}`);
    this.fault = fault;
  }
}

/** A user's class. */
type CodedRef = NonNullable<Flavor["ref"]>;

const LOCAL = localFlavor();
/** The most descriptions that are kept. */
const DESCRIPTIONS_KEPT = 256;
/** How much of the name that a class gives itself is kept, in UTF-16 code units. */
const NAME_CHARACTERS = 256;

/** The orchestrators of one daemon. */
export class Flavors {
  readonly #place: Place;
  #named: OrchdSettings["orchestrators"];
  readonly #described = new Map<string, Promise<Flavor>>();
  #descriptions = 0;

  constructor(parts: {
    readonly place: Place;
    readonly orchestrators?: OrchdSettings["orchestrators"];
  }) {
    this.#place = parts.place;
    this.#named = parts.orchestrators ?? {};
  }

  /** Takes the orchestrators of an orchd.yaml that was read again. */
  reload(orchestrators: OrchdSettings["orchestrators"]): void {
    this.#named = orchestrators;
  }

  /**
   * The orchestrator that a snapshot names.
   *
   * @returns a promise only where a user's code has to be asked
   * @throws SubmissionRefused, or rejects with it, if there is none of that name, or if its class
   *   cannot be used
   */
  resolve(ref: OrchestratorRef | undefined): Flavor | Promise<Flavor> {
    if (ref === undefined) return LOCAL;
    if (ref.code !== undefined) return this.#describe(ref as CodedRef);
    if (ref.place === true) return { ...LOCAL, name: ref.flavor };
    if (ref.flavor === "local") return LOCAL;
    const named = Object.hasOwn(this.#named, ref.flavor) ? this.#named[ref.flavor] : undefined;
    if (named === undefined) {
      const known = ["local", ...Object.keys(this.#named)].join(", ");
      const message =
        `names ${JSON.stringify(ref.flavor)}, and there is no orchestrator of that name; ` +
        `orchd.yaml and orchd itself have ${known}`;
      throw new SubmissionRefused({ path: ["orchestrator"], message });
    }
    if (named.uses !== undefined)
      throw new SubmissionRefused(unusable(`its module ${named.uses} of orchd.yaml is bad`));
    const config = { ...named.config, ...ref.config };
    return named.code === undefined
      ? LOCAL
      : this.#describe({ flavor: ref.flavor, code: named.code, config });
  }

  /**
   * Why the orchestrator that a snapshot names cannot take it, or is not there. Undefined if it
   * can. Never rejects.
   */
  async refuses(snapshot: Snapshot, scheduled: boolean): Promise<Fault | undefined> {
    try {
      return refusalOf(await this.resolve(snapshot.orchestrator), snapshot, scheduled);
    } catch (error) {
      return error instanceof SubmissionRefused
        ? error.fault
        : unusable(toStepError(error).message);
    }
  }

  /**
   * The environment of a snapshot's stack: a layer of each step's environment. Its orchestrator has
   * been asked whether it {@link refuses} the snapshot.
   */
  async stackEnv(snapshot: Snapshot): Promise<Snapshot["stackEnv"]> {
    return (await this.resolve(snapshot.orchestrator)).environment;
  }

  #describe(ref: CodedRef): Promise<Flavor> {
    const key = canonicalHash([ref.flavor, ref.code, ref.config]);
    let found = this.#described.get(key);
    if (found === undefined) {
      found = this.#ask(ref);
      this.#described.set(key, found);
      if (this.#described.size > DESCRIPTIONS_KEPT)
        this.#described.delete(this.#described.keys().next().value!);
      found.catch(() => this.#described.delete(key));
    }
    return found;
  }

  async #ask(ref: CodedRef): Promise<Flavor> {
    const id = `describe#${(this.#descriptions += 1)}`;
    const { source } = ref.code;
    const end = await awaitTask(this.#place, {
      id,
      task: {
        kind: "flavor",
        code: ref.code,
        config: ref.config,
        method: "describe",
        argument: null,
        run: { id: "", pipeline: "", attempt: 1 },
        env: {},
        gracePeriodMs: 5_000,
        timeoutMs: 30_000,
      },
      output: () => undefined,
    });
    if (end.kind !== "result")
      throw new SubmissionRefused(
        unusable(`${source} ended its runner process when it was loaded`),
      );
    if (!end.result.ok) {
      const { message } = end.result.error;
      throw new SubmissionRefused(
        unusable(message.startsWith(source) ? message : `${source}: ${message}`),
      );
    }
    return describedFlavor(ref, end.result.value ?? null);
  }
}

function localFlavor(): Flavor {
  const { flavor, capabilities, environment } = new LocalOrchestrator().describe();
  // The run-loop stops the steps.
  return { name: flavor, capabilities, environment, hasStopRun: false, declaresStop: true };
}

function unusable(why: string): Fault {
  return { path: ["orchestrator"], message: `cannot be used: ${why}` };
}

/** The flavor of a user's class, by a runner's answer. Another orchd may say more or less. */
function describedFlavor(ref: CodedRef, answer: Json): Flavor {
  const described = (answer ?? {}) as {
    flavor?: unknown;
    hooks?: OverriddenHooks;
    hasStopRun?: unknown;
    declaresStop?: unknown;
    environment?: Record<string, string>;
    capabilities?: Partial<Capabilities>;
  };
  const { flavor, capabilities, environment, hooks, hasStopRun, declaresStop } = described;
  const given = capabilities ?? {};
  const modes = (
    given.supportedExecutionModes ?? DEFAULT_CAPABILITIES.supportedExecutionModes
  ).filter((mode) => EXECUTION_MODES.includes(mode));
  const name =
    typeof flavor === "string" && flavor !== "" ? flavor.slice(0, NAME_CHARACTERS) : ref.flavor;
  return {
    name,
    ref,
    hooks,
    environment: environmentIn(name, environment ?? {}),
    // An older orchd in the user's folder does not say: its `stopRun` is called, as before.
    hasStopRun: hasStopRun !== false,
    declaresStop: declaresStop === true,
    capabilities: { ...DEFAULT_CAPABILITIES, ...given, supportedExecutionModes: modes },
  };
}

/** The hooks of a run that the orchestrator's class overrides. */
export function overriddenBy({ hooks }: Flavor): ("init" | "cleanup")[] {
  return (["init", "cleanup"] as const).filter((hook) => hooks?.[hook] === true);
}

/** @throws SubmissionRefused where a class answered something else than texts */
function environmentIn(
  name: string,
  environment: Record<string, string>,
): Readonly<Record<string, string>> {
  try {
    return environmentOf({ type: "orchestrator", name, environment });
  } catch (error) {
    throw new SubmissionRefused(unusable(toStepError(error).message));
  }
}

/**
 * Why an orchestrator cannot take a pipeline, and for which of the pipeline's keys. Undefined if it
 * can. It is asked when a file is loaded, and again before anything of a run is written.
 *
 * @param scheduled the run is for a slot, or the pipeline has a schedule
 */
export function refusalOf(
  flavor: Flavor,
  snapshot: Snapshot,
  scheduled: boolean,
): Fault | undefined {
  const { name, capabilities } = flavor;
  if (!capabilities.supportedExecutionModes.includes(snapshot.executionMode)) {
    const modes = capabilities.supportedExecutionModes.join(", ");
    return {
      path: ["executionMode"],
      message:
        `is refused: the orchestrator ${name} does not support the execution mode ` +
        `${snapshot.executionMode}; it supports ${modes === "" ? "none" : modes}`,
    };
  }
  if (scheduled && !capabilities.isSchedulable) {
    return {
      path: ["schedule"],
      message:
        `is refused: the orchestrator ${name} cannot be scheduled; let it declare ` +
        "isSchedulable, or remove the schedule and run the pipeline by hand",
    };
  }
  if (snapshot.dynamic !== undefined && !capabilities.supportsDynamicPipelines) {
    return {
      path: ["orchestrator"],
      message:
        `is refused: ${name} does not support dynamic pipelines, and this is one; ` +
        "use the orchestrator local",
    };
  }
  const isolated = snapshot.steps.find((step) => step.isolated);
  const refusal = isolated === undefined ? undefined : isolationRefusal(flavor, isolated);
  return isolated === undefined || refusal === undefined
    ? undefined
    : { path: ["steps", isolated.id, "isolated"], message: refusal };
}

/**
 * Why an orchestrator cannot take a step that is isolated. Undefined if it can. For a dynamic
 * pipeline it is asked step by step.
 */
export function isolationRefusal(
  { name, capabilities }: Flavor,
  step: SnapshotStep,
): string | undefined {
  if (!step.isolated || capabilities.canRunIsolatedSteps) return undefined;
  return (
    `is refused: the orchestrator ${name} cannot run isolated steps; ` +
    "let it declare canRunIsolatedSteps, or remove isolated"
  );
}
