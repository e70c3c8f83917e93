import type * as z from "zod";
import { environmentFault, VARIABLE_NAME } from "../core/environment-limits.ts";
import { toStepError } from "../core/failure.ts";

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
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- see the interface below
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
   * @throws z.ZodError if the config does not fit; Error, a sentence, if a static member is not
   *   what it has to be
   */
  constructor(config: unknown = {}, name?: string) {
    checkStatics(new.target);
    const { flavor, config: schema } = new.target as unknown as StackComponentClass;
    this.name = name ?? flavor ?? new.target.name;
    this.config = (schema === undefined ? config : schema.parse(config)) as z.infer<C>;
  }
}

/**
 * Merged with the class, so that a component may declare `environment` as a member or as a getter:
 * a class allows only one of the two. Its default stands on the prototype, below.
 */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging, no-unused-vars -- see above
export interface StackComponent<C extends z.ZodType = z.ZodType> {
  /**
   * Variables for each step's environment (ZenML `environment`). Default: none. It is read when a
   * pipeline is loaded, and recorded with each run: so put no secret into it.
   */
  readonly environment: Readonly<Record<string, string>>;
}

Object.defineProperty(StackComponent.prototype, "environment", {
  get: () => ({}),
  configurable: true,
});

/** The static members of a class, as somebody may have written them. */
interface StaticMembers {
  readonly name: string;
  readonly flavor?: unknown;
  readonly config?: unknown;
  readonly environment?: unknown;
}

/** @throws Error, a sentence that names the class, if a static member is not what it has to be */
function checkStatics({ name, flavor, config, environment }: StaticMembers): void {
  if (flavor !== undefined && (typeof flavor !== "string" || flavor === ""))
    throw new Error(`The static flavor of ${name} is no name: give a text.`);
  const { parse } = (config ?? {}) as { readonly parse?: unknown };
  if (config !== undefined && typeof parse !== "function")
    throw new Error(
      `The static config of ${name} is no zod schema: write static config = z.object({ … }).`,
    );
  if (environment !== undefined)
    throw new Error(
      `The environment of ${name} is static, where nobody reads it: write it without static.`,
    );
}

/** How messages call a component of this type. */
export function componentTitle(type: StackComponentType): string {
  return type.replaceAll("_", " ");
}

/**
 * A component's environment, checked: a copy.
 *
 * @throws Error, a sentence that names the component, if reading it throws or a value is no text
 */
export function environmentOf(component: Pick<StackComponent, "type" | "name" | "environment">): {
  [name: string]: string;
} {
  const who = `the ${componentTitle(component.type)} ${component.name}`;
  let given: unknown;
  try {
    given = component.environment;
    return checkedEnvironment({ ...(given as object) }, given, who);
  } catch (error) {
    if (error instanceof EnvironmentError) throw error;
    const { message } = toStepError(error);
    throw new EnvironmentError(`The environment of ${who} cannot be read: ${message}`);
  }
}

/** A component's environment cannot be used. `message` is a sentence. */
class EnvironmentError extends Error {}

function checkedEnvironment(
  copy: { readonly [name: string]: unknown },
  given: unknown,
  who: string,
): { [name: string]: string } {
  const refuse = (why: string): never => {
    throw new EnvironmentError(`The environment of ${who} ${why}`);
  };
  if (typeof given !== "object" || given === null || Array.isArray(given) || isPromise(given))
    return refuse(`is ${kindOf(given)}: give an object of texts, such as { REGION: "eu" }.`);
  for (const [name, value] of Object.entries(copy)) {
    const shown = JSON.stringify(name.slice(0, 256));
    if (!VARIABLE_NAME.test(name))
      refuse(`names ${shown}: a name has letters, digits and _, and does not begin with a digit.`);
    if (typeof value !== "string") refuse(`has ${name}, which is ${kindOf(value)}: give a text.`);
  }
  const env = copy as { [name: string]: string };
  const fault = environmentFault(env);
  return fault === undefined ? env : refuse([fault.name, fault.message].join(" ").trim() + ".");
}

function isPromise(value: object): boolean {
  return typeof (value as { then?: unknown }).then === "function";
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return isPromise(value) ? "a promise" : "an object";
  return `a ${typeof value}`;
}
