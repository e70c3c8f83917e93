/**
 * From the lists that `run.map` and `run.product` get to the inputs of each invocation. An error
 * about a list uses the words of the call.
 */
import { countText } from "../core/counted.ts";
import { isUnmapped } from "./authoring.ts";

/** One input: its items, or without items the value that every invocation gets. */
export interface MappedInput {
  readonly name: string;
  readonly items: readonly unknown[] | undefined;
  readonly value?: unknown;
}

/**
 * Makes the inputs of each invocation from the lists.
 *
 * @param step the step's name, for errors
 * @throws Error if the lists cannot be combined
 */
export type Combine = (
  lists: readonly MappedInput[],
  step: string,
) => { [input: string]: unknown }[];

/**
 * Reads what a call gave for an input.
 *
 * @throws Error if that is neither a list with items nor `unmapped()`
 */
export function mappedInput(input: string, value: unknown, step: string): MappedInput {
  if (isUnmapped(value)) return { name: input, items: undefined, value: value.value };
  if (!Array.isArray(value))
    throw new Error(
      `"${step}": the input "${input}" is no list; ` +
        "if every invocation gets the same value, wrap it in unmapped()",
    );
  if (value.length === 0)
    throw new Error(
      `"${step}": the input "${input}" is an empty list, so there is nothing to map over`,
    );
  return { name: input, items: value };
}

/**
 * The first items of all lists, the second items, and so on.
 *
 * @throws Error if the lists are not equally long, or if there is none
 */
export function zip(lists: readonly MappedInput[], step: string): { [input: string]: unknown }[] {
  const mapped = lists.filter((list) => list.items !== undefined);
  const first = mapped[0];
  if (first === undefined)
    throw new Error(`"${step}" has nothing to map over: every input is unmapped()`);
  const odd = mapped.find((list) => list.items!.length !== first.items!.length);
  if (odd !== undefined) {
    throw new Error(
      `"${step}": the inputs "${first.name}" (${countText(first.items!.length, "item")}) and ` +
        `"${odd.name}" (${odd.items!.length}) have to be equally long; ` +
        "use run.product for every combination",
    );
  }
  return first.items!.map((_, index) =>
    Object.fromEntries(
      lists.map((list) => [list.name, list.items === undefined ? list.value : list.items[index]]),
    ),
  );
}

/** Every combination of items; the last list changes fastest. @throws Error if there is no list */
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
