/** Which ledger's next line comes first. */
import { describe, expect, it } from "vitest";
import { SourceOrder, type Source } from "../../src/feed/source-order.ts";

interface Made {
  readonly name: string;
  readonly run: string | undefined;
  order: string;
  head: { at: string };
}

const source = (name: string, at: string, run?: string): Made => ({
  name,
  run,
  order: "",
  head: { at: `2026-11-28T02:00:${at}.000Z` },
});
const put = (order: SourceOrder, ...made: readonly Made[]): void => {
  for (const one of made) order.put(one as unknown as Source);
};
/** The names in their order; each is taken once. */
function taken(order: SourceOrder): string[] {
  const names: string[] = [];
  for (let first = order.first; first !== undefined; first = order.first) {
    names.push((first as unknown as Made).name);
    order.remove(first);
  }
  return names;
}

describe("ledgers whose next line is there", () => {
  it("come by the time of that line, however they were put", () => {
    const order = new SourceOrder();
    put(order, source("c", "03"), source("a", "01"), source("d", "04"), source("b", "02"));
    expect(taken(order)).toEqual(["a", "b", "c", "d"]);
    expect(order.first).toBeUndefined();
  });

  it("come with the pipeline's line last, of one moment", () => {
    const order = new SourceOrder();
    put(order, source("pipeline", "01"), source("run", "01", "p@x"), source("later", "02", "p@y"));
    expect(taken(order)).toEqual(["run", "pipeline", "later"]);
  });

  it("stay behind what they have given, where the clock went back", () => {
    const order = new SourceOrder();
    const back = source("back", "05", "p@x");
    put(order, back);
    back.head = { at: "2026-11-28T02:00:01.000Z" };
    put(order, back, source("other", "03", "p@y"));
    expect(taken(order)).toEqual(["other", "back"]);
    expect(back.order).toBe("2026-11-28T02:00:05.000Z");
  });

  it("are there once, however often they are put", () => {
    const order = new SourceOrder();
    const twice = source("twice", "01", "p@x");
    put(order, twice, source("other", "02", "p@y"));
    twice.head = { at: "2026-11-28T02:00:03.000Z" };
    put(order, twice);
    expect(taken(order)).toEqual(["other", "twice"]);
  });

  it("may be removed where they are not there", () => {
    const order = new SourceOrder();
    put(order, source("a", "01"));
    order.remove(source("b", "01") as unknown as Source);
    expect(taken(order)).toEqual(["a"]);
  });
});
