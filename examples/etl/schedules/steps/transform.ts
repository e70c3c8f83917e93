/** Sums the orders by country. It reads nothing but its input, so its result can be cached. */
import type { Loose, StepContext } from "orchd";
import type { Order } from "./extract.ts";

export interface Row {
  readonly country: string;
  readonly orders: number;
  readonly amount: number;
}

export default function transform({ inputs }: StepContext<Loose, { orders: Order[] }>): Row[] {
  const rows = new Map<string, Row>();
  for (const { country, amount } of inputs.orders) {
    const row = rows.get(country) ?? { country, orders: 0, amount: 0 };
    rows.set(country, { country, orders: row.orders + 1, amount: row.amount + amount });
  }
  return [...rows.values()]
    .map((row) => ({ ...row, amount: Math.round(row.amount * 100) / 100 }))
    .sort((a, b) => a.country.localeCompare(b.country));
}
