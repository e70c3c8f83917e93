/** The older files of a ledger: rotation gave each the name of its day, and a number. */
const ROTATED = /^(pipeline|notify)-(\d{4}-\d\d-\d\d)(?:-(\d+))?\.jsonl$/;

/**
 * The names among these that rotation gave a pipeline's ledgers, the newest first: of one day, the
 * highest number.
 */
export function rotatedLedgers(names: readonly string[]): string[] {
  return newestFirst(names.filter(isRotatedLedger));
}

/** The same of `notify.jsonl`. */
export function rotatedNotify(names: readonly string[]): string[] {
  return newestFirst(names.filter(isRotatedNotify));
}

/** Whether rotation gave a pipeline's ledger this name. */
export function isRotatedLedger(name: string): boolean {
  return ROTATED.exec(name)?.[1] === "pipeline";
}

/** Whether rotation gave `notify.jsonl` this name. */
export function isRotatedNotify(name: string): boolean {
  return ROTATED.exec(name)?.[1] === "notify";
}

/** Names that rotation gave one ledger, the newest first. */
export function newestFirst(names: readonly string[]): string[] {
  return names
    .map((name) => ({ name, date: ROTATED.exec(name)?.[2] ?? "", nth: numberOf(name) }))
    .toSorted((a, b) => (a.date === b.date ? b.nth - a.nth : a.date < b.date ? 1 : -1))
    .map(({ name }) => name);
}

/** The how many-th of its day a file is that rotation renamed, from 1. */
export function numberOf(name: string): number {
  return Number(ROTATED.exec(name)?.[3] ?? 1);
}
