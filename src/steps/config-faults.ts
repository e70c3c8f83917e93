/**
 * What is wrong with the config of a user's orchestrator, in words. The schema is the user's own,
 * from a zod that this thread does not load: only what it found is looked at.
 */
import { didYouMean } from "../core/did-you-mean.ts";
import { formatPath, type FieldPath } from "../core/fault.ts";
import { choiceFault, expected, sizeFault, typeFault, valueAt } from "../core/value-words.ts";

/** One thing that a schema found: of zod's issues only what is used. */
export interface ConfigIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly code?: unknown;
  readonly expected?: unknown;
  readonly values?: unknown;
  readonly origin?: unknown;
  readonly minimum?: number | bigint;
  readonly maximum?: number | bigint;
  readonly keys?: unknown;
}

/** What is wrong with `config`, as clauses. @param known the keys that the schema has */
export function configFaults(
  issues: readonly ConfigIssue[],
  config: unknown,
  known: readonly string[],
): string[] {
  return issues.flatMap((issue) => {
    const path: FieldPath = issue.path.map((part) =>
      typeof part === "number" ? part : String(part),
    );
    const where = path.length === 0 ? "it" : formatPath(path);
    if (issue.code === "unrecognized_keys" && Array.isArray(issue.keys))
      return issue.keys.map(
        (key) =>
          `${formatPath([...path, String(key)])} is not known here` +
          (path.length === 0 ? didYouMean(String(key), known).replace(/^; /, ", ") : ""),
      );
    const words = wordsOf(issue, valueAt(config, path));
    // A sentence of the author's own says what it says.
    return [words === issue.message ? `${where}: ${words}` : `${where} ${words}`];
  });
}

function wordsOf(issue: ConfigIssue, value: unknown): string {
  const { code, message, origin } = issue;
  if (code === "invalid_type" && typeof issue.expected === "string")
    return typeFault(expected(issue.expected), issue.expected, value);
  if (code === "invalid_value" && Array.isArray(issue.values))
    return choiceFault(issue.values.map(String), value);
  if (code === "too_small" && typeof origin === "string")
    return sizeFault({ message, origin }, "Too small", `at least ${issue.minimum}`, value);
  if (code === "too_big" && typeof origin === "string")
    return sizeFault({ message, origin }, "Too big", `at most ${issue.maximum}`, value);
  return message.replace(/^Invalid /, "has an invalid ");
}
