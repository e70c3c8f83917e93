/** One run's ledger as a feed reads it, after a cut. */
import { truncateSync } from "node:fs";
import { crc32 } from "node:zlib";
import { expect, it } from "vitest";
import { FeedPosition } from "../../src/feed/feed-position.ts";
import { RunSource } from "../../src/feed/run-source.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { ledgerText, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261128T020000Z";
const EVENTS: readonly HandEvent[] = ["run.submitted", "run.started", "a", "b"].map((type) => ({
  type,
}));

it("says that lines were cut with the first line after the cut, and with no other", () => {
  const { runs } = tempRoot();
  writeRun(runs, RUN, EVENTS);
  const store = new RunStore(runs);
  const source = new RunSource(store, RUN);
  const taken: [string, boolean][] = [];
  const takeAll = (): void => {
    while (source.fill(FeedPosition.start)) {
      const { isCut } = source;
      taken.push([source.take().type, isCut]);
    }
  };
  takeAll();
  expect(taken.splice(0)).toEqual(EVENTS.map(({ type }) => [type, false]));
  // A repair cuts the last two lines off, and the run goes on.
  truncateSync(store.runLedger(RUN), Buffer.byteLength(ledgerText(EVENTS.slice(0, 2))));
  writeRun(runs, RUN, [...EVENTS.slice(0, 2), { type: "c" }, { type: "d" }, { type: "e" }]);
  takeAll();
  expect(taken).toEqual([
    ["c", true],
    ["d", false],
    ["e", false],
  ]);
  expect(source.key).toBe(crc32(RUN));
});
