import { expect, it } from "vitest";
import { CacheEntryText } from "../../src/ledger/cache-entry-text.ts";

const KEY = "0123456789abcdef".repeat(4);

it("gives the text and the bytes of JSON.stringify", () => {
  const text = new CacheEntryText();
  const entries = [
    { key: KEY, run: "etl@20261128T040505Z", step: "s0", at: "2026-11-28T04:05:06.007Z", prev: -1 },
    { key: KEY, run: "etl@20261128T040505Z", step: "s1", at: "2026-11-28T04:05:06.007Z", prev: 0 },
    { key: KEY, run: "etl@20261128T040506Z", step: 'lä"ß\n😀', at: "später", prev: 4_294_967_000 },
    {
      key: KEY,
      run: "ä@20261128T040506Z",
      step: "\ud800",
      at: "2026-11-28T04:05:06.007Z",
      prev: 7,
    },
    { key: KEY, run: "", step: "", at: "", prev: 12 },
  ];
  for (const { key, run, step, at, prev } of entries) {
    const line = text.line(key, run, step, at, prev);
    expect(line).toBe(`${JSON.stringify({ key, run, step, at, prev })}\n`);
    expect(text.bytes).toBe(Buffer.byteLength(line));
  }
});
