/** Names the lines that are no orders; `orchd logs` shows them. */
import type { Loose, StepContext } from "orchd";
import type { Rejected } from "./extract.ts";

export default function complain({
  inputs,
  log,
}: StepContext<Loose, { rejected: Rejected[] }>): void {
  for (const { line, text } of inputs.rejected) log.warn(`line ${line} is no order: ${text}`);
}
