/**
 * Holds a thread to its memory limit where V8's own limit does not reach: Buffers lie outside the
 * heap.
 *
 * A timer looks every 20 ms while the thread yields; the functions that make Buffers look before
 * they do, so that most loops that never yield are seen too; the others are seen from outside
 * (runner/outside-look.ts). What is held stands in a shared cell, beside a count of the looks.
 */
import { createRequire } from "node:module";
import { FAILURE_CODES, type StepError } from "../core/failure.ts";
import { CELLS } from "./thread-protocol.ts";

const EVERY_MS = 20;
/** So much may be allocated between two looks. */
const STEP = 1024 * 1024;

/** What V8 says of a heap, as far as it is used here. */
type HeapStatistics = () => { readonly used_heap_size: number; readonly external_memory: number };

/**
 * Begins to watch.
 *
 * @param limit bytes, heap and Buffers together
 * @param exceeded is called once; it has to end the thread
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
  setInterval(() => look(0), EVERY_MS).unref();
  let since = 0;
  const count = (size: unknown): void => {
    if (typeof size !== "number" || !(size > 0)) return;
    since += size;
    if (since < STEP) return;
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
 * The error of a step that holds more than it may.
 *
 * @param heldKib what was seen; undefined: V8 refused to give more
 * @param setting where the limit was set
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
    message: `step "${step}" ${what} its limit of ${limitMb} MiB (${setting}): raise the limit, or let it hold less at once`,
    code: FAILURE_CODES.memory,
  };
}
