/** Which messages of a far side are taken: those with each member of their kind, in its shape. */
import { expect, it } from "vitest";
import { isFromFar, isFromRunner } from "../../src/places/pool/wire.ts";

const GOOD = [
  { type: "hello", protocol: 1, version: "1.2.3", node: "20.1.0", platform: "linux/x64" },
  { type: "ready", folder: "/f" },
  { type: "beat", number: 4 },
  { type: "has", name: "bundles/a" },
  { type: "lacks", name: "bundles/a" },
  { type: "cannot", name: "bundles/a", because: "the disk is full" },
  { type: "piece", id: "r#1", file: 0, data: "eA==", last: true },
  { type: "over", detail: "x", outOfMemory: false },
];

it.each(GOOD)("%j is one", (message) => {
  expect(isFromFar(message)).toBe(true);
  expect(isFromFar({ ...message, more: 1 })).toBe(true);
});

it.each(
  GOOD.flatMap((message) =>
    Object.keys(message).flatMap((key) =>
      [undefined, null, [], {}, Number.NaN].map((value) => ({ ...message, [key]: value })),
    ),
  ),
)("%j is none", (message) => {
  expect(isFromFar(message)).toBe(false);
});

it.each([{ type: "other" }, {}, { type: "piece", id: "r", file: 0.5, data: "", last: true }])(
  "%j is none",
  (message) => {
    expect(isFromFar(message)).toBe(false);
  },
);

it("ends that are packed are taken whole, and in their shape", () => {
  const end: readonly unknown[] = ["r@1#2", "null", 0.2, 1_700_000_000_000];
  for (const ends of [[], end, [...end, ...end]])
    expect(isFromRunner({ type: "ends", ends }), JSON.stringify(ends)).toBe(true);
  const cut = [end.slice(1), [...end, "r@1#3"], undefined, {}, "r@1#2"];
  const turned = end.flatMap((_, at) =>
    [null, true, {}, typeof end[at] === "string" ? 1 : "1"].map((value) => end.with(at, value)),
  );
  for (const ends of [...cut, ...turned, ...turned.map((one) => [...end, ...one])])
    expect(isFromRunner({ type: "ends", ends }), JSON.stringify(ends)).toBe(false);
});
