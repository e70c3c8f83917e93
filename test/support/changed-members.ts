/** What an event changes in a state, member by member: what a test does not expect shows. */

/** A state as plain values: maps become objects, sets lists. */
function plainOf(value: unknown): unknown {
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, member]) => [String(key), plainOf(member)]));
  if (value instanceof Set) return [...value].map(plainOf);
  if (Array.isArray(value)) return value.map(plainOf);
  if (value === null || typeof value !== "object") return value;
  const { pack } = value as { pack?: unknown };
  if (typeof pack === "function") return plainOf(pack.call(value));
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plainOf(member)]));
}

/** Each member by its path, `steps.a.status`. Lists, and what is empty, are one member. */
function membersOf(value: unknown, path: string, into: Map<string, unknown>): void {
  const isMap = value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isMap || Object.keys(value).length === 0) return void into.set(path, value);
  for (const [name, member] of Object.entries(value))
    if (member !== undefined) membersOf(member, path === "" ? name : `${path}.${name}`, into);
}

/** A state as it is now: what is done to the state later does not change it. */
export function seen(state: unknown): ReadonlyMap<string, unknown> {
  const members = new Map<string, unknown>();
  membersOf(structuredClone(plainOf(state)), "", members);
  return members;
}

/** The members that are new, other, or gone. */
export function changedMembers(
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
): Record<string, unknown> {
  const changed: Record<string, unknown> = {};
  for (const [path, value] of after)
    if (JSON.stringify(before.get(path)) !== JSON.stringify(value)) changed[path] = value;
  for (const path of before.keys()) if (!after.has(path)) changed[path] = "gone";
  return changed;
}
