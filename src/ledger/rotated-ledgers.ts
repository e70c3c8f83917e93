/** The older files of a pipeline's ledger: rotation gave each the name of its day, and a number. */
const ROTATED = /^pipeline-(\d{4}-\d\d-\d\d)(?:-(\d+))?\.jsonl$/;

/** The names among these that rotation gave, the newest first: of one day, the highest number. */
export function rotatedLedgers(names: readonly string[]): string[] {
  return names
    .flatMap((name) => {
      const [, date, nth = "1"] = ROTATED.exec(name) ?? [];
      return date === undefined ? [] : [{ name, date, nth: Number(nth) }];
    })
    .toSorted((a, b) => (a.date === b.date ? b.nth - a.nth : a.date < b.date ? 1 : -1))
    .map(({ name }) => name);
}

/** Whether rotation gave this name. */
export function isRotatedLedger(name: string): boolean {
  return ROTATED.test(name);
}
