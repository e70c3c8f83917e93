/** What an event stream writes to a client that takes nothing. */
import { EventEmitter } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { EventStreams } from "../../src/page/server/event-streams.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { completedRun, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

class FakeClient extends EventEmitter {
  writableNeedDrain = false;
  destroyed = false;
  readonly written: string[] = [];
  head: unknown[] = [];
  readonly socket = { delays: true, setNoDelay: () => void (this.socket.delays = false) };
  writeHead(...head: unknown[]): void {
    this.head = head;
  }
  write(text: string): boolean {
    this.written.push(text);
    return !this.writableNeedDrain;
  }
  end(): void {
    this.emit("close");
  }
  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

afterEach(() => void vi.useRealTimers());

it("hears every 15 s that the stream lives, but not while it takes nothing", () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const streams = new EventStreams(new RunStore(tempRoot().runs));
  const clients = [new FakeClient(), new FakeClient()] as const;
  const query = { pipeline: undefined, run: undefined, from: undefined, short: false };
  for (const client of clients) streams.serve(client as never, query);
  clients[1].writableNeedDrain = true;
  vi.advanceTimersByTime(31_000);
  const pings = clients.map(
    ({ written }) => written.filter((text) => text === ": ping\n\n").length,
  );
  expect(pings).toEqual([2, 0]);
  clients[1].writableNeedDrain = false;
  vi.advanceTimersByTime(15_000);
  expect(clients[1].written.at(-1)).toBe(": ping\n\n");
  streams.close();
  expect(streams.size).toBe(0);
});

it("only streams with short ids hear that notify.jsonl has changed", async () => {
  const { runs } = tempRoot();
  mkdirSync(join(runs, ".orchd"), { recursive: true });
  const store = new RunStore(runs);
  const streams = new EventStreams(store);
  onTestFinished(() => streams.close());
  const [short, whole, full] = [new FakeClient(), new FakeClient(), new FakeClient()];
  const query = { pipeline: undefined, run: undefined, from: undefined };
  streams.serve(short as never, { ...query, short: true });
  streams.serve(whole as never, { ...query, short: false });
  streams.serve(full as never, { ...query, short: true });
  full.writableNeedDrain = true;
  const event = "event: notify\ndata: notify.jsonl\n\n";
  writeFileSync(store.notifyLedger, "{}\n");
  await vi.waitFor(() => expect(short.written).toContain(event), 15_000);
  expect([whole, full].map(({ written }) => written.includes(event))).toEqual([false, false]);
});

it("serves as many streams as it may, and one again where one has left", () => {
  const streams = new EventStreams(new RunStore(tempRoot().runs), 2);
  onTestFinished(() => streams.close());
  const query = { pipeline: undefined, run: undefined, from: undefined, short: false };
  const [first, ...more] = [new FakeClient(), new FakeClient(), new FakeClient()];
  streams.serve(first as never, query);
  streams.serve(more[0] as never, query);
  expect(() => streams.serve(more[1] as never, query)).toThrow("2 event streams are open");
  expect(streams.size).toBe(2);
  first.end();
  streams.serve(more[1] as never, query);
  expect(streams.size).toBe(2);
});

it("closes the feed of a client that leaves, and that of no other", () => {
  const streams = new EventStreams(new RunStore(tempRoot().runs));
  onTestFinished(() => streams.close());
  const closed: string[] = [];
  const subscribe = streams.hub.subscribe.bind(streams.hub);
  vi.spyOn(streams.hub, "subscribe").mockImplementation((options, ...more) => {
    const feed = subscribe(options, ...more);
    const close = feed.close.bind(feed);
    const name = options?.pipeline ?? "all";
    feed.close = () => {
      closed.push(name);
      close();
    };
    return feed;
  });
  const [all, one] = [new FakeClient(), new FakeClient()];
  const query = { pipeline: undefined, run: undefined, from: undefined, short: false };
  streams.serve(all as never, query);
  streams.serve(one as never, { ...query, pipeline: "etl" });
  one.emit("error", new Error("it was reset"));
  expect([closed, streams.size]).toEqual([["etl"], 1]);
  all.emit("close");
  expect([closed, streams.size]).toEqual([["etl", "all"], 0]);
});

it("says that a name is no pipeline's as what it is, and no position's", () => {
  const streams = new EventStreams(new RunStore(tempRoot().runs));
  onTestFinished(() => streams.close());
  const query = { run: undefined, from: undefined, short: false };
  const serve = (more: object): unknown =>
    streams.serve(new FakeClient() as never, { ...query, pipeline: undefined, ...more });
  expect(() => serve({ pipeline: "../x" })).toThrow(RangeError);
  expect(() => serve({ from: "here" })).toThrow(/^the stream cannot go on there: /);
  expect(streams.size).toBe(0);
});

describe("a stream", () => {
  const query = { pipeline: undefined, run: undefined, from: undefined, short: false };
  function served(more: object = {}, most?: number) {
    const { runs } = tempRoot();
    const run = "etl@20261123T020000Z";
    writePipeline(runs, "etl", [
      loaded("* * * * *"),
      { type: "slot.fired", slot: "2026-11-23T02:00:00.000Z", run },
      { type: "run.started", run },
      { type: "run.finished", run, status: "completed", durationMs: 1 },
    ]);
    writeRun(runs, run, completedRun(run));
    const streams = new EventStreams(new RunStore(runs), most);
    onTestFinished(() => streams.close());
    const client = new FakeClient();
    streams.serve(client as never, { ...query, ...more });
    return { streams, client, run };
  }
  const events = ({ written }: FakeClient): string[] =>
    written.filter((text) => text.includes("data: "));

  it("begins with its head and its position, and a short one without a position", () => {
    const { client } = served();
    expect(client.head).toEqual([
      200,
      {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
      },
    ]);
    expect(client.socket.delays).toBe(false);
    expect(client.written).toEqual([expect.stringMatching(/^retry: 2000\nid: \S+\n\n$/)]);
    expect(served({ short: true }).client.written).toEqual(["retry: 2000\n\n"]);
  });

  it("gives each line with an id, one from which another goes on", async () => {
    const { streams, client, run } = served({ from: "start" });
    await vi.waitFor(() => expect(events(client).at(-1)).toContain("run.finished"), 10_000);
    const all = events(client);
    for (const event of all) expect(event).toMatch(/^id: \S+\ndata: \{.*\}\n\n$/);
    const later = new FakeClient();
    const from = /^id: (\S+)/.exec(all[1]!)![1]!;
    streams.serve(later as never, { ...query, from });
    await vi.waitFor(() => expect(events(later)).toHaveLength(all.length - 2), 10_000);
    expect(events(later).map((event) => event.split("\n")[1])).toEqual(
      all.slice(2).map((event) => event.split("\n")[1]),
    );
    const short = new FakeClient();
    streams.serve(short as never, { ...query, run, from: "start", short: true });
    await vi.waitFor(() => expect(events(short).at(-1)).toContain("run.finished"), 10_000);
    expect(events(short)[0]).toMatch(new RegExp(`^id: \\S*${run}\\.jsonl:1\\ndata: `));
    expect(() => streams.serve(new FakeClient() as never, { ...query, from: "x" })).toThrow(
      /^the stream cannot go on there: [^.]*; or leave it out\.$/,
    );
  });

  it("that takes nothing for half a minute is ended; one that takes again goes on", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { streams, client } = served();
    const [slow, gone] = [new FakeClient(), new FakeClient()];
    for (const each of [slow, gone]) each.writableNeedDrain = true;
    streams.serve(slow as never, { ...query, from: "start" });
    streams.serve(gone as never, { ...query, from: "start" });
    await vi.waitUntil(() => events(slow).length === 1 && events(gone).length === 1, 10_000);
    vi.advanceTimersByTime(29_000);
    slow.writableNeedDrain = false;
    slow.emit("drain");
    // The feed reads on by a timer of its own.
    await vi.waitUntil(() => (vi.advanceTimersByTime(1), events(slow).length > 3), 10_000);
    expect([gone.destroyed, events(gone).length]).toEqual([false, 1]);
    vi.advanceTimersByTime(1_000);
    await vi.waitUntil(() => gone.destroyed, 10_000);
    expect([slow.destroyed, client.destroyed, streams.size]).toEqual([false, false, 2]);
  });

  it("ends with its page, which looks at no file and pings no more then", () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const { streams, client } = served({ short: true });
    // Its pings, and its look at two files.
    expect(vi.getTimerCount()).toBeGreaterThanOrEqual(2);
    const { hub } = streams;
    let ended = false;
    client.on("close", () => (ended = true));
    streams.close();
    expect([ended, streams.size, vi.getTimerCount()]).toEqual([true, 0, 0]);
    expect(streams.hub).not.toBe(hub);
  });

  it("with short ids alone has its page look at files, until the last one leaves", () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const { streams, client } = served();
    const before = vi.getTimerCount();
    const short = [new FakeClient(), new FakeClient()];
    for (const each of short) streams.serve(each as never, { ...query, short: true });
    expect(vi.getTimerCount()).toBe(before + 1);
    short[0]!.end();
    expect(vi.getTimerCount()).toBe(before + 1);
    short[1]!.end();
    expect(vi.getTimerCount()).toBe(before);
    client.end();
    expect(streams.size).toBe(0);
  });
});
