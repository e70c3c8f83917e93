import { BaseOrchestrator } from "../orchestrators/base-orchestrator.ts";
import type { Capabilities } from "../orchestrators/capabilities.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import type { OrchestratorRef } from "../core/snapshot.ts";

/**
 * An orchestrator that orchd.yaml names, as a program has it: its class is loaded in a runner, and
 * this stands for it. It also stands for a place of orchd.yaml, which has no class. It says what
 * the class declares. What it is called with goes through the root, which calls the class.
 */
export class NamedOrchestrator extends BaseOrchestrator {
  /** What orchd.yaml says of it. */
  readonly ref: OrchestratorRef;
  readonly #flavor: Flavor;

  constructor(name: string, ref: OrchestratorRef, flavor: Flavor) {
    super(ref.config, name);
    this.ref = ref;
    this.#flavor = flavor;
  }

  /** A place on other machines is; else what its config says. */
  override get isRemote(): boolean {
    return this.ref.place === true || super.isRemote;
  }

  override get capabilities(): Capabilities {
    return this.#flavor.capabilities;
  }

  override get supportsDynamicPipelines(): boolean {
    return this.#flavor.capabilities.supportsDynamicPipelines;
  }

  override get environment(): Readonly<Record<string, string>> {
    return this.#flavor.environment;
  }

  /** The class is asked, where it runs. @throws Error */
  override getOrchestratorRunId(): string {
    throw new Error(`the class of the orchestrator ${this.name} knows the id, in its runner.`);
  }

  /** Rejects: no open root has the run. */
  override submitPipeline(): Promise<undefined> {
    return Promise.reject(new Error(`submitPipeline of ${this.name} needs a run of its root.`));
  }

  /** Rejects: no open root has the run. */
  override submitDynamicPipeline(): Promise<undefined> {
    return this.submitPipeline();
  }
}
