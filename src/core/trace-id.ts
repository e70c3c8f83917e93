/**
 * The trace of a run. Its ids are made of what the run's first line holds, so an export that is
 * sent twice has the same ids, and a step knows them before anything was exported.
 */
import { hash } from "node:crypto";
import type { TraceSeed } from "./trace-span.ts";

const ATTEMPTS = 32;
const STEPS = 48;

/**
 * What all ids of a run's trace are made of.
 *
 * The time is in it because hosts often have pipelines of the same name, whose slots, and so whose
 * runs' ids, are the same.
 *
 * @param run the run's id
 * @param submittedAt `at` of its ledger's first line, ISO 8601
 */
export function traceSeed(run: string, submittedAt: string): TraceSeed {
  const digits = hash("sha256", `orchd trace\n${run}\n${submittedAt}`, "hex");
  const trace = digits.slice(0, ATTEMPTS);
  return (
    (/^0+$/.test(trace) ? `${trace.slice(1)}1` : trace) +
    markedBase(digits.slice(ATTEMPTS, STEPS), "c") +
    markedBase(digits.slice(STEPS), "4")
  );
}

/** A base of ids whose two highest bits are those of the mark: it is never zero. */
function markedBase(base: string, mark: "c" | "4"): string {
  const first = (Number.parseInt(base[0]!, 16) & 0x3) | Number.parseInt(mark, 16);
  return first.toString(16) + base.slice(1);
}
