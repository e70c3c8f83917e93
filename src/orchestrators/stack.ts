import { componentTitle, environmentOf, type StackComponent } from "./stack-component.ts";
import { LocalArtifactStore } from "./local-artifact-store.ts";
import { refuseFields } from "./run-methods.ts";

/** A component that can be a stack's orchestrator. */
type OrchestratorComponent = StackComponent & { readonly type: "orchestrator" };
/** A component that can be a stack's artifact store. */
type ArtifactStoreComponent = StackComponent & { readonly type: "artifact_store" };
/** A component that can be one of a stack's alerters. */
type AlerterComponent = StackComponent & { readonly type: "alerter" };

/** What a {@link Stack} is made of. */
export interface StackOptions<O extends OrchestratorComponent = OrchestratorComponent> {
  readonly name: string;
  readonly orchestrator: O;
  /** Default: the runs folder ({@link LocalArtifactStore}). */
  readonly artifactStore?: ArtifactStoreComponent | undefined;
  /** Default: none. */
  readonly alerters?: readonly AlerterComponent[] | undefined;
}

/**
 * What a pipeline runs on (ZenML `Stack`): an orchestrator, a store for artifacts, and alerters.
 * Its components are live objects, in whatever process their code runs.
 *
 * @typeParam O the orchestrator's class
 */
export class Stack<O extends OrchestratorComponent = OrchestratorComponent> {
  readonly name: string;
  readonly orchestrator: O;
  /** It keeps the outputs over 64 KiB. */
  readonly artifactStore: ArtifactStoreComponent;
  readonly alerters: readonly AlerterComponent[];

  /**
   * @throws TypeError, a sentence, if a component is of another type than its place in the stack;
   *   Error, a sentence, if a method of the orchestrator that takes a run is a field of it
   */
  constructor({ name, orchestrator, artifactStore, alerters = [] }: StackOptions<O>) {
    this.name = name;
    this.orchestrator = ofType("orchestrator", orchestrator);
    refuseFields(orchestrator);
    this.artifactStore = ofType("artifact_store", artifactStore ?? new LocalArtifactStore());
    this.alerters = alerters.map((alerter) => ofType("alerter", alerter));
  }

  /**
   * The environments of all components in one: the orchestrator's, then the artifact store's, then
   * the alerters'. A later one overrides an earlier one. In each step's environment this is the
   * layer between orchd.yaml's `env` and the pipeline's.
   *
   * @throws Error, a sentence, if a component's environment throws or is no text
   */
  get environment(): Readonly<Record<string, string>> {
    const components = [this.orchestrator, this.artifactStore, ...this.alerters];
    return Object.assign({}, ...components.map((component) => environmentOf(component)));
  }
}

function ofType<T extends StackComponent>(type: T["type"], component: T): T {
  const given = (component as { type?: unknown } | undefined)?.type;
  if (given === type) return component;
  const wanted = `A stack's ${componentTitle(type)} is a component of type ${type}`;
  throw new TypeError(`${wanted}, and this one's is ${String(given)}.`);
}
