/** What {@link defined} returns: members that may be undefined become optional members. */
type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/**
 * Leaves out the undefined members. The others keep their order.
 *
 * An absent member and an undefined one differ: in JSON's types, for `in` and in spreads. With
 * `exactOptionalPropertyTypes` the compiler checks that difference.
 */
export function defined<const T extends object>(members: T): Defined<T> {
  const kept: { [name: string]: unknown } = {};
  for (const [name, value] of Object.entries(members)) if (value !== undefined) kept[name] = value;
  return kept as Defined<T>;
}
