/**
 * The name that a misspelt one probably means, found by the compiler. It looks for at most two
 * letters that are missing, added, changed or swapped, as core/did-you-mean.ts does at run time.
 */

/** The texts without what they begin with in common. */
type WithoutCommonStart<A extends string, B extends string> = A extends `${infer X}${infer RestA}`
  ? B extends `${X}${infer RestB}`
    ? WithoutCommonStart<RestA, RestB>
    : [A, B]
  : [A, B];
type Tail<T extends string> = T extends `${string}${infer Rest}` ? Rest : "";
/** The texts without two letters that are swapped. */
type WithoutSwap<
  A extends string,
  B extends string,
> = A extends `${infer X}${infer Y}${infer RestA}`
  ? B extends `${Y}${X}${infer RestB}`
    ? [RestA, RestB]
    : never
  : never;

/** Whether at most as many edits as `Left` is long make one text of the other. */
type IsWithin<A extends string, B extends string, Left extends readonly unknown[]> =
  WithoutCommonStart<A, B> extends [infer P extends string, infer Q extends string]
    ? [P, Q] extends ["", ""]
      ? true
      : Left extends readonly [unknown, ...infer Fewer]
        ? true extends
            | IsWithin<Tail<P>, Q, Fewer>
            | IsWithin<P, Tail<Q>, Fewer>
            | IsWithin<Tail<P>, Tail<Q>, Fewer>
            | (WithoutSwap<P, Q> extends [infer R extends string, infer S extends string]
                ? IsWithin<R, S, Fewer>
                : false)
          ? true
          : false
        : false
    : false;

type Within<
  Name extends string,
  Known extends string,
  Edits extends readonly unknown[],
> = Known extends string ? (IsWithin<Name, Known, Edits> extends true ? Known : never) : never;

/** The members of `Known` that are nearest to `Name`; never where none is near. */
export type Nearest<Name extends string, Known extends string> = [
  Within<Name, Known, [1]>,
] extends [never]
  ? Within<Name, Known, [1, 2]>
  : Within<Name, Known, [1]>;
