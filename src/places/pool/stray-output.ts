import { LINE_OVERHEAD, OUTPUT_LIMIT, type OutputLine, type Task } from "../../core/task.ts";
import type { Masker } from "../../core/mask.ts";
import { headOf } from "./protocol.ts";

/**
 * What is kept of lines that a task printed past the capture, without secrets. The last line says
 * where the limit is reached.
 *
 * @param printer counts how much it printed so, in characters
 * @param at ISO 8601
 */
export function strayOutput(
  printer: { readonly task: Task; stray: number },
  stream: "stdout" | "stderr",
  lines: readonly string[],
  masker: Masker,
  at: string,
): OutputLine[] {
  if (printer.stray > OUTPUT_LIMIT) return [];
  for (const line of lines) printer.stray += line.length + LINE_OVERHEAD;
  const { step, attempt } = headOf(printer.task);
  const kept = lines.map((line) => ({ at, step, attempt, stream, line: masker.text(line) }));
  if (printer.stray > OUTPUT_LIMIT)
    kept.push({
      at,
      step,
      attempt,
      stream,
      line: "[orchd: more than 8 MiB was written past the capture; the rest is dropped]",
    });
  return kept;
}
