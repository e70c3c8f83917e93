/**
 * Which of several files that claim a pipeline's name holds it.
 *
 * The file that the pipeline was last loaded from keeps the name, whatever its own name is and
 * however bad it is now: a stray copy beside it (a backup, a sync conflict) changes nothing. If it
 * is gone, a good file takes over: first one that says the same as it did (it was renamed), then
 * the first by file name.
 */

/** A file that claims the name. */
export interface NameClaim {
  readonly path: string;
  /** The digest of what it says. Undefined while it cannot be read. */
  readonly digest?: string | undefined;
}

/** What the pipeline's ledger says of the version in force. */
export interface InForce {
  readonly file?: string | undefined;
  readonly digest?: string | undefined;
  readonly removed: boolean;
}

/**
 * The claim that holds the name. Undefined if none does: all are bad, and none was in force.
 *
 * @param inForce undefined if the pipeline has no ledger
 */
export function nameHolder<Claim extends NameClaim>(
  claims: readonly Claim[],
  inForce: InForce | undefined,
): Claim | undefined {
  const holder = claims.find(({ path }) => wasInForce(inForce, path));
  if (holder !== undefined) return holder;
  const before = inForce?.removed === true ? undefined : inForce?.digest;
  const good = claims.filter(({ digest }) => digest !== undefined);
  const same = good.filter(({ digest }) => digest === before);
  return (same.length > 0 ? same : good).toSorted(byName)[0];
}

/** Whether the pipeline was last loaded from this file: then it holds the name, good or bad. */
export function wasInForce(inForce: InForce | undefined, path: string): boolean {
  if (inForce === undefined || inForce.removed || inForce.digest === undefined) return false;
  return isSameFile(inForce.file, path);
}

/**
 * Whether a recorded path is that of this pipeline file. Pipeline files lie side by side, so their
 * own names tell them apart, after a move of the folder too.
 */
export function isSameFile(recorded: string | undefined, path: string): boolean {
  return recorded !== undefined && ownName(recorded) === ownName(path);
}

function byName(a: NameClaim, b: NameClaim): number {
  const [one, other] = [ownName(a.path), ownName(b.path)];
  if (one !== other) return one < other ? -1 : 1;
  return a.path < b.path ? -1 : 1;
}

function ownName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
