/** Reads the orders. A line that is no order is set aside and does not stop the others. */
import { readFile } from "node:fs/promises";
import type { StepContext } from "orchd";

export interface Order {
  readonly day: string;
  readonly country: string;
  readonly amount: number;
}

/** A line that is no order; `line` counts from 1, as editors do. */
export interface Rejected {
  readonly line: number;
  readonly text: string;
}

export default async function extract({ params }: StepContext<{ file: string }>) {
  // Paths in a pipeline file start at its folder, which is the one above this file's.
  const text = await readFile(new URL(`../${params.file}`, import.meta.url), "utf8");
  const orders: Order[] = [];
  const rejected: Rejected[] = [];
  for (const [index, line] of text.trimEnd().split("\n").entries()) {
    if (index === 0) continue; // the names of the columns
    const order = /^(\d{4}-\d\d-\d\d),([A-Z]{2}),(\d+(?:\.\d+)?)$/.exec(line);
    if (order === null) rejected.push({ line: index + 1, text: line });
    else orders.push({ day: order[1]!, country: order[2]!, amount: Number(order[3]) });
  }
  return { orders, rejected };
}
