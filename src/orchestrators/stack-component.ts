import type * as z from "zod";

/** The kinds of stack components (those of ZenML's `StackComponentType` that orchd has). */
export type StackComponentType = "orchestrator" | "artifact_store" | "alerter";

/** What a component's class may say about itself. */
export interface StackComponentClass {
  /** Its name in messages and in `orchd status`. Default: the class's name. */
  readonly flavor?: string;
  /** The zod schema of its config. Default: any object. */
  readonly config?: z.ZodType;
}

/**
 * A part of a stack (ZenML `StackComponent`): a name, a config that the class's zod schema has
 * checked, and variables for each step's environment.
 *
 * @typeParam C the config's zod schema: write `typeof config`
 */
export abstract class StackComponent<C extends z.ZodType = z.ZodType> {
  /** What kind of component this is. */
  abstract readonly type: StackComponentType;
  /** Its name in orchd.yaml, or its flavor's. */
  readonly name: string;
  /** The checked config, with the schema's defaults. */
  readonly config: z.infer<C>;

  /**
   * @param config as written; the class's `static config` checks it and fills in the defaults
   * @param name default: the class's flavor
   * @throws z.ZodError if the config does not fit
   */
  constructor(config: unknown = {}, name?: string) {
    const { flavor, config: schema } = new.target as unknown as StackComponentClass;
    this.name = name ?? flavor ?? new.target.name;
    this.config = (schema === undefined ? config : schema.parse(config)) as z.infer<C>;
  }

  /** Variables for each step's environment (ZenML `environment`). Default: none. */
  get environment(): Readonly<Record<string, string>> {
    return {};
  }
}
