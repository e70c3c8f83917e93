/**
 * Keeps V8's heap near what lives in it. V8 is made for one page of a browser: it widens the young
 * heap to 32 MiB for a thousand runs at once and keeps it so, and lets the old heap grow to three
 * or four times of what lives. With 1,000 pipelines that fire every 10 s the daemon held 230 MiB,
 * of which 40 lived.
 *
 * The flags are set in the process itself. So they hold however it was started (as `orchd`, by a
 * unit, as `node orchd.js`), and no step inherits them, as it would NODE_OPTIONS. V8 reads both
 * flags each time that it sizes a heap. Its `--max-semi-space-size` is read at the start alone, and
 * `--optimize-for-size` costs speed.
 */

import type { HeapSpaceInfo } from "node:v8";

/** The young heap of a daemon, both halves together, in bytes. */
const DAEMON_YOUNG_BYTES = 8_388_608;
/** What is made to widen the young heap to that: far less is needed. */
const MOST_MADE = 1_000;

// node:v8 takes milliseconds to load, and `orchd status` has none for it.
const v8 = () => process.getBuiltinModule("node:v8");

/** The young heap stays at its first 2 MiB. */
export function keepYoungHeapSmall(): void {
  v8().setFlagsFromString("--semi-space-growth-factor=1");
}

/** The young heap stays at its first 2 MiB, the old one within 1.5 times of what lives. */
export function keepHeapSmall(): void {
  keepYoungHeapSmall();
  v8().setFlagsFromString("--heap-growing-percent=50");
}

/** The part of the young heap that may be in use where it counts as empty, in bytes. */
const NEARLY_NONE = 1_048_576;
/** How much is made before it is looked again whether the young heap was collected. */
const MADE_AT_ONCE = 16;

/**
 * Widens the young heap to 8 MiB and lets V8 collect it: so 4 MiB can be made in one turn of the
 * event loop before it is collected again. A collection there copies all that is held in that turn.
 */
export function emptyYoungHeap(): void {
  widenYoungHeap();
  // V8 has no call for that. It collects when there is no room for what is made here for nobody.
  for (let made = 0; made < MOST_MADE && youngHeap().space_used_size > NEARLY_NONE;)
    for (const end = made + MADE_AT_ONCE; made < end; made += 1) Array(2_048).fill(made);
}

function youngHeap(): HeapSpaceInfo {
  const spaces = v8().getHeapSpaceStatistics();
  return spaces.find(({ space_name }) => space_name === "new_space")!;
}

/**
 * Widens the young heap to 8 MiB, for a daemon that is busy. In 2 MiB a fan-out of thousands of
 * steps costs it 5 % more processor time, in 4 MiB none that can be measured. V8 narrows it again
 * when it collects while little goes on, so this is called now and then. It costs 3 µs where
 * nothing is to be done, and 3 ms otherwise.
 */
export function widenYoungHeap(): void {
  const isNarrow = (): boolean => youngHeap().space_size < DAEMON_YOUNG_BYTES;
  // To set a flag, V8 goes through all it has: in a process that is cold, a tenth of a millisecond.
  if (!isNarrow()) return;
  const { setFlagsFromString } = v8();
  setFlagsFromString("--semi-space-growth-factor=2");
  // V8 widens it when as much has survived in it as it holds.
  const made: unknown[] = [];
  while (made.length < MOST_MADE && isNarrow()) made.push(Array(2_048).fill(made.length));
  setFlagsFromString("--semi-space-growth-factor=1");
}
