/** How much slower than alone this machine does what a test limits the time of. */
import { availableParallelism, loadavg } from "node:os";

/** The load of each processor, and 1 at least. */
export function busy(): number {
  return Math.max(1, loadavg()[0]! / availableParallelism());
}
