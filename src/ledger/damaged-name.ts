/** What is kept of a damaged ledger, and its name beside it: `LEDGER.damaged-N`, N from 1. */
import { statSync } from "node:fs";
import { isThere } from "../disk/path-fault.ts";

/** The damage that opening a ledger found, and what it did about it. */
export interface KeptDamage {
  /** The first bad line, from 1, and what is wrong with it. */
  readonly line: number;
  readonly fault: string;
  /** Where the damaged file is now. */
  readonly keptAs: string;
}

const DAMAGED = /^(.+\.jsonl)\.damaged-(\d+)$/;

/** The Nth name beside a ledger. */
export function damagedName(path: string, n: number): string {
  return `${path}.damaged-${n}`;
}

/** The name of the ledger whose damaged file has this name; undefined: it is no such name. */
export function ledgerOfDamaged(name: string): string | undefined {
  return DAMAGED.exec(name)?.[1];
}

/** The names of a ledger's damaged files, the newest first. @param names those of a folder */
export function damagedNamesOf(ledger: string, names: readonly string[]): string[] {
  const numberOf = (name: string): number => Number(DAMAGED.exec(name)?.[2]);
  return names
    .filter((name) => ledgerOfDamaged(name) === ledger)
    .toSorted((a, b) => numberOf(b) - numberOf(a));
}

/** The first name that is free. */
export function freeDamagedName(path: string): string {
  let n = 1;
  while (isThere(damagedName(path, n))) n += 1;
  return damagedName(path, n);
}

/**
 * The first name that is free, or that this file has already: a crash may have come after it got
 * that name.
 */
export function ownDamagedName(path: string): string {
  const own = statSync(path).ino;
  for (let n = 1; ; n += 1) {
    const there = statSync(damagedName(path, n), { throwIfNoEntry: false });
    if (there === undefined || there.ino === own) return damagedName(path, n);
  }
}
