/**
 * What a shell step's command came to: its exit, and what it wrote to `$ORCHD_OUTPUT`
 * (docs/semantics.md 16, 17). It is the same wherever the command ran.
 */
import { constants } from "node:os";
import { defined } from "../core/defined.ts";
import { FAILURE_CODES, type StepError } from "../core/failure.ts";
import { MASKED_RESULT, type Masker } from "../core/mask.ts";
import type { ShellTask, StagedValue } from "../core/task.ts";
import { stageResult } from "../steps/staged-result.ts";
import { resultJson, writtenResult } from "../steps/step-result.ts";
import { beginning } from "../core/whole-characters.ts";

/** How much is quoted of a result that is not JSON, and how much of it is masked before. */
const QUOTED = 60;
const QUOTED_AHEAD = 64 * 1024;

/** Signals by their numbers. Of several names the first counts, as in Node: SIGABRT, not SIGIOT. */
export const SIGNAL_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.signals)
    .toReversed()
    .map(([name, number]) => [number, name]),
);

/** The error of a command that ended with this status. @param said its last line on stderr */
export function exitError(status: number | null, said: string): StepError {
  return defined({
    name: "ExitError",
    message: `the command ended with status ${status}${quoted(said)}`,
    code: FAILURE_CODES.exitStatus,
    exitStatus: status ?? undefined,
  });
}

/** The error of a command that a signal ended. @param said its last line on stderr */
export function signalError(signal: string, said: string): StepError {
  return {
    name: "ExitError",
    message: `the command was ended by ${signal}${quoted(said)}`,
    code: FAILURE_CODES.signal,
  };
}

/** The result of a command that ended with status 0: what it wrote. Null if it wrote nothing. */
export function writtenOutput(
  read: (step: string) => Uint8Array | undefined,
  { step, outputs }: { readonly step: string; readonly outputs: readonly string[] | undefined },
  masker: Masker,
):
  | { readonly ok: true; readonly json: string }
  | { readonly ok: false; readonly outcome: "failed"; readonly error: StepError } {
  try {
    const name = `step "${step}"`;
    const bytes = read(name);
    // A parser would quote a piece of the text, which may be a piece of a secret. So the text is
    // masked whole, and then cut.
    const value =
      bytes === undefined
        ? null
        : writtenResult(bytes, name, (text) =>
            beginning(masker.text(text.slice(0, QUOTED_AHEAD)), QUOTED),
          );
    return { ok: true, json: resultJson(value, step, outputs) };
  } catch (error) {
    return {
      ok: false,
      outcome: "failed",
      error: { name: "BadOutput", message: (error as Error).message, code: FAILURE_CODES.output },
    };
  }
}

/**
 * A result without secrets; in files, if it is large.
 *
 * @param tell gets a line for the log if something was masked
 */
export function recordedOutput(
  json: string,
  { artifacts, outputs }: Pick<ShellTask, "artifacts" | "outputs">,
  masker: Masker,
  tell: (line: string) => void,
):
  | { readonly ok: true; readonly json: string }
  | { readonly ok: true; readonly staged: StagedValue } {
  const masked = masker.json(json);
  if (masked !== undefined) tell(MASKED_RESULT);
  const text = masked ?? json;
  const staged = artifacts === undefined ? undefined : stageResult(text, outputs, artifacts);
  return staged === undefined ? { ok: true, json: text } : { ok: true, staged };
}

function quoted(said: string): string {
  return said === "" ? "" : `: ${beginning(said, 500)}`;
}
