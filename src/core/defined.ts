/** What {@link defined} gives: members that may be undefined become members that may be absent. */
type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/**
 * Leaves out the members that are undefined; the others keep their order.
 *
 * An absent member and one that is undefined differ in JSON's types, in `in` and in spreads, and
 * `exactOptionalPropertyTypes` holds the code to the difference.
 */
export function defined<const T extends object>(members: T): Defined<T> {
  const kept: { [name: string]: unknown } = {};
  for (const [name, value] of Object.entries(members)) if (value !== undefined) kept[name] = value;
  return kept as Defined<T>;
}
