/**
 * Takes what a worker says only as far as it is what messages.ts says: a worker with the key may be
 * broken, or lie. Nothing of it is longer than a task may make it.
 */
import * as z from "zod";
import type { StepError } from "../../core/failure.ts";
import type { Json } from "../../core/snapshot.ts";
import type { FromWorkerAnswer, Hello, WorkerAnswers, WorkerSays } from "./messages.ts";

const short = z.string().max(256);
const id = z.string().min(1).max(1_024);
const count = z.int().min(0);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
/** A word of a subject. */
const name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);

const HELLO = z.object({
  type: z.literal("hello"),
  protocol: z.int(),
  version: short,
  worker: z.string().max(256),
  incarnation: short.min(1),
  home: short.min(1),
  root: short.optional(),
});

const STEP_ERROR: z.ZodType<StepError> = z.lazy(() =>
  z.object({
    name: z.string(),
    message: z.string(),
    code: z.string().optional(),
    stack: z.string().optional(),
    exitStatus: z.int().optional(),
    cause: STEP_ERROR.optional(),
    errors: z.array(STEP_ERROR).max(64).optional(),
  }),
);

const OUTPUT_LINE = z.object({
  at: z.string().max(40),
  step: z.string(),
  attempt: z.int(),
  stream: z.enum(["stdout", "stderr", "log", "orchd"]),
  line: z.string(),
});

const STAGED = z.object({
  ok: z.literal(true),
  staged: z.object({
    value: z.unknown().transform((value) => value as Json),
    files: z
      .array(z.object({ ref: z.object({ $artifact: hash, bytes: count }), file: hash }))
      .max(1_024),
  }),
});

const RESULT = z.union([
  STAGED,
  z.object({ ok: z.literal(true), value: z.unknown().transform((value) => value as Json) }),
  z.object({
    ok: z.literal(false),
    error: STEP_ERROR,
    outcome: z.enum(["failed", "stopped", "timeout"]),
  }),
]);

const END = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("result"), result: RESULT, durationMs: z.number().min(0) }),
  z.object({
    kind: z.literal("died"),
    inFlight: z.array(id).max(1_000),
    alone: z.boolean(),
    blameless: z.enum(["lost", "unbegun"]).optional(),
    behind: z.boolean().optional(),
    because: z.string().max(4_096),
    code: short,
  }),
]);

const FROM_WORKER = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("beat"),
    worker: name,
    incarnation: short,
    protocol: z.int(),
    version: short,
    node: short,
    platform: short,
    labels: z.array(z.string().min(1).max(64)).max(64),
    threads: z.int().min(1).max(10_000),
    cores: z.int().min(1).max(10_000),
    tasks: z.array(id).max(20_000),
    leaving: z.boolean(),
  }),
  z.object({ type: z.literal("claim"), worker: name, incarnation: short, id }),
  z.object({
    type: z.literal("output"),
    worker: name,
    id,
    number: count,
    lines: z.array(OUTPUT_LINE),
  }),
  z.object({ type: z.literal("end"), worker: name, id, batches: count, end: END }),
  z.object({ type: z.literal("lack"), worker: name, hash }),
  z.object({ type: z.literal("bye"), worker: name, incarnation: short }),
]);

const SAYS = z.object({ worker: name, session: short, number: count, message: FROM_WORKER });

const ANSWERS = z.object({
  session: short,
  number: count,
  answer: z.discriminatedUnion("type", [
    z.object({ type: z.literal("begun"), end: END.optional() }),
    z.object({ type: z.enum(["taken", "had", "here"]) }),
    z.object({
      type: z.literal("refused"),
      because: z.string().max(4_096),
      elsewhere: z.boolean().optional(),
    }),
  ]),
});

/** A hello, of any protocol. @throws Error, in a sentence, if it is none */
export function readHello(message: unknown): Hello {
  return read(HELLO, "a hello", message);
}

/** Whether a worker's name can be a word of a subject. */
export function isWorkerName(text: string): boolean {
  return name.safeParse(text).success;
}

/** What a worker says. @throws Error, in a sentence, if it is no such thing */
export function readSays(message: unknown): WorkerSays {
  return read(SAYS, "what a worker says", message);
}

/** What a worker answers. Undefined: it is no such thing, or of another session. */
export function readAnswer(
  message: unknown,
  session: string,
): { readonly number: number; readonly answer: FromWorkerAnswer } | undefined {
  const { success, data } = ANSWERS.safeParse(message);
  return success && (data as WorkerAnswers).session === session ? data : undefined;
}

function read<T>(schema: z.ZodType<T>, what: string, message: unknown): T {
  const { success, data, error } = schema.safeParse(message);
  if (success) return data;
  const [issue] = error.issues;
  const at = issue === undefined ? "" : issue.path.join(".");
  throw new Error(`it is not ${what}: ${at === "" ? "the whole" : at} is wrong`);
}
