/** The far runner's end of the wire: what it asks, how long its lease is, and how files leave. */
import { EventEmitter } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { FromRunner, ToRunner } from "../../src/places/pool/protocol.ts";
import { BEAT_MS, LEASE_MS, PIECE_BYTES } from "../../src/places/pool/wire.ts";
import { FarFolder } from "../../src/places/runner/far-folder.ts";
import { WireLink } from "../../src/places/runner/wire-link.ts";
import { tempRoot } from "../support/temp-root.ts";

/** The daemon's end, in this process. */
class PlayedSocket extends EventEmitter {
  readonly lines: unknown[] = [];
  writableLength = 0;
  writableNeedDrain = false;
  write(text: string): void {
    this.lines.push(JSON.parse(text));
  }
  says(...messages: unknown[]): void {
    for (const message of messages) this.emit("data", Buffer.from(`${JSON.stringify(message)}\n`));
  }
}

beforeEach(() => {
  const toFake = ["setInterval", "clearInterval", "performance"] as const;
  vi.useFakeTimers({ toFake: [...toFake] });
  onTestFinished(() => void vi.useRealTimers());
});

function link() {
  const socket = new PlayedSocket();
  const happened: string[] = [];
  const received: (readonly ToRunner[])[] = [];
  const folder = new FarFolder(join(tempRoot().root, "far"));
  const wire = new WireLink({
    // Nobody reads there: what is said last goes to the descriptor after it.
    descriptor: 9_998,
    socket: socket as unknown as Socket,
    folder,
    receive: (batch) => void received.push(batch),
    drained: () => void happened.push("drained"),
    over: () => void happened.push("over"),
  });
  const said = (): unknown[] => socket.lines.splice(0);
  return { wire, socket, happened, received, folder, said };
}
const output = (line: string): FromRunner =>
  ({ type: "output", id: "a", at: "", stream: "stdout", lines: [line] }) as never;

describe("the lease of a far runner", () => {
  it("is asked for at once and with each beat", () => {
    const { said, folder } = link();
    expect(said()).toEqual([
      { type: "ready", folder: folder.folder },
      { type: "beat", number: 1 },
    ]);
    vi.advanceTimersByTime(2 * BEAT_MS);
    expect(said()).toEqual([
      { type: "beat", number: 2 },
      { type: "beat", number: 3 },
    ]);
  });

  it("counts from when the beat was sent that is answered, and never backwards", () => {
    const { wire, socket, happened } = link();
    vi.advanceTimersByTime(2 * BEAT_MS);
    // The third beat was sent just now, the first long before.
    socket.says({ type: "beat", number: 3 }, { type: "beat", number: 1 });
    vi.advanceTimersByTime(LEASE_MS - 1);
    expect(wire.hasLease).toBe(true);
    vi.advanceTimersByTime(1);
    expect(wire.hasLease).toBe(false);
    vi.advanceTimersByTime(500);
    expect(happened).toContain("over");
  });

  it("is none longer for a late answer, or for one that was never asked for", () => {
    const { wire, socket } = link();
    vi.advanceTimersByTime(LEASE_MS - 1);
    socket.says({ type: "beat", number: 1 }, { type: "beat", number: 99 });
    expect(wire.hasLease).toBe(true);
    vi.advanceTimersByTime(1);
    expect(wire.hasLease).toBe(false);
  });

  it("is over with the wire, and with a line that is none", () => {
    for (const event of ["end", "error", "close"]) {
      const { socket, happened } = link();
      socket.emit(event, new Error("x"));
      expect(happened, event).toContain("over");
    }
    const { socket, happened } = link();
    socket.emit("data", Buffer.from("what is this\n"));
    expect(happened).toEqual(["over"]);
  });
});

describe("what goes over the wire", () => {
  it("is a batch as it is, and tells where too much waits", () => {
    const { wire, socket, happened, received, said } = link();
    said();
    expect(wire.send([output("a"), output("b")])).toBe(true);
    expect(said()).toEqual([[output("a"), output("b")]]);
    socket.writableLength = 1_048_575;
    expect(wire.send([output("c")])).toBe(true);
    socket.writableLength = 1_048_576;
    expect(wire.send([output("d")])).toBe(false);
    socket.emit("drain");
    expect(happened).toEqual(["drained"]);
    const batch = [{ type: "forget", frames: [1] }];
    socket.says(batch);
    expect(received).toEqual([batch]);
  });

  it("are the files that the daemon sends, each answered", () => {
    const { socket, said } = link();
    said();
    const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const name = `artifacts/${hash}`;
    socket.says({ type: "need", name, hash });
    socket.says({ type: "put", name, hash, data: "", last: true });
    socket.says({ type: "need", name, hash });
    expect(said()).toEqual([
      { type: "lacks", name },
      { type: "has", name },
      { type: "has", name },
    ]);
  });
});

describe("a large result", () => {
  const done = (id: string, ...paths: string[]): FromRunner =>
    ({
      type: "done",
      id,
      durationMs: 3,
      startedAt: 4,
      result: {
        ok: true,
        staged: { value: 1, files: paths.map((file) => ({ ref: { $artifact: "x" }, file })) },
      },
    }) as never;
  const file = (name: string, size: number): string => {
    const path = join(tempRoot().root, name);
    writeFileSync(path, "x".repeat(size));
    return path;
  };
  const short = (line: unknown): string => {
    const [one] = Array.isArray(line) ? (line as FromRunner[]) : [line as FromRunner];
    if (one?.type === "done") return `done ${one.id} ${one.result.ok}`;
    const { type, file: nth, last, data } = line as Record<string, unknown>;
    if (type !== "piece") return String(one?.type);
    return `piece ${String(nth)} ${Buffer.from(data as string, "base64").length} ${String(last)}`;
  };

  it("goes piece by piece, and then its end, while all else passes it", async () => {
    const { wire, socket, said } = link();
    said();
    const [a, b, c] = [file("a", PIECE_BYTES + 1), file("b", 0), file("c", 5)];
    socket.writableNeedDrain = true;
    wire.send([done("one", a, b), output("x"), done("two", c)]);
    await expect.poll(() => socket.lines.length).toBe(2);
    expect(said().map(short)).toEqual(["output", `piece 0 ${PIECE_BYTES} false`]);
    // The next piece is read when the last one was taken.
    for (let turns = 0; turns < 50; turns += 1) await nextTurn();
    wire.send([output("y")]);
    expect(said().map(short)).toEqual(["output"]);
    socket.writableNeedDrain = false;
    socket.emit("drain");
    await expect.poll(() => socket.lines.length).toBe(5);
    expect(said().map(short)).toEqual([
      "piece 0 1 true",
      "piece 1 0 true",
      "done one true",
      "piece 0 5 true",
      "done two true",
    ]);
    await expect.poll(() => [a, b, c].filter((path) => existsSync(path))).toEqual([]);
  });

  it("whose file cannot be read has failed, with the reason, and its other files go", async () => {
    const { wire, socket, said } = link();
    said();
    const there = file("a", 5);
    wire.send([done("one", "/nowhere/x", there)]);
    await expect.poll(() => socket.lines.length).toBe(1);
    expect(said()).toEqual([
      [
        {
          type: "done",
          id: "one",
          durationMs: 3,
          startedAt: 4,
          result: {
            ok: false,
            outcome: "failed",
            error: {
              name: "PlaceError",
              message: expect.stringMatching(
                /^its result could not be read over there: ENOENT.*\/nowhere\/x/,
              ),
              code: "ORCHD_PLACE",
            },
          },
        },
      ],
    ]);
    await expect.poll(() => existsSync(there)).toBe(false);
  });
});
