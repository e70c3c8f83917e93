/**
 * What a system takes as an environment. Linux takes 128 KiB for one variable with its name, and
 * with the usual stack limit 2 MiB for all of them and the arguments. A command that gets more is
 * never started (E2BIG), so this is checked before.
 */
import type { EnvValue } from "./snapshot.ts";

/** A variable's name. */
export const VARIABLE_NAME: RegExp = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;
/** The longest variable in bytes: name, `=` and value. */
export const VARIABLE_LIMIT = 131_071;
/** The most bytes of all variables that `env` sets for a step. */
export const ENVIRONMENT_LIMIT = 1024 * 1024;
/** A longer text of a command, in bytes, is given as a file. */
export const TEXT_LIMIT = 96 * 1024;

/** Half of a surrogate pair, which UTF-8 does not have. */
export const HALF_A_PAIR: RegExp = /\p{Surrogate}/u;

const encoder = new TextEncoder();

/** How many bytes a text has in UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** Which variable cannot be given, and why, as a sentence. `name` is undefined for all of them. */
export interface EnvironmentFault {
  readonly name: string | undefined;
  readonly message: string;
}

/** Why no process can have an environment. The values of secrets are not known, and left out. */
export function environmentFault(
  env: Readonly<Record<string, EnvValue>>,
): EnvironmentFault | undefined {
  let total = 0;
  for (const [name, value] of Object.entries(env)) {
    if (typeof value !== "string") continue;
    if (value.includes("\0"))
      return { name, message: "holds a NUL character, which no environment can" };
    if (HALF_A_PAIR.test(value))
      return { name, message: "holds half of a surrogate pair, which is no character" };
    const bytes = byteLength(name) + 1 + byteLength(value);
    if (bytes > VARIABLE_LIMIT)
      return {
        name,
        message:
          `has ${bytes} bytes with its name, and the system takes at most ${VARIABLE_LIMIT}: ` +
          "write it to a file and give the file's path, or make it a param",
      };
    total += bytes;
  }
  if (total <= ENVIRONMENT_LIMIT) return undefined;
  const message =
    `has ${total} bytes in all, with what orchd.yaml and the pipeline set, ` +
    `and at most ${ENVIRONMENT_LIMIT} can be given: use files or params`;
  return { name: undefined, message };
}
