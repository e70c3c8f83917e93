/**
 * From the lists that `run.map` and `run.product` are given to the inputs of each call. What is
 * wrong with a list is said in the words of the call.
 */
import { isUnmapped } from "./authoring.ts";

/** One input: its items, or (without items) the value that every call gets. */
export interface MappedInput {
  readonly name: string;
  readonly items: readonly unknown[] | undefined;
  readonly value?: unknown;
}

/**
 * How lists become calls; `step` is for the messages. @throws Error, a sentence, where they cannot
 */
export type Combine = (
  lists: readonly MappedInput[],
  step: string,
) => { [input: string]: unknown }[];

/**
 * Takes what a call gave for an input. @throws Error, a sentence, where that is neither a list with
 * something in it nor `unmapped()`
 */
export function mappedInput(input: string, value: unknown, step: string): MappedInput {
  if (isUnmapped(value)) return { name: input, items: undefined, value: value.value };
  if (!Array.isArray(value))
    throw new Error(
      `"${step}": the input "${input}" is no list; wrap a value that every invocation is to get in unmapped()`,
    );
  if (value.length === 0)
    throw new Error(
      `"${step}": the input "${input}" is an empty list, so there is nothing to map over`,
    );
  return { name: input, items: value };
}

/**
 * The first of each list, the second of each, and so on. @throws Error, a sentence, where they are
 * not equally long
 */
export function zip(lists: readonly MappedInput[], step: string): { [input: string]: unknown }[] {
  const mapped = lists.filter((list) => list.items !== undefined);
  const first = mapped[0];
  if (first === undefined)
    throw new Error(`"${step}" has nothing to map over: every input is unmapped()`);
  const odd = mapped.find((list) => list.items!.length !== first.items!.length);
  if (odd !== undefined) {
    throw new Error(
      `"${step}": the inputs "${first.name}" (${first.items!.length} items) and "${odd.name}" (${odd.items!.length}) have to be equally long; use run.product for every combination`,
    );
  }
  return first.items!.map((_, index) =>
    Object.fromEntries(
      lists.map((list) => [list.name, list.items === undefined ? list.value : list.items[index]]),
    ),
  );
}

/** Every combination; the last list changes fastest. */
export function cartesian(
  lists: readonly MappedInput[],
  step: string,
): { [input: string]: unknown }[] {
  if (lists.every((list) => list.items === undefined))
    throw new Error(`"${step}" has nothing to map over: every input is unmapped()`);
  let combinations: { [input: string]: unknown }[] = [{}];
  for (const list of lists) {
    combinations = combinations.flatMap((so) =>
      (list.items ?? [list.value]).map((value) => ({ ...so, [list.name]: value })),
    );
  }
  return combinations;
}
