/**
 * What a shell step is given: its environment, and the files that the environment names
 * (docs/semantics.md 16).
 */
import { environmentFault, HALF_A_PAIR } from "../core/environment-limits.ts";
import type { Json } from "../core/snapshot.ts";
import type { ShellTask } from "../core/task.ts";
import { addTraceparent } from "../core/trace-span.ts";

/** The longest value that is given as a variable, in bytes. A longer one is given as a file. */
const IN_ENVIRONMENT = 32 * 1024;
/** The most bytes of such values together, with their names. The longest ones become files. */
const TOGETHER = 512 * 1024;

/** Something that the step wants in its environment cannot be there. The message is a sentence. */
export class NotGivable extends Error {
  override readonly name = "NotGivable";
}

/** Where the values go that are given as files. */
export interface GivenFiles {
  /** @returns the path at which the step finds it. @throws a Node error */
  write(name: string, text: string): string;
}

/**
 * The environment of a step, except what its place adds for itself. Values that do not fit are
 * written to files.
 *
 * @param id the task's: `RUN#SEQ` of an attempt
 * @throws NotGivable; or a Node error, if a file cannot be written
 */
export function shellEnvironment(
  id: string,
  task: Pick<ShellTask, "env" | "params" | "inputs" | "trace">,
  base: Readonly<Record<string, string>>,
  files: GivenFiles,
): Record<string, string> {
  const env: Record<string, string> = { ...base, ...task.env };
  const fault = environmentFault(env);
  if (fault !== undefined)
    throw new NotGivable(`env${fault.name === undefined ? "" : ` ${fault.name}`} ${fault.message}`);
  const values = [
    ...Object.entries(task.params).map(([name, value]) => given("ORCHD_PARAM", name, value)),
    ...Object.entries(task.inputs).map(([name, value]) => given("ORCHD_INPUT", name, value)),
  ];
  let together = values.reduce((sum, { bytes }) => sum + bytes, 0);
  const spilled = new Set<Given>();
  if (together > TOGETHER) {
    for (const value of values.toSorted((a, b) => b.bytes - a.bytes)) {
      if (together <= TOGETHER) break;
      spilled.add(value);
      together -= value.bytes;
    }
  }
  env["ORCHD_PARAMS"] = files.write("params", JSON.stringify(task.params));
  env["ORCHD_INPUTS"] = files.write("inputs", JSON.stringify(task.inputs));
  for (const value of values) {
    const { variable, name, text } = value;
    env[variable] =
      text !== undefined && !spilled.has(value)
        ? text
        : files.write(name.replaceAll(/[^\w-]/g, "_").slice(0, 64), JSON.stringify(value.value));
  }
  if (task.trace !== undefined) addTraceparent(env, task.trace, id);
  return env;
}

interface Given {
  readonly variable: string;
  readonly name: string;
  readonly value: Json;
  /** What the variable holds; undefined if that is a file's path in any case. */
  readonly text: string | undefined;
  /** Of the variable, if it holds the text. */
  readonly bytes: number;
}

function given(prefix: string, name: string, value: Json): Given {
  const variable = `${prefix}_${name}`;
  const text = textOf(value);
  const bytes = text === undefined ? 0 : variable.length + 1 + Buffer.byteLength(text);
  return { variable, name, value, text, bytes };
}

/** A short scalar as text. Undefined for all else, and for what no variable can hold. */
function textOf(value: Json): string | undefined {
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean")
    return undefined;
  const text = String(value);
  if (text.length > IN_ENVIRONMENT || Buffer.byteLength(text) > IN_ENVIRONMENT) return undefined;
  return text.includes("\0") || HALF_A_PAIR.test(text) ? undefined : text;
}
