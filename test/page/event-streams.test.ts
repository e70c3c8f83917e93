/** What an event stream writes to a client that takes nothing. */
import { EventEmitter } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it, onTestFinished, vi } from "vitest";
import { EventStreams } from "../../src/page/server/event-streams.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";

class FakeClient extends EventEmitter {
  writableNeedDrain = false;
  destroyed = false;
  readonly written: string[] = [];
  writeHead(): void {}
  write(text: string): boolean {
    this.written.push(text);
    return !this.writableNeedDrain;
  }
  end(): void {
    this.emit("close");
  }
  destroy(): void {
    this.destroyed = true;
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
