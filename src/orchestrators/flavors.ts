/**
 * Finds the orchestrator that a snapshot names: `local`, one of orchd.yaml's, or a class in a
 * user's file.
 *
 * The daemon never runs a user's code. Of a user's class it knows what a runner tells of it: its
 * flavor's name and what it declares, asked for once for each version of the code and each config.
 */
import { canonicalHash } from "../core/canonical-json.ts";
import { toStepError, type StepError } from "../core/failure.ts";
import { formatPath, type Fault } from "../core/fault.ts";
import type { Json, OrchestratorRef, Snapshot, SnapshotStep } from "../core/snapshot.ts";
import { EXECUTION_MODES } from "../core/status.ts";
import { DEFAULT_CAPABILITIES, type Capabilities } from "./capabilities.ts";
import { LocalOrchestrator } from "./local-orchestrator.ts";
import type { Place } from "../places/place.ts";
import { awaitTask } from "../places/run-task.ts";

/** An orchestrator as the daemon knows it. */
export interface Flavor {
  readonly name: string;
  readonly capabilities: Capabilities;
  /** The user's class and its config; undefined for `local`. */
  readonly ref?: OrchestratorRef & { readonly code: NonNullable<OrchestratorRef["code"]> };
  /** A run that was taken over names an orchestrator that is no more: why the run cannot go on. */
  readonly lost?: StepError;
}

/**
 * A run or pipeline that an orchestrator cannot take; `message` is a sentence, `fault` the same
 * with its place in the pipeline's file. Nothing was written.
 */
export class SubmissionRefused extends Error {
  override readonly name = "SubmissionRefused";
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(`${formatPath(fault.path)} ${fault.message}`);
    this.fault = fault;
  }
}

const LOCAL = localFlavor();
const DESCRIPTIONS_KEPT = 256;

/** The orchestrators of one daemon. */
export class Flavors {
  readonly #place: Place;
  #named: Readonly<Record<string, OrchestratorRef>>;
  readonly #described = new Map<string, Promise<Flavor>>();
  #descriptions = 0;

  constructor(parts: {
    readonly place: Place;
    readonly orchestrators?: Readonly<Record<string, OrchestratorRef>>;
  }) {
    this.#place = parts.place;
    this.#named = parts.orchestrators ?? {};
  }

  /** Takes the orchestrators of an orchd.yaml that was read again. */
  reload(orchestrators: Readonly<Record<string, OrchestratorRef>>): void {
    this.#named = orchestrators;
  }

  /**
   * The orchestrator that a snapshot names.
   *
   * @returns at once where no code of a user's has to be asked
   * @throws SubmissionRefused, or rejects with it, where there is none of that name, or its class
   *   is not what it should be
   */
  resolve(ref: OrchestratorRef | undefined): Flavor | Promise<Flavor> {
    if (ref === undefined) return LOCAL;
    if (ref.code !== undefined) return this.#describe(ref as Required<OrchestratorRef>);
    if (ref.flavor === "local") return LOCAL;
    const named = Object.hasOwn(this.#named, ref.flavor) ? this.#named[ref.flavor] : undefined;
    if (named === undefined) {
      const known = ["local", ...Object.keys(this.#named)].join(", ");
      const message = `names ${JSON.stringify(ref.flavor)}, and there is no orchestrator of that name; orchd.yaml and orchd itself have ${known}`;
      throw new SubmissionRefused({ path: ["orchestrator"], message });
    }
    const config = { ...named.config, ...ref.config };
    return named.code === undefined
      ? LOCAL
      : this.#describe({ flavor: ref.flavor, code: named.code, config });
  }

  /**
   * Why the orchestrator that a snapshot names cannot take it, there being none of that name
   * included; undefined where it can. Never rejects.
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

  #describe(ref: Required<OrchestratorRef>): Promise<Flavor> {
    const key = canonicalHash([ref.flavor, ref.code, ref.config]);
    let found = this.#described.get(key);
    if (found === undefined) {
      found = this.#ask(ref as NonNullable<Flavor["ref"]>);
      this.#described.set(key, found);
      if (this.#described.size > DESCRIPTIONS_KEPT)
        this.#described.delete(this.#described.keys().next().value!);
      found.catch(() => this.#described.delete(key));
    }
    return found;
  }

  async #ask(ref: NonNullable<Flavor["ref"]>): Promise<Flavor> {
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
    return describedFlavor(ref, end.result.value);
  }
}

function localFlavor(): Flavor {
  const { flavor, capabilities } = new LocalOrchestrator().describe();
  return { name: flavor, capabilities };
}

function unusable(why: string): Fault {
  return { path: ["orchestrator"], message: `cannot be used: ${why}` };
}

/** Takes what a runner said of a class; a newer or older class may say more or less. */
function describedFlavor(ref: NonNullable<Flavor["ref"]>, answer: Json): Flavor {
  const { flavor, capabilities } = (answer ?? {}) as {
    flavor?: unknown;
    capabilities?: Partial<Capabilities>;
  };
  const given = capabilities ?? {};
  const modes = (
    given.supportedExecutionModes ?? DEFAULT_CAPABILITIES.supportedExecutionModes
  ).filter((mode) => EXECUTION_MODES.includes(mode));
  const name = typeof flavor === "string" && flavor !== "" ? flavor : ref.flavor;
  return {
    name,
    ref,
    capabilities: { ...DEFAULT_CAPABILITIES, ...given, supportedExecutionModes: modes },
  };
}

/**
 * Why an orchestrator cannot take a pipeline, and which of its keys says so; undefined where it
 * can. Asked as a file is loaded, and again before anything of a run is written.
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
      message: `is refused: the orchestrator ${name} does not support the execution mode ${snapshot.executionMode}; it supports ${modes === "" ? "none" : modes}`,
    };
  }
  if (scheduled && !capabilities.isSchedulable) {
    return {
      path: ["schedule"],
      message: `is refused: the orchestrator ${name} cannot be scheduled; let it declare isSchedulable, or remove the schedule and run the pipeline by hand`,
    };
  }
  if (snapshot.dynamic !== undefined && !capabilities.supportsDynamicPipelines) {
    return {
      path: ["orchestrator"],
      message: `is refused: ${name} does not support dynamic pipelines, and this is one; use the orchestrator local`,
    };
  }
  const isolated = snapshot.steps.find((step) => step.isolated);
  const refusal = isolated === undefined ? undefined : isolationRefusal(flavor, isolated);
  return isolated === undefined || refusal === undefined
    ? undefined
    : { path: ["steps", isolated.id, "isolated"], message: refusal };
}

/**
 * Why an orchestrator cannot take a step because it is isolated; undefined where it can. A dynamic
 * pipeline's steps are asked for as they come.
 */
export function isolationRefusal(
  { name, capabilities }: Flavor,
  step: SnapshotStep,
): string | undefined {
  if (!step.isolated || capabilities.canRunIsolatedSteps) return undefined;
  return `is refused: the orchestrator ${name} cannot run isolated steps; let it declare canRunIsolatedSteps, or remove isolated`;
}
