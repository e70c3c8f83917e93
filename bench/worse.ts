/**
 * What got worse, better or stayed from one measurement to another.
 *
 * Ratios are compared where both have one, because they hold from machine to machine. What has no
 * peer beside it is compared only on the same kind of machine. A change counts if it is greater
 * than the noise of both: the spread of the middle half of their rounds.
 */
import type { Kept, KeptBench, KeptRow, Machine } from "./kept.ts";
import type { Figure } from "./row.ts";
import { digits, markdown } from "./table.ts";

/** The least change that counts, however steady the rounds were. */
export const LEAST_NOISE = 0.05;
/** The noise of a figure with one round: nothing says how steady it is. */
export const UNKNOWN_NOISE = 0.25;

export interface Change {
  readonly bench: string;
  readonly what: string;
  /** Which figure of the row: its own unit, or processor time. */
  readonly of: "wall" | "CPU";
  /** Whether the two values are ratios. */
  readonly isRatio: boolean;
  readonly before: number;
  readonly now: number;
  /** Above 1: worse, whatever the unit. */
  readonly factor: number;
  /** The factor may be off by this share without meaning anything. */
  readonly noise: number;
  readonly verdict: "worse" | "better" | "same";
}

const nameOf = ({ what, beside, unit }: KeptRow): string => `${what} (${unit}) ${beside ?? ""}`;

const isSameMachine = (a: Machine, b: Machine): boolean =>
  a.cores === b.cores && a.model === b.model;

/** Sizes do not depend on how fast a machine is. */
const SIZES: ReadonlySet<string> = new Set(["MiB", "KiB", "bytes", "files", "open"]);

function changeOf(
  before: Figure,
  now: Figure,
  of: { readonly isRate: boolean; readonly mayCompareValues: boolean },
): Omit<Change, "bench" | "what" | "of"> | undefined {
  const isRatio = before.ratio !== undefined && now.ratio !== undefined;
  if (!isRatio && !of.mayCompareValues) return undefined;
  const [was, is] = isRatio ? [before.ratio, now.ratio] : [before.orchd, now.orchd];
  if (!Number.isFinite(was) || !Number.isFinite(is)) return undefined;
  if (was <= 0 || is <= 0) {
    const verdict = is > was ? "worse" : is < was ? "better" : "same";
    return { isRatio, before: was, now: is, factor: Number.NaN, noise: 0, verdict };
  }
  const factor = of.isRate ? was / is : is / was;
  const noise = Math.max(LEAST_NOISE, before.noise ?? UNKNOWN_NOISE, now.noise ?? UNKNOWN_NOISE);
  const verdict = factor > 1 + noise ? "worse" : factor < 1 / (1 + noise) ? "better" : "same";
  return { isRatio, before: was, now: is, factor, noise, verdict };
}

function changesOfBench(bench: string, before: KeptBench, now: KeptBench): Change[] {
  const isSame = isSameMachine(before.machine, now.machine) && before.node === now.node;
  const known = new Map(before.rows.map((row) => [nameOf(row), row]));
  return now.rows.flatMap((row): Change[] => {
    const old = known.get(nameOf(row));
    if (old === undefined) return [];
    const wall = changeOf(old.wall, row.wall, {
      isRate: row.unit.endsWith("/s"),
      mayCompareValues: isSame || SIZES.has(row.unit),
    });
    const cpu =
      old.cpu === undefined || row.cpu === undefined
        ? undefined
        : changeOf(old.cpu, row.cpu, { isRate: false, mayCompareValues: isSame });
    return [
      ...(wall === undefined ? [] : [{ bench, what: row.what, of: "wall" as const, ...wall }]),
      ...(cpu === undefined ? [] : [{ bench, what: row.what, of: "CPU" as const, ...cpu }]),
    ];
  });
}

/** Each row that both have. What got worse comes first, and of that the worst. */
export function changes(before: Kept, now: Kept): Change[] {
  const order = { worse: 0, better: 1, same: 2 };
  return Object.entries(now.benches)
    .flatMap(([bench, rows]) =>
      before.benches[bench] === undefined ? [] : changesOfBench(bench, before.benches[bench], rows),
    )
    .toSorted((a, b) => order[a.verdict] - order[b.verdict] || (b.factor || 0) - (a.factor || 0));
}

/** The changes as a table, and a sentence that sums them up. */
export function changesText(all: readonly Change[]): string {
  if (all.length === 0) return "No row is in both.";
  const worse = all.filter(({ verdict }) => verdict === "worse").length;
  const value = (change: Change, of: number): string =>
    change.isRatio ? `${digits(of)}x` : change.of === "CPU" ? `${digits(of)} µs` : digits(of);
  const table = markdown([
    ["bench", "what", "of", "before", "now", "change", "noise", ""],
    ...all.map((change) => [
      change.bench,
      change.what,
      change.of,
      value(change, change.before),
      value(change, change.now),
      Number.isNaN(change.factor) ? "–" : `${digits(change.factor)}x`,
      `${Math.round(change.noise * 100)} %`,
      change.verdict === "worse" ? "**worse**" : change.verdict,
    ]),
  ]);
  return `${table}\n\n${worse === 0 ? "Nothing" : worse} of ${all.length} got worse.`;
}
