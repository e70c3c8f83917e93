import { describe, expect, it } from "vitest";
import { parseRequest } from "../../src/core/request.ts";
import { RequestQueue, subjectOf, type WaitingRequest } from "../../src/engine/request-queue.ts";

const waits = (id: string, subject: string, owner = 0): WaitingRequest => ({
  id,
  owner,
  subject,
  writtenAt: 0,
  bytes: 10,
  left: false,
});

/** The ids in the order in which they are taken; each is done before the next is taken. */
function order(requests: readonly WaitingRequest[]): string[] {
  const queue = new RequestQueue();
  for (const request of requests) queue.add(request);
  const taken: string[] = [];
  for (let next = queue.take(); next !== undefined; next = queue.take()) {
    taken.push(next.id);
    queue.done(next);
  }
  return taken;
}

/** Takes without end; nothing that was taken is done. */
function takeAll(queue: RequestQueue): WaitingRequest[] {
  const taken: WaitingRequest[] = [];
  for (let next = queue.take(); next !== undefined; next = queue.take()) taken.push(next);
  return taken;
}

describe("the queue of requests", () => {
  it("takes the requests of one pipeline in their order, however many", () => {
    const ids = Array.from({ length: 3_000 }, (_, n) => `r${n}`);
    expect(order(ids.map((id) => waits(id, "p")))).toEqual(ids);
  });

  it("lets a second pipeline have its turn after one request of the first", () => {
    const flood = Array.from({ length: 100 }, (_, n) => waits(`f${n}`, "p"));
    expect(order([...flood, waits("mine", "q")]).indexOf("mine")).toBe(1);
  });

  it("lets a second user have a turn, whatever subjects the first one fills", () => {
    const flood = Array.from({ length: 100 }, (_, n) => waits(`f${n}`, `p${n}`, 1));
    expect(order([...flood, waits("mine", "p0", 2)]).indexOf("mine")).toBe(1);
  });

  it("goes round: nobody is passed over", () => {
    expect(
      order(["a1 a", "a2 a", "b1 b", "c1 c", "a3 a"].map((one) => waits(one.slice(0, 2), one[3]!))),
    ).toEqual(["a1", "b1", "c1", "a2", "a3"]);
  });

  it("leaves room for others where the requests of a subject take long", () => {
    const queue = new RequestQueue();
    for (let n = 0; n < 1_000; n += 1) queue.add(waits(`f${n}`, "hangs"));
    const taken = takeAll(queue);
    expect(taken).toHaveLength(64);
    queue.add(waits("mine", "q"));
    expect(takeAll(queue).map(({ id }) => id)).toEqual(["mine"]);
    queue.done(taken[0]!);
    expect(takeAll(queue).map(({ id }) => id)).toEqual(["f64"]);
  });

  it("has no more of a subject under way, however often none of it waited meanwhile", () => {
    const queue = new RequestQueue();
    for (let n = 0; n < 64; n += 1) queue.add(waits(`f${n}`, "p"));
    const [first, ...others] = takeAll(queue);
    queue.done(first!);
    for (let n = 0; n < 64; n += 1) queue.add(waits(`g${n}`, "p"));
    expect(takeAll(queue).map(({ id }) => id)).toEqual(["g0"]);
    for (const taken of others.slice(0, 2)) queue.done(taken);
    expect(takeAll(queue).map(({ id }) => id)).toEqual(["g1", "g2"]);
  });

  it("has one prune, repair or rebuild under way at a time", () => {
    const subject = subjectOf(readOf({ type: "prune" }), () => undefined);
    expect(subjectOf(readOf({ type: "rebuild" }), () => undefined)).toBe(subject);
    const queue = new RequestQueue();
    for (const id of ["a", "b"]) queue.add(waits(id, subject));
    const [first, ...more] = takeAll(queue);
    expect([first?.id, more]).toEqual(["a", []]);
    queue.done(first!);
    expect(takeAll(queue).map(({ id }) => id)).toEqual(["b"]);
  });

  it("keeps nothing of subjects that are over", () => {
    const queue = new RequestQueue();
    for (let n = 0; n < 10; n += 1) queue.add(waits(`f${n}`, `p${n}`, n));
    for (const taken of takeAll(queue)) queue.done(taken);
    expect(takeAll(queue)).toEqual([]);
    queue.add(waits("later", "p3", 3));
    expect(takeAll(queue).map(({ id }) => id)).toEqual(["later"]);
  });
});

describe("a subject", () => {
  it("is the pipeline that a request is about", () => {
    const subjects = [
      { type: "submit", pipeline: "p" },
      { type: "pause", pipeline: "p" },
      { type: "resume", pipeline: "p" },
      { type: "silence", pipeline: "p", until: null },
      { type: "stop", run: "p@20260101T000000Z" },
      { type: "rerun", run: "p@20260101T000000Z-r1" },
      { type: "backfill", pipeline: "p", from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z" },
    ].map((request) => subjectOf(readOf(request), () => undefined));
    expect(new Set(subjects)).toEqual(new Set(["p"]));
  });

  it("of a cancelled backfill is that of the backfill", () => {
    const cancel = readOf({ type: "cancel_backfill", id: "b1" });
    expect(subjectOf(cancel, (id) => (id === "b1" ? "p" : undefined))).toBe("p");
  });

  it("of what is no request is no pipeline's", () => {
    expect(subjectOf(readOf({ type: "explode" }), () => undefined)).toMatch(/^ /);
  });
});

function readOf(value: unknown): Parameters<typeof subjectOf>[0] {
  return { id: "r", owner: 0, writtenAt: 0, bytes: 1, ...parseRequest(value) };
}
