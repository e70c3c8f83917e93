/**
 * One row of a bench's table: what orchd needs, and what the raw primitive under it or a peer
 * needs, measured in the same run and in turn.
 *
 * A row has two ratios. Wall time is what a user waits for. Processor time, user and system over
 * all processes, says what the work costs: other work on the machine moves it far less.
 */

/** A figure, and what it was measured on. */
export interface Measured {
  /** How the table names what was measured. */
  readonly name: string;
  /** One a round, in the row's unit. */
  readonly samples: readonly number[];
  /** Microseconds of processor time for each step, run or call: one a round. */
  readonly cpuUs?: readonly number[] | undefined;
}

export type Unit =
  | "µs"
  | "ms"
  | "s"
  | "MiB"
  | "%"
  | "lines/s"
  | "steps/s"
  | "bytes"
  | "KiB"
  | "files"
  | "open"
  | "turns";

/** A limit for the ratio, or for orchd's own median if `of` is "orchd". */
export interface Goal {
  readonly of: "ratio" | "orchd";
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** What a bench gives. */
export interface Row {
  /** Unique within its bench, together with the name of what stands beside it. */
  readonly what: string;
  readonly unit: Unit;
  readonly orchd: Measured;
  /** The floor, or a peer that does the same work. */
  readonly beside?: Measured | undefined;
  /** The goal of docs/performance.md. */
  readonly goal?: Goal | undefined;
  /** The greatest ratio of processor times that is still good. */
  readonly cpuAtMost?: number | undefined;
}

/** How a bench is to run. */
export interface BenchOptions {
  /** Fewer rounds and shorter histories. */
  readonly short: boolean;
  /** How many runs a history has, or how many pipelines fire; undefined: the bench's own number. */
  readonly runs: number | undefined;
  /** Prints a line below the table: what could not be measured, and why. */
  readonly note: (line: string) => void;
}

/** What each bench exports. */
export interface Bench {
  run(options: BenchOptions): Promise<Row[]>;
}

/** The middle sample; for an even count the mean of the two middle ones. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** The value below which a share `q` (0 to 1) of the samples lies, interpolated. */
export function quantile(samples: readonly number[], q: number): number {
  if (samples.length === 0) return Number.NaN;
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)]!;
  return below + (sorted[Math.ceil(at)]! - below) * (at - Math.floor(at));
}

/**
 * Calls `once` `warmup` times without measuring, then `count` times.
 *
 * @returns the milliseconds of each measured call
 */
export async function timed(
  count: number,
  warmup: number,
  once: (index: number) => unknown,
): Promise<number[]> {
  const samples: number[] = [];
  for (let index = -warmup; index < count; index += 1) {
    const start = performance.now();
    await once(index);
    if (index >= 0) samples.push(performance.now() - start);
  }
  return samples;
}

/**
 * The ratios of two lists. Lists of the same length were measured in turn, so each pair of samples
 * had the same other work beside it and is one ratio. Otherwise there is one, that of the medians.
 */
function ratiosOf(ours: readonly number[], theirs: readonly number[]): number[] {
  return ours.length === theirs.length
    ? ours.map((sample, round) => sample / theirs[round]!)
    : [median(ours) / median(theirs)];
}

/** A figure of a row, ready to be printed or kept. */
export interface Figure {
  /** orchd's median. */
  readonly orchd: number;
  readonly beside?: number;
  /** The median of the rounds' ratios, orchd's divided by the other's. */
  readonly ratio?: number;
  /**
   * How far the middle half of the rounds spreads, as a share of their median: of the ratios, or of
   * orchd's samples if nothing stands beside it. Missing after a single round.
   */
  readonly noise?: number;
}

function figureOf(
  ours: readonly number[],
  theirs: readonly number[] | undefined,
): Figure | undefined {
  if (ours.length === 0) return undefined;
  const ratios = theirs === undefined ? undefined : ratiosOf(ours, theirs);
  const rounds = ratios ?? ours;
  const noise = (quantile(rounds, 0.75) - quantile(rounds, 0.25)) / Math.abs(median(rounds));
  return {
    orchd: median(ours),
    ...(theirs === undefined ? {} : { beside: median(theirs), ratio: median(ratios!) }),
    ...(rounds.length < 2 || !Number.isFinite(noise) ? {} : { noise }),
  };
}

/** The row's figure in its own unit: wall time, a rate, memory. */
export function wallOf(row: Row): Figure {
  return figureOf(row.orchd.samples, row.beside?.samples) ?? { orchd: Number.NaN };
}

/** The row's processor time in microseconds; undefined if it was not measured. */
export function cpuOf(row: Row): Figure | undefined {
  return row.orchd.cpuUs === undefined
    ? undefined
    : figureOf(row.orchd.cpuUs, row.beside?.cpuUs ?? undefined);
}

/** Whether the row reaches its goals; undefined if it has none. */
export function reached(row: Row): boolean | undefined {
  const { goal, cpuAtMost } = row;
  const verdicts: boolean[] = [];
  if (goal !== undefined) {
    const wall = wallOf(row);
    const value = goal.of === "ratio" ? (wall.ratio ?? Number.NaN) : wall.orchd;
    verdicts.push(
      value <= (goal.atMost ?? Number.POSITIVE_INFINITY) &&
        value >= (goal.atLeast ?? Number.NEGATIVE_INFINITY),
    );
  }
  const cpu = cpuOf(row)?.ratio;
  if (cpuAtMost !== undefined && cpu !== undefined) verdicts.push(cpu <= cpuAtMost);
  return verdicts.length === 0 ? undefined : verdicts.every(Boolean);
}
