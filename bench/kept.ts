/**
 * What benches measured, kept for the next release: bench/results/VERSION.json.
 *
 * Each bench has its own date, machine and rows, so a run of some benches replaces those and leaves
 * the others as they are.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cpuOf, reached, wallOf, type Figure, type Row } from "./row.ts";

/** Where the results of each version lie. The benches run in dist/bench/. */
export const RESULTS = join(import.meta.dirname, "../../bench/results");

/** What a bench ran on. */
export interface Machine {
  readonly cores: number;
  readonly model: string;
  /** `node -e 0`, the median of a few, in milliseconds: how fast the machine is. */
  readonly startMs: number;
}

export interface KeptRow {
  readonly what: string;
  readonly unit: Row["unit"];
  /** The name of what stands beside it. */
  readonly beside?: string;
  readonly wall: Figure;
  /** In microseconds. */
  readonly cpu?: Figure;
  readonly reached?: boolean;
}

export interface KeptBench {
  readonly at: string;
  readonly node: string;
  readonly machine: Machine;
  /** Whether it was the short form. */
  readonly short: boolean;
  readonly rows: readonly KeptRow[];
}

export interface Kept {
  readonly format: 1;
  readonly version: string;
  readonly benches: Readonly<Record<string, KeptBench>>;
}

const rounded = (figure: Figure): Figure =>
  Object.fromEntries(
    Object.entries(figure)
      .filter(([, value]) => Number.isFinite(value))
      .map(([name, value]) => [name, Number((value as number).toPrecision(4))]),
  ) as unknown as Figure;

/** A row as it is kept: the medians, the ratios and their noise, to four digits. */
export function keptRow(row: Row): KeptRow {
  const cpu = cpuOf(row);
  const hasReached = reached(row);
  return {
    what: row.what,
    unit: row.unit,
    ...(row.beside === undefined ? {} : { beside: row.beside.name }),
    wall: rounded(wallOf(row)),
    ...(cpu === undefined ? {} : { cpu: rounded(cpu) }),
    ...(hasReached === undefined ? {} : { reached: hasReached }),
  };
}

/** What is kept once `now` is added: the benches of `now` replace those of the same name. */
export function merged(before: Kept | undefined, now: Kept): Kept {
  return before === undefined ? now : { ...now, benches: { ...before.benches, ...now.benches } };
}

/** @throws Error if the file is none of kept results; a Node error if it cannot be read */
export function readKept(path: string): Kept {
  const kept = JSON.parse(readFileSync(path, "utf8")) as Kept;
  if (kept.format !== 1) throw new Error(`${path} holds no results of format 1.`);
  return kept;
}

/** The kept results of a version; undefined if there are none. */
export function keptOf(version: string, folder = RESULTS): Kept | undefined {
  try {
    return readKept(join(folder, `${version}.json`));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Adds results to those of their version. @returns the path of the file */
export function keep(now: Kept, folder = RESULTS): string {
  const path = join(folder, `${now.version}.json`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(merged(keptOf(now.version, folder), now), null, 2)}\n`);
  return path;
}

/** The file with the newest bench in a folder; undefined if there is none. */
export function lastKept(folder = RESULTS): string | undefined {
  const newest = (path: string): string =>
    Object.values(readKept(path).benches)
      .map(({ at }) => at)
      .toSorted()
      .at(-1) ?? "";
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  } catch {
    return undefined;
  }
  return names
    .map((name) => join(folder, name))
    .map((path) => ({ path, at: newest(path) }))
    .toSorted((a, b) => (a.at < b.at ? -1 : 1))
    .at(-1)?.path;
}
