/** What an event stream writes to a client that takes nothing. */
import { EventEmitter } from "node:events";
import { afterEach, expect, it, vi } from "vitest";
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
