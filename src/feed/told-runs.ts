/** What a line of a pipeline's ledger tells of runs. */
import { parseObject } from "../core/json-object.ts";
import type { WholeLine } from "./whole-lines.ts";

const BEGINNINGS: ReadonlySet<string> = new Set([
  "slot.fired",
  "slot.caught_up",
  "slot.backfilled",
  "run.queued",
  "run.started",
]);

/** The runs that go on from a pipeline's line: the one that begins, or a checkpoint's. */
export function runsBegunBy({ type, raw }: WholeLine): readonly string[] {
  if (BEGINNINGS.has(type)) {
    const run = parseObject(raw)?.["run"];
    return typeof run === "string" ? [run] : [];
  }
  if (type !== "pipeline.checkpoint") return [];
  const active: unknown = parseObject(raw)?.["active"];
  return Array.isArray(active) ? active.filter((run) => typeof run === "string") : [];
}

/** The run that ends with a pipeline's line. */
export function runEndedBy({ type, raw }: WholeLine): string | undefined {
  if (type !== "run.finished") return undefined;
  const run = parseObject(raw)?.["run"];
  return typeof run === "string" ? run : undefined;
}
