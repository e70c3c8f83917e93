/**
 * Holds a thread to its memory limit. V8's own limit does not cover Buffers, which lie outside the
 * heap.
 *
 * A timer looks every 20 ms while the thread yields. The functions that make Buffers look before
 * they make one, so most loops that never yield are noticed too; the runner notices the others from
 * outside (runner/outside-look.ts). A shared cell holds what was seen, another counts the looks.
 */
import { createRequire } from "node:module";
import { FAILURE_CODES, type StepError } from "../core/failure.ts";
import { CELLS } from "./thread-protocol.ts";

const LOOK_EVERY_MS = 20;
/** How many bytes of Buffers may be made between two looks. */
const BYTES_BETWEEN_LOOKS = 1024 * 1024;

/** The part of V8's heap statistics that is used here. */
type HeapStatistics = () => { readonly used_heap_size: number; readonly external_memory: number };

/**
 * Begins to watch the memory of this thread.
 *
 * @param limit bytes, heap and Buffers together
 * @param exceeded is called once, with the bytes that are held; it has to end the thread
 */
export function watchMemory(
  limit: number,
  cells: Int32Array,
  exceeded: (held: number) => void,
): void {
  const { getHeapStatistics } = createRequire(import.meta.url)("node:v8") as {
    getHeapStatistics: HeapStatistics;
  };
  let isOver = false;
  const look = (more: number): void => {
    const { used_heap_size, external_memory } = getHeapStatistics();
    const held = used_heap_size + external_memory + more;
    Atomics.store(cells, CELLS.heldKib, Math.min(held / 1024, 0x7fffffff));
    Atomics.add(cells, CELLS.looks, 1);
    if (held <= limit || isOver) return;
    isOver = true;
    exceeded(held);
  };
  setInterval(() => look(0), LOOK_EVERY_MS).unref();
  let since = 0;
  const count = (size: unknown): void => {
    if (typeof size !== "number" || !(size > 0)) return;
    since += size;
    if (since < BYTES_BETWEEN_LOOKS) return;
    since = 0;
    look(size);
  };
  for (const name of ["alloc", "allocUnsafe", "allocUnsafeSlow"] as const) {
    const original = Buffer[name] as (size: number, ...rest: unknown[]) => Buffer;
    (Buffer as unknown as Record<string, unknown>)[name] = (
      size: number,
      ...rest: unknown[]
    ): Buffer => {
      count(size);
      return original.call(Buffer, size, ...rest);
    };
  }
}

/**
 * The error of a step that holds more memory than it may.
 *
 * @param heldKib what the step held, in KiB; undefined: V8 refused to give more
 * @param setting the key that sets the limit
 */
export function outOfMemory(
  step: string,
  heldKib: number | undefined,
  limitMb: number,
  setting = "resources.memoryMb",
): StepError {
  const what =
    heldKib === undefined ? "wants more than" : `holds ${Math.ceil(heldKib / 1024)} MiB, more than`;
  return {
    name: "OutOfMemory",
    message:
      `step "${step}" ${what} its limit of ${limitMb} MiB (${setting}): ` +
      "raise the limit, or let it hold less at once",
    code: FAILURE_CODES.memory,
  };
}
