/** The tables that benches print. */
import { expect, it } from "vitest";
import type { Row } from "../../bench/row.ts";
import { digits, tableOf } from "../../bench/table.ts";

it("gives a figure as many digits as it deserves", () => {
  expect([0.1234, 1.26, 12.34, 123.4, 12_345.6, Number.NaN].map(digits)).toEqual([
    "0.12",
    "1.26",
    "12.3",
    "123",
    "12,346",
    "–",
  ]);
});

it("puts wall time and processor time beside each other, each with its ratio", () => {
  const rows: Row[] = [
    {
      what: "a step",
      unit: "ms",
      orchd: { name: "chain", samples: [1.2], cpuUs: [1_500] },
      beside: { name: "raw", samples: [0.8], cpuUs: [500] },
      goal: { of: "ratio", atMost: 1.3 },
    },
    {
      what: "steps",
      unit: "steps/s",
      orchd: { name: "fan", samples: [2_500] },
      goal: { of: "orchd", atLeast: 2_000 },
    },
  ];
  rows.push({
    what: "requests",
    unit: "files",
    orchd: { name: "late", samples: [0] },
    beside: { name: "early", samples: [0] },
  });
  const lines = tableOf(rows).split("\n");
  expect(lines).toHaveLength(5);
  expect(new Set(lines.map((line) => line.length)).size).toBe(1);
  expect(lines.map((line) => line.replaceAll(/ +/g, " "))).toEqual([
    "| what | beside it | goal | wall time, rate or size | CPU | |",
    expect.stringMatching(/^\|(-+\|){6}$/),
    "| a step | raw | at most 1.30x | 1.50x: 1.20 ms beside 0.80 ms " +
      "| 3.00x: 1.50 ms beside 500 µs | **missed** |",
    "| steps | – | at least 2,000 steps/s | 2,500 steps/s | – | reached |",
    "| requests | early | – | 0.00 files beside 0.00 files | – | |",
  ]);
});
