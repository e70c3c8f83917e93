/** The desk that takes requests to the daemon: what is one request, and what is refused. */
import { PassThrough } from "node:stream";
import type { IncomingMessage } from "node:http";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { writeReply } from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { Refusal } from "../../src/page/server/problem.ts";
import { RequestDesk } from "../../src/page/server/request-desk.ts";
import { requestsIn } from "../support/fake-daemon.ts";
import { tempRoot } from "../support/temp-root.ts";

const MOST_BYTES = 1_048_576;
const PAUSE = { type: "pause", pipeline: "p" };

let runs: string;
let store: RunStore;
let desk: RequestDesk;
beforeEach(() => {
  ({ runs } = tempRoot());
  store = new RunStore(runs);
  desk = new RequestDesk(store);
});

/** What comes over HTTP. @param parts as they come */
function incoming(parts: readonly (string | Buffer)[], length?: number): IncomingMessage {
  const stream = new PassThrough();
  for (const part of parts) stream.write(part);
  stream.end();
  const headers = length === undefined ? {} : { "content-length": String(length) };
  return Object.assign(stream, { headers }) as unknown as IncomingMessage;
}

/** What is answered, or the status and the sentence of its refusal. */
async function answer(given: IncomingMessage, key?: string): Promise<unknown> {
  try {
    return await desk.take(given, key);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return [error.problem.status, error.problem.detail];
  }
}
const take = (request: object, key?: string): Promise<unknown> =>
  answer(incoming([JSON.stringify(request)]), key);
const body = (parts: (string | Buffer)[], length?: number): Promise<unknown> =>
  answer(incoming(parts, length));

describe("a request", () => {
  it("is left with who asks, where it does not say so itself", async () => {
    const taken = await take(PAUSE);
    expect(taken).toEqual({ id: expect.any(String), type: "pause", state: "open" });
    await take({ ...PAUSE, by: "curl:ann" }, "b");
    expect(
      requestsIn(runs)
        .map(({ by }) => by)
        .toSorted(),
    ).toEqual(["curl:ann", "page"]);
  });

  it("that is sent again under its id is one, by whatever order of its keys", async () => {
    const open = { id: "k1", type: "pause", state: "open" };
    expect(await take(PAUSE, '"k1"')).toEqual(open);
    expect(await take({ pipeline: "p", type: "pause" }, "k1")).toEqual(open);
    expect(readdirSync(store.requests)).toEqual(["k1.json"]);
    expect(await take({ ...PAUSE, by: "x" }, "k1")).toEqual([
      409,
      'the id "k1" is another request\'s; take an id of its own.',
    ]);
    const submit = (params: object): object => ({ type: "submit", pipeline: "p", params });
    await take(submit({ a: 1, b: 2 }), "k3");
    expect(await take(submit({ b: 2, a: 1 }), "k3")).toMatchObject({ id: "k3", state: "open" });
    expect(await take(submit({ b: 2, a: 2 }), "k3")).toMatchObject([409, expect.any(String)]);
    // Another page, or this one once it was started again, knows it by its file.
    desk = new RequestDesk(store);
    expect(await take(PAUSE, "k1")).toEqual(open);
    expect(await take({ ...PAUSE, type: "resume" }, "k1")).toMatchObject([
      409,
      expect.stringMatching(/another/),
    ]);
    writeFileSync(join(store.requests, "k2.json"), "half");
    expect(await take(PAUSE, "k2")).toMatchObject([409, expect.stringMatching(/another/)]);
  });

  it("that was answered is not left again", async () => {
    await take(PAUSE, "yes");
    await take(PAUSE, "no");
    rmSync(store.requests, { recursive: true });
    await writeReply(runs, "yes", { accepted: true });
    await writeReply(runs, "no", { accepted: false, reason: "x" });
    expect(await take(PAUSE, "yes")).toEqual({ id: "yes", type: "pause", state: "accepted" });
    expect(await take(PAUSE, "no")).toEqual({ id: "no", type: "pause", state: "refused" });
    expect(await take({ ...PAUSE, type: "resume" }, "yes")).toMatchObject([
      409,
      expect.stringMatching(/another/),
    ]);
    expect(requestsIn(runs)).toEqual([]);
  });

  it("that comes with another one at once under its id is the one that is left", async () => {
    const answers = await Promise.all([take(PAUSE, "k"), take({ ...PAUSE, type: "resume" }, "k")]);
    const refused = answers.filter((one) => Array.isArray(one));
    expect(refused).toEqual([[409, expect.stringMatching(/another request's/)]]);
    const [left] = answers.filter((one) => !Array.isArray(one)) as [{ readonly type: string }];
    expect(requestsIn(runs).map(({ type }) => type)).toEqual([left.type]);
  });

  it("whose answer is all that another page left is known by it from then on", async () => {
    await writeReply(runs, "yes", { accepted: true });
    expect(await take(PAUSE, "yes")).toEqual({ id: "yes", type: "pause", state: "accepted" });
    expect(await take({ ...PAUSE, type: "resume" }, "yes")).toMatchObject([
      409,
      expect.stringMatching(/another/),
    ]);
  });

  it("that somebody took away before it was answered is left once more", async () => {
    await take(PAUSE, "k1");
    rmSync(join(store.requests, "k1.json"));
    expect(await take(PAUSE, "k1")).toMatchObject({ state: "open" });
    expect(readdirSync(store.requests)).toEqual(["k1.json"]);
  });
});

describe("what is refused", () => {
  it.each(["a b", ".hidden", "../x", "x".repeat(65), ""])("the id %j", async (id) => {
    expect(await take(PAUSE, id)).toEqual([
      400,
      "Idempotency-Key: it is no request's id; take up to 64 letters, digits, dots, dashes and " +
        "underscores, no dot first.",
    ]);
    expect(requestsIn(runs)).toEqual([]);
  });

  it("a body that is too long, by what it says or by what comes", async () => {
    const long = [413, "the request is longer than 1 MiB."];
    expect(await body(["{}"], MOST_BYTES + 1)).toEqual(long);
    expect(await body(["{", " ".repeat(MOST_BYTES)])).toEqual(long);
    const fits = JSON.stringify(PAUSE);
    const padded = fits + " ".repeat(MOST_BYTES - fits.length);
    expect(await body([padded], MOST_BYTES)).toMatchObject({ state: "open" });
  });

  it("a body that is no UTF-8, no JSON, or no request", async () => {
    expect(await body([Buffer.from([0x7b, 0xff])])).toEqual([400, "the request is not UTF-8."]);
    // A character may come in two parts.
    const text = Buffer.from('{"type":"\u00e9"}');
    expect(await body([text.subarray(0, 10), text.subarray(10)])).toEqual([
      422,
      expect.stringContaining('"\u00e9"'),
    ]);
    expect(await body(["{"])).toMatchObject([
      400,
      expect.stringMatching(/^the request .*; send one JSON object\.$/),
    ]);
    expect(await take({ type: "dance" })).toMatchObject([
      422,
      expect.stringMatching(/\(\/api\/v1\/schema\/request has the form\)\.$/),
    ]);
    expect(requestsIn(runs)).toEqual([]);
  });

  it("a body whose sender goes away", async () => {
    const stream = Object.assign(new PassThrough(), { headers: {} });
    const taken = answer(stream as never);
    stream.write("{");
    stream.destroy(new Error("aborted"));
    expect(await taken).toEqual([400, "the request did not come whole."]);
  });

  it("one for whose folder another file stands", async () => {
    mkdirSync(store.orchdDir, { recursive: true });
    writeFileSync(store.requests, "");
    expect(await take(PAUSE)).toEqual([
      500,
      expect.stringMatching(
        /^the page cannot write requests to \S+ \((EEXIST|ENOTDIR)\); let its user write there\.$/,
      ),
    ]);
  });
});
