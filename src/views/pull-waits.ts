/**
 * The steps of a run that wait for their image to be pulled. The end of the run's log tells it: a
 * ledger would have a line for each layer.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { pullIn } from "../core/pull-text.ts";
import type { RunState } from "../core/run-state.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { parseObject } from "../core/json-object.ts";

/** How much is read of the log's end, in bytes. */
const END_BYTES = 65_536;

/** By step, as a sentence; the log is read where a step may wait for an image. */
export function pullWaits(store: RunStore, state: RunState): ReadonlyMap<string, string> {
  const waits = new Map<string, string>();
  if (state.phase !== "started") return waits;
  const lines = new Map<string, string[]>();
  const images = new Map<string, string>();
  for (const id of [...state.ready, ...state.running]) {
    const { container } = state.steps.get(id)!.spec;
    if (container?.image !== undefined) images.set(id, container.image);
  }
  if (images.size === 0) return waits;
  for (const text of endOf(store.runLog(state.run)).split("\n")) {
    const { at, step, stream, line } = parseObject(text) ?? {};
    if (typeof step !== "string" || !images.has(step) || typeof line !== "string") continue;
    // What came before its attempt began was of another one, or is over.
    const from = state.running.has(step) ? (state.steps.get(step)!.startedAt ?? "") : "";
    if (typeof at !== "string" || at < from) continue;
    if (stream === "orchd") lines.set(step, [...(lines.get(step) ?? []), line]);
    else lines.delete(step);
  }
  for (const [step, own] of lines) {
    const because = pullIn(own, images.get(step)!);
    if (because !== undefined) waits.set(step, `it waits: ${because}`);
  }
  return waits;
}

/** The last lines of a file. Empty where it cannot be read. */
function endOf(path: string): string {
  try {
    const fd = openSync(path, "r");
    try {
      const { size } = fstatSync(fd);
      const length = Math.min(size, END_BYTES);
      const bytes = Buffer.alloc(length);
      return bytes.toString("utf8", 0, readSync(fd, bytes, 0, length, size - length));
    } finally {
      closeSync(fd);
    }
  } catch {
    return "";
  }
}
