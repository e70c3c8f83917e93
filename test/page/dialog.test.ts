/** The dialog before a request: when it stands, and how long it looks for the answer. */
import { drawn, PlainElement } from "./plain-document.ts";
import { h, render } from "preact";
import { act } from "preact/test-utils";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { confirmFirst, ConfirmDialog, type Intent } from "../../src/page/app/confirm.tsx";
import { askToRun } from "../../src/page/app/pipeline-requests.tsx";
import type { PipelineRow } from "../../src/views/overview.ts";

const INTENT: Intent = {
  title: "Run etl now",
  what: "It runs.",
  button: "Run it",
  command: ["orchd", "run", "etl"],
  request: { type: "submit", pipeline: "etl" },
};

/** How often the server was asked about the request, and from which time on it has an answer. */
let asked = 0;
let answeredFrom = Number.POSITIVE_INFINITY;

beforeEach(() => {
  asked = 0;
  answeredFrom = Number.POSITIVE_INFINITY;
  vi.stubGlobal("fetch", async (_url: string, { method }: RequestInit) => {
    if (method === "POST") return Response.json({ id: "r1" });
    asked += 1;
    return Response.json(
      asked < answeredFrom ? { state: "open" } : { state: "accepted", run: "etl@1", reason: null },
    );
  });
  onTestFinished(() => void vi.unstubAllGlobals());
});

/** The dialog, once its request was sent. */
async function sent(): Promise<PlainElement> {
  confirmFirst(INTENT);
  const body = await drawn(h(ConfirmDialog, {}));
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  await body.one("button.primary").happens("click");
  return body;
}
const afterMs = (ms: number): Promise<void> =>
  act(async () => void (await vi.advanceTimersByTimeAsync(ms)));

it("stands as soon as it is drawn: what is typed next is typed at it", () => {
  const shown = vi.spyOn(PlainElement.prototype, "showModal");
  onTestFinished(() => shown.mockRestore());
  confirmFirst(INTENT);
  const body = new PlainElement("body");
  render(h(ConfirmDialog, {}), body as unknown as Element);
  onTestFinished(() => render(null, body as unknown as Element));
  expect(shown).toHaveBeenCalledTimes(1);
});

it("stays open where the browser tells late that the one before it was closed", async () => {
  confirmFirst({ ...INTENT, title: "Pause etl" });
  const body = await drawn(h(ConfirmDialog, {}));
  const before = body.one("dialog");
  await act(() => confirmFirst(INTENT));
  await before.happens("close");
  expect(body.one("h2").textContent).toBe("Run etl now");
});

it.each([
  [[], false, "with the default params. Its page has"],
  [["etl@1"], false, "params. 1 run of it goes on: its limits say if this one waits. Its page"],
  [["etl@1", "etl@2"], true, "Its schedule stays paused. 2 runs of it go on: its limits say"],
])("before a run by hand says what goes on: %j, paused: %s", async (active, paused, text) => {
  askToRun({ name: "etl", paused, active } as unknown as PipelineRow);
  const body = await drawn(h(ConfirmDialog, {}));
  expect(body.one("div.what").text).toContain(text);
});

it("tells an answer of a daemon that was busy for minutes", async () => {
  const body = await sent();
  await afterMs(60_000);
  expect(body.one("p.outcome").textContent).toContain("waits for its answer");
  const times = asked;
  // Soon at first, and ever more seldom.
  expect(times).toBeGreaterThan(15);
  expect(times).toBeLessThan(60);
  answeredFrom = times + 1;
  await afterMs(5_000);
  expect(body.one("p.outcome").textContent).toContain("Accepted. etl@1");
  await afterMs(60_000);
  expect(asked).toBe(times + 1);
});

it("asks no more once it is closed", async () => {
  const body = await sent();
  await afterMs(2_000);
  await body.every("button").at(-1)!.happens("click");
  const times = asked;
  await afterMs(60_000);
  expect(asked).toBeLessThanOrEqual(times + 1);
});

it("says what to do where nobody answers the request: it is not sent again by itself", async () => {
  const sendings: (string | null)[] = [];
  vi.stubGlobal("fetch", async (_url: string, { method, headers }: RequestInit) => {
    if (method !== "POST") return Response.json({ state: "open" });
    sendings.push(new Headers(headers).get("idempotency-key"));
    if (sendings.length === 1) throw new TypeError("fetch failed");
    return Response.json({ id: "r1" });
  });
  const body = await sent();
  await afterMs(60_000);
  expect(body.text).toContain("It may have the request");
  expect(body.text).not.toContain("asked again");
  await body.one("button.primary").happens("click");
  await afterMs(10);
  expect(body.one("p.outcome").textContent).toContain("waits for its answer");
  expect(sendings).toEqual([sendings[0], sendings[0]]);
});

it("asks also where the page came over plain HTTP, where a browser makes no UUIDs", async () => {
  const { crypto } = globalThis;
  vi.stubGlobal("crypto", {
    getRandomValues: (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes),
  });
  const ids: (string | null)[] = [];
  vi.stubGlobal("fetch", async (_url: string, { method, headers }: RequestInit) => {
    if (method === "POST") ids.push(new Headers(headers).get("idempotency-key"));
    return Response.json({ id: "r1", state: "accepted", run: null, reason: null });
  });
  const body = await sent();
  await afterMs(10);
  expect(body.one("p.outcome").textContent).toContain("Accepted");
  expect(ids).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
});
