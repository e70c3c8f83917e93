/** Samples of wall and processor time, one a round. */
import { familyUs, ownUs } from "./processor.ts";
import type { Measured } from "./row.ts";

/** What one round took. */
export interface Took {
  readonly ms: number;
  /** Processor time, user and system, in microseconds. */
  readonly cpuUs: number;
}

/** The rounds of one side of a row. */
export class Rounds implements Measured {
  readonly name: string;
  readonly samples: number[] = [];
  readonly cpuUs: number[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Adds a round of `count` steps: its sample is the milliseconds of one. */
  add({ ms, cpuUs }: Took, count = 1): void {
    this.samples.push(ms / count);
    this.cpuUs.push(cpuUs / count);
  }

  /** Adds a round of `count` steps: its sample is how many there were in a second. */
  addRate({ ms, cpuUs }: Took, count: number): void {
    this.samples.push((count / ms) * 1_000);
    this.cpuUs.push(cpuUs / count);
  }
}

/**
 * Does something once in this process.
 *
 * @param pids processes that work for it: their time is part of it, and that of their children
 */
export async function tookHere(once: () => unknown, ...pids: readonly number[]): Promise<Took> {
  const before = ownUs() + familyUs(...pids);
  const start = performance.now();
  await once();
  const ms = performance.now() - start;
  return { ms, cpuUs: ownUs() + familyUs(...pids) - before };
}
