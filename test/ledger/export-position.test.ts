/** Which text of `.orchd/otlp.json` is a position. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { keepExportPosition, readExportPosition } from "../../src/ledger/export-position.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function storeWith(text?: string): RunStore {
  const store = new RunStore(tempRoot().runs);
  mkdirSync(store.orchdDir, { recursive: true });
  if (text !== undefined) writeFileSync(join(store.orchdDir, "otlp.json"), text);
  return store;
}

it.each<[string | undefined, object]>([
  [undefined, { kind: "none" }],
  ['{"format":1,"position":"p"}', { kind: "position", position: "p" }],
  ['{"format":1,"at":"x","position":"p","more":1}', { kind: "position", position: "p" }],
  ['{"format":2,"position":"p"}', { kind: "unusable" }],
  ['{"format":"1","position":"p"}', { kind: "unusable" }],
  ['{"position":"p"}', { kind: "unusable" }],
  ['{"format":1}', { kind: "unusable" }],
  ['{"format":1,"position":5}', { kind: "unusable" }],
  ['{"format":1,"position":"p"', { kind: "unusable" }],
  ["", { kind: "unusable" }],
  ["null", { kind: "unusable" }],
  ["[]", { kind: "unusable" }],
])("%j is %j", (text, stored) => {
  expect(readExportPosition(storeWith(text))).toEqual(stored);
});

it("a position that is kept replaces the one before", async () => {
  const store = storeWith();
  const clock = new VirtualClock({ start: "2026-11-23T02:00:00Z" });
  for (const position of ["a", "b"]) await keepExportPosition(store, position, clock);
  expect(readExportPosition(store)).toEqual({ kind: "position", position: "b" });
  expect(readFileSync(join(store.orchdDir, "otlp.json"), "utf8")).toBe(
    '{"format":1,"at":"2026-11-23T02:00:00.000Z","position":"b"}\n',
  );
});
