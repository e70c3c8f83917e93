/** Requests through the page: one file each, and what became of them. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { loaded, writePipeline } from "../support/hand-ledger.ts";
import { madeUpRoot } from "../support/made-up-root.ts";
import { pageRig, type Got, type PageRig } from "./page-rig.ts";

const REQUESTS = "/api/v1/requests";
const PAUSE = { type: "pause", pipeline: "etl" };

const post = (
  rig: PageRig,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Got> =>
  rig.ask(REQUESTS, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
    headers,
  });
const key = (id: string): Record<string, string> => ({ "idempotency-key": id });
const folder = (rig: PageRig): string => join(rig.root.runs, ".orchd/requests");
const files = (rig: PageRig): string[] => {
  try {
    return readdirSync(folder(rig)).toSorted();
  } catch {
    return [];
  }
};
const reply = (rig: PageRig, id: string, value: object): void => {
  const replies = join(rig.root.runs, ".orchd/replies");
  mkdirSync(replies, { recursive: true });
  writeFileSync(join(replies, `${id}.json`), JSON.stringify(value));
};

describe("a request", () => {
  it("is the file that a command leaves, and is shown until it is answered", async () => {
    const rig = await pageRig({ allowRequests: true });
    const got = await post(rig, PAUSE);
    const { id, type, state } = got.json<{ id: string; type: string; state: string }>();
    expect([got.status, type, state]).toEqual([202, "pause", "open"]);
    expect(got.headers["location"]).toBe(`${REQUESTS}/${id}`);
    expect(files(rig)).toEqual([`${id}.json`]);
    expect(JSON.parse(readFileSync(join(folder(rig), `${id}.json`), "utf8"))).toEqual({
      ...PAUSE,
      by: "page",
    });
    const shown = (): Promise<Record<string, unknown>> =>
      rig.ask(`${REQUESTS}/${id}`).then((one) => one.json());
    expect(await shown()).toMatchObject({ id, ...PAUSE, by: "page", state: "open" });
    reply(rig, id, { accepted: false, reason: "it is paused already" });
    rmSync(join(folder(rig), `${id}.json`));
    expect(await shown()).toMatchObject({ id, state: "refused", reason: "it is paused already" });
  });

  it("says who asks, where it says it", async () => {
    const rig = await pageRig({ allowRequests: true });
    await post(rig, { ...PAUSE, by: "proxy:ada" }, key("mine-2"));
    expect(JSON.parse(readFileSync(join(folder(rig), "mine-2.json"), "utf8"))).toEqual({
      ...PAUSE,
      by: "proxy:ada",
    });
  });

  it("under one id is one request, and another one under it is refused", async () => {
    const rig = await pageRig({ allowRequests: true });
    const first = await post(rig, PAUSE, key("mine-1"));
    expect([first.status, first.json()["id"]]).toEqual([202, "mine-1"]);
    const again = await Promise.all(
      Array.from({ length: 5 }, () => post(rig, { pipeline: "etl", type: "pause" }, key("mine-1"))),
    );
    expect(again.map(({ status, text }) => [status, text])).toEqual(
      again.map(() => [202, first.text]),
    );
    const other = await post(rig, { ...PAUSE, type: "resume" }, key("mine-1"));
    expect([other.status, other.json()["exitCode"]]).toEqual([409, 5]);
    expect(files(rig)).toEqual(["mine-1.json"]);
    // Once it is answered, it is not left again.
    rmSync(join(folder(rig), "mine-1.json"));
    reply(rig, "mine-1", { accepted: true });
    const late = await post(rig, PAUSE, key("mine-1"));
    expect([late.status, late.json()["state"]]).toEqual([202, "accepted"]);
    expect((await post(rig, { ...PAUSE, pipeline: "x" }, key("mine-1"))).status).toBe(409);
    expect(files(rig)).toEqual([]);
  });

  it.each([
    ["no JSON", "{", 400],
    ["nothing", "", 400],
    ["no object", "[]", 422],
    ["of no type", { type: "explode" }, 422],
    ["with a field that is none", { ...PAUSE, force: true }, 422],
    ["of a pipeline that can be no name", { type: "pause", pipeline: "../etc" }, 422],
    ["of a run that can be no id", { type: "stop", run: "etl@../../x" }, 422],
    ["with a number that JSON.parse would change", '{"type":"prune","keepRuns":1e400}', 400],
  ])("that is %s is refused with a sentence, and leaves nothing", async (_what, body, status) => {
    const rig = await pageRig({ allowRequests: true });
    const got = await post(rig, body);
    expect([got.status, got.json()["exitCode"]]).toEqual([status, 2]);
    expect(got.json()["detail"]).toMatch(/\brequest\b.*\.$/);
    expect(files(rig)).toEqual([]);
  });

  it.each(["../x", ".hidden", "a/b", "x".repeat(65), "a b"])("has no id like %j", async (id) => {
    const rig = await pageRig({ allowRequests: true });
    expect((await post(rig, PAUSE, key(id))).status).toBe(400);
    expect(files(rig)).toEqual([]);
  });

  it("that cannot be left says why", async () => {
    const rig = await pageRig({ allowRequests: true });
    mkdirSync(join(rig.root.runs, ".orchd"), { recursive: true });
    writeFileSync(folder(rig), "a file where the folder should be");
    const got = await post(rig, PAUSE);
    expect([got.status, got.json()["exitCode"]]).toEqual([500, 1]);
    expect(got.text).not.toMatch(/\.ts:|at async/);
  });
});

describe("the list", () => {
  it("has what waits, what was answered and what ledgers tell, newest first", async () => {
    const root = madeUpRoot();
    const at = (minute: number): string =>
      new Date(Date.UTC(2026, 10, 20, 2, minute)).toISOString();
    writePipeline(root.runs, "asked", [
      { ...loaded("* * * * *"), at: at(0) },
      { type: "pipeline.paused", at: at(1), requestId: "p1", by: "cli:alice" },
      { type: "pipeline.resumed", at: at(2), requestId: "p2", by: "cli:bob", because: "by hand" },
      {
        type: "backfill.started",
        at: at(3),
        requestId: "b1",
        from: at(0),
        to: at(1),
        which: "all",
      },
      {
        type: "slot.backfilled",
        at: at(4),
        slot: at(0),
        run: "asked@20261120T020000Z-b1",
        requestId: "b1",
      },
      {
        type: "run.started",
        at: at(5),
        run: "asked@20261120T020500.000Z-m",
        trigger: "manual",
        requestId: "s1",
      },
    ]);
    const rig = await pageRig({ allowRequests: true }, root);
    await post(rig, PAUSE, key("open-1"));
    reply(rig, "no-1", { accepted: false, reason: "no", at: at(6) });
    reply(rig, "s1", { accepted: true, run: "asked@20261120T020500.000Z-m", at: at(5) });
    interface Page {
      readonly requests: readonly Record<string, unknown>[];
      readonly cursor: string | null;
    }
    const all = (await rig.ask(REQUESTS)).json<Page>();
    expect(all.cursor).toBeNull();
    expect(all.requests.map(({ id, type, state, by }) => [id, type, state, by])).toEqual([
      ["open-1", "pause", "open", "page"],
      ["no-1", null, "refused", null],
      ["s1", "submit", "accepted", null],
      ["b1", "backfill", "accepted", null],
      ["p2", "resume", "accepted", "cli:bob"],
      ["p1", "pause", "accepted", "cli:alice"],
    ]);
    const paged: unknown[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const query: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page: Page = (await rig.ask(`${REQUESTS}?limit=2${query}`)).json<Page>();
      expect(page.requests.length).toBeLessThanOrEqual(2);
      paged.push(...page.requests);
      ({ cursor } = page);
    }
    expect(paged).toEqual(all.requests);
    const one = await rig.ask(`${REQUESTS}/p2`);
    expect(one.json()).toEqual(all.requests[4]);
    const none = await rig.ask(`${REQUESTS}/nobody`);
    expect([none.status, none.json()["exitCode"]]).toEqual([404, 3]);
  });

  it("bears what is no request", async () => {
    const rig = await pageRig({ allowRequests: true });
    mkdirSync(folder(rig), { recursive: true });
    writeFileSync(join(folder(rig), "bad.json"), "{");
    writeFileSync(join(folder(rig), "list.json"), "[1]");
    mkdirSync(join(folder(rig), "folder.json"));
    reply(rig, "odd", { accepted: "yes" });
    const { requests } = (await rig.ask(REQUESTS)).json<{
      requests: { id: string; state: string; reason: string | null }[];
    }>();
    expect(requests.map(({ id }) => id).toSorted()).toEqual(["bad", "folder", "list"]);
    expect(requests.find(({ id }) => id === "bad")?.reason).toMatch(/JSON/);
  });
});

it("says where a request cannot be written", async () => {
  const rig = await pageRig({ allowRequests: true });
  const folder = join(rig.root.runs, ".orchd/requests");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(dirname(folder), { recursive: true });
  writeFileSync(folder, "no folder");
  const got = await rig.ask("/api/v1/requests", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ type: "pause", pipeline: "etl" }),
  });
  expect(got.status).toBe(500);
  expect(got.json()["detail"]).toMatch(
    /^the page cannot write requests to \S+ \(E[A-Z]+\); let its user write there\.$/,
  );
});
