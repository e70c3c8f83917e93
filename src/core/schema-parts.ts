/**
 * The small schemas that the pipeline, schedule and settings schemas share.
 *
 * They check the shape of what a person writes and do not change it: a duration stays `5s`.
 * compile.ts turns it into what a run uses. Each schema carries its description, so that `orchd
 * schema` explains every key to an editor.
 */
import * as z from "zod";
import { parseDuration } from "./duration.ts";
import { PIPELINE_NAME } from "./run-id.ts";
import type { Json } from "./snapshot.ts";

/**
 * The name of a step, an input, an output or a param. It also becomes part of an environment
 * variable's name.
 */
export const WORD_PATTERN = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;
/** The name of a secret. It names a file in the credentials folder and must not lead out of it. */
export const SECRET_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** Names that every object already has. */
const TAKEN = new Set(Object.getOwnPropertyNames(Object.prototype));

/** A pipeline's, schedule's, group's or flavor's name. */
export const nameSchema = z
  .string()
  .regex(
    PIPELINE_NAME,
    "must be 1 to 64 lower-case letters, digits, - and _, and begin with a letter or a digit",
  )
  .refine(
    (name) => !TAKEN.has(name),
    "is a word that every object has already; choose another name",
  );

/** A step's, input's, output's or param's name. */
export const wordSchema = z
  .string()
  .regex(WORD_PATTERN, "must be 1 to 64 letters, digits, - and _, and begin with a letter or _")
  .refine(
    (name) => !TAKEN.has(name),
    "is a word that every object has already; choose another name",
  );

/** More memory than any machine has, in MiB: a limit above it is a mistake. */
export const MOST_MEMORY_MB = 16_777_216;

/** A duration as written: `5s`, `1h30m`, or a number of seconds. `parseDuration` reads it. */
export const durationSchema = z
  .union([z.string(), z.number()])
  .refine(
    (value) => parseDuration(value) !== undefined,
    'must be a duration such as "5s", "1h30m" or "7d" (a bare number counts seconds)',
  );

/** Any JSON value. */
export const jsonSchema: z.ZodType<Json> = z.json();

/** A value that is given by a secret's name. */
export const secretSchema = z
  .strictObject({
    secret: z
      .string()
      .regex(SECRET_PATTERN, "must be the name of a secret: letters, digits, ., - and _")
      .describe("the secret's name; only it is ever recorded"),
  })
  .describe("a value taken from the secret of this name when the step starts");

/** Values by name. The value `{secret: NAME}` is a secret. */
export const paramsSchema = z.record(wordSchema, jsonSchema).superRefine((params, context) => {
  for (const [name, value] of Object.entries(params)) {
    if (
      value !== null &&
      typeof value === "object" &&
      !Array.isArray(value) &&
      "secret" in value &&
      !secretSchema.safeParse(value).success
    ) {
      context.addIssue({
        code: "custom",
        path: [name],
        message: "must be {secret: NAME} and nothing else, if it names a secret",
      });
    }
  }
});

/** Environment variables: text, a number, true or false (both become text), or a secret. */
export const envSchema = z.record(
  z
    .string()
    .regex(
      /^[A-Za-z_][A-Za-z0-9_]{0,255}$/,
      "must be an environment variable's name: letters, digits and _, not beginning with a digit",
    ),
  z.union([
    z.string().refine((text) => !text.includes("\0"), "must not hold a NUL character"),
    z.number(),
    z.boolean(),
    secretSchema,
  ]),
);

/**
 * Names some code: a module beside the pipeline file and, after a `#`, an export (default: the
 * default export).
 */
export const codeSchema = z
  .string()
  .regex(
    /^[^#\0]+(#[^#\0]+)?$/,
    "must be a module's path and, after a #, the name of its export: ./steps/read.ts#main",
  );
