import type * as z from "zod";

/** What a stack component can be (ZenML `StackComponentType`, as far as orchd has them). */
export type StackComponentType = "orchestrator" | "artifact_store" | "alerter";

/** Whatever a component's class may say about itself. */
export interface StackComponentClass {
  /** The name under which messages and `orchd status` know it; default: the class's name. */
  readonly flavor?: string;
  /** The zod schema of its config; default: any object. */
  readonly config?: z.ZodType;
}

/**
 * A part of a stack (ZenML `StackComponent`): a name, a config that its class's zod schema has
 * checked, and variables for every step's environment.
 *
 * @typeParam C the config's zod schema; write `typeof config`
 */
export abstract class StackComponent<C extends z.ZodType = z.ZodType> {
  /** What kind of component this is. */
  abstract readonly type: StackComponentType;
  /** The name it was given: in orchd.yaml, or its flavor's. */
  readonly name: string;
  /** The checked config, with the schema's defaults filled in. */
  readonly config: z.infer<C>;

  /**
   * @param config as written; the class's `static config` checks it and fills in defaults
   * @param name default: the class's flavor
   * @throws z.ZodError where the config does not fit
   */
  constructor(config: unknown = {}, name?: string) {
    const { flavor, config: schema } = new.target as unknown as StackComponentClass;
    this.name = name ?? flavor ?? new.target.name;
    this.config = (schema === undefined ? config : schema.parse(config)) as z.infer<C>;
  }

  /**
   * Variables that this component puts into every step's environment (ZenML `environment`).
   * Default: none.
   */
  get environment(): Readonly<Record<string, string>> {
    return {};
  }
}
