/** What a sender makes of each answer of a collector, and of none. */
import { getEventListeners } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { expect, it, onTestFinished } from "vitest";
import type { OtlpEncoder } from "../../src/traces/otlp-encoding.ts";
import { lineSender, otlpSender, type Sent } from "../../src/traces/otlp-sender.ts";
import type { OtlpTarget } from "../../src/traces/otlp-target.ts";
import { collectGarbage } from "../support/held-memory.ts";
import { MOST_EVENTS, SpanEvents, shortText } from "../../src/traces/span.ts";

const NOW = Date.UTC(2026, 10, 23, 2);
const encoder: OtlpEncoder = {
  contentType: "application/json",
  encode: (spans) => Buffer.from(`spans ${spans.length}`),
  refusedBy: (answer) =>
    answer.length === 0 ? undefined : { count: 1, because: Buffer.from(answer).toString("utf8") },
};

async function collector(
  answer: (incoming: IncomingMessage, body: Buffer, outgoing: ServerResponse) => void,
  more: Partial<OtlpTarget> = {},
  encode = encoder.encode,
): Promise<(signal?: AbortSignal) => Promise<Sent>> {
  const server = createServer((incoming, outgoing) => {
    const parts: Buffer[] = [];
    incoming.on("data", (part: Buffer) => parts.push(part));
    incoming.on("end", () => answer(incoming, Buffer.concat(parts), outgoing));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return (signal = new AbortController().signal) =>
    otlpSender(
      {
        url: new URL(`http://127.0.0.1:${port}/v1/traces`),
        headers: { "x-key": "k" },
        timeoutMs: 5_000,
        encoding: "json",
        isCompressed: false,
        tls: {},
        ...more,
      },
      { ...encoder, encode },
      () => NOW,
    )([], signal);
}

const later = (because: string, afterMs?: number): Sent => ({ kind: "later", because, afterMs });

it.each<[number, string, Sent]>([
  [200, "", { kind: "taken", refused: undefined }],
  [299, "one", { kind: "taken", refused: { count: 1, because: "one" } }],
  [300, "", later("it answers 300")],
  [400, "bad\n\tspan", { kind: "never", because: "it answers 400: bad span" }],
  [401, "", later("it answers 401")],
  [404, "", later("it answers 404")],
  [413, "", { kind: "never", because: "it answers 413" }],
  [415, "", { kind: "never", because: "it answers 415" }],
  [422, "", { kind: "never", because: "it answers 422" }],
  [429, "", later("it answers 429", 7_000)],
  [500, "", later("it answers 500")],
  [502, "", later("it answers 502", 7_000)],
  [503, "", later("it answers 503", 7_000)],
  [504, "x".repeat(300), later(`it answers 504: ${"x".repeat(200)}`, 7_000)],
])("the answer %i %j", async (status, text, sent) => {
  const send = await collector((_incoming, _body, outgoing) =>
    outgoing.writeHead(status, { "retry-after": "7" }).end(text),
  );
  expect(await send()).toEqual(sent);
});

it.each([
  ["0", 0],
  [" 12 ", 12_000],
  [new Date(NOW + 30_000).toUTCString(), 30_000],
  [new Date(NOW - 30_000).toUTCString(), 0],
  ["soon", undefined],
  ["-1", undefined],
  ["", undefined],
])("a collector that asks for %j is given %s ms", async (header, afterMs) => {
  const send = await collector((_incoming, _body, outgoing) =>
    outgoing.writeHead(503, { "retry-after": header }).end(),
  );
  const sent = (await send()) as Extract<Sent, { kind: "later" }>;
  if (header === "-1") expect([undefined, 0]).toContain(sent.afterMs);
  else expect(sent).toEqual(later("it answers 503", afterMs));
});

it("sends the body with its headers, packed where that is asked for", async () => {
  const seen: unknown[] = [];
  for (const isCompressed of [false, true]) {
    const send = await collector(
      ({ method, url, headers }, body, outgoing) => {
        seen.push([method, url, headers["x-key"], headers["content-type"]]);
        seen.push([headers["content-encoding"], Number(headers["content-length"]) === body.length]);
        seen.push((isCompressed ? gunzipSync(body) : body).toString());
        outgoing.end();
      },
      { isCompressed },
    );
    await send();
  }
  const head = ["POST", "/v1/traces", "k", "application/json"];
  expect(seen).toEqual([head, [undefined, true], "spans 0", head, ["gzip", true], "spans 0"]);
});

it("a collector that does not answer is given up also where garbage is collected", async () => {
  const silent = await collector(() => collectGarbage(), { timeoutMs: 500 });
  expect(await silent()).toEqual(later("it does not answer in time"));
});

it("a collector that does not answer, hangs up or is not there is tried later", async () => {
  const silent = await collector(() => undefined, { timeoutMs: 50 });
  expect(await silent()).toEqual(later("it does not answer in time"));
  const ended = await collector(() => undefined);
  const abort = new AbortController();
  const sending = ended(abort.signal);
  abort.abort();
  expect(await sending).toEqual(later("it does not answer in time"));
  const gone = await collector((incoming) => incoming.socket.destroy());
  expect(await gone()).toEqual(later("socket hang up"));
  const nowhere = await collector(() => undefined, { url: new URL("http://127.0.0.1:1/") });
  expect(await nowhere()).toEqual(later("nothing listens there"));
});

it("spans that cannot be encoded are never taken, and nothing is asked", async () => {
  let asked = 0;
  const send = await collector(
    () => (asked += 1),
    {},
    (): never => {
      throw new RangeError("NaN is no time");
    },
  );
  const because = "OTLP cannot say them (NaN is no time)";
  expect([await send(), asked]).toEqual([{ kind: "never", because }, 0]);
});

it("a request hears the export's end while it lasts, and leaves nothing there", async () => {
  const ends = new AbortController();
  const heard = (): number => getEventListeners(ends.signal, "abort").length;
  let during = 0;
  const send = await collector((_incoming, _body, outgoing) => {
    during = heard();
    outgoing.end();
  });
  for (let times = 0; times < 3; times += 1) await send(ends.signal);
  expect([during, heard()]).toEqual([1, 0]);
  const over = AbortSignal.abort();
  expect(await send(over)).toEqual(later("it does not answer in time"));
});

it("reads 64 KiB of an answer at most", async () => {
  const send = await collector((_incoming, _body, outgoing) => {
    outgoing.writeHead(500);
    outgoing.write("y".repeat(1_000));
    for (let part = 0; part < 20; part += 1) outgoing.write("z".repeat(65_536));
  });
  const sent = (await send()) as Extract<Sent, { kind: "later" }>;
  expect(sent.because.length).toBeLessThanOrEqual("it answers 500: ".length + 200);
});

it("as lines, spans are a line a batch, and none for no spans", async () => {
  const lines: string[] = [];
  const send = lineSender(encoder, (line) => void lines.push(line));
  const { signal } = new AbortController();
  expect(await send([], signal)).toEqual({ kind: "taken" });
  expect(await send([{} as never], signal)).toEqual({ kind: "taken" });
  expect(lines).toEqual(["spans 1\n"]);
});

it("a span has 128 events, and says how many more there were", () => {
  const events = new SpanEvents();
  for (let count = 0; count < MOST_EVENTS; count += 1) events.add("e", "2026-11-23T02:00:00Z");
  expect([events.all.events.length, events.all.droppedEvents]).toEqual([128, 0]);
  events.add("e", "2026-11-23T02:00:00Z");
  events.add("e", "2026-11-23T02:00:00Z");
  expect([events.all.events.length, events.all.droppedEvents]).toEqual([128, 2]);
});

it.each([
  [4_096, 4_096, "x"],
  [4_097, 4_096, "…"],
])("a text of %i characters has %i, and ends with %s", (length, left, end) => {
  const text = shortText("x".repeat(length));
  expect([text.length, text.at(-1)]).toEqual([left, end]);
});
