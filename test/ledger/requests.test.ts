import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { parseRequest, type RequestInput } from "../../src/core/request.ts";
import { systemDisk } from "../../src/disk/disk.ts";
import {
  expireReplies,
  isRequestId,
  readReply,
  readRequest,
  removeRequest,
  requestIds,
  waitForReply,
  writeReply,
  writeRequest,
  type ReadRequest,
} from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { recordDiskCalls } from "../support/disk-calls.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const submit: RequestInput = { type: "submit", pipeline: "p", params: { n: 1 }, by: "cli:root" };

/** All requests that are there. */
function readRequests(requests: string): ReadRequest[] {
  return [...requestIds(requests)].map((id) => readRequest(requests, id, parseRequest)!);
}

function folders(): { runs: string; requests: string; replies: string } {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  return { runs, requests: store.requests, replies: store.replies };
}

describe("a request", () => {
  it("is a whole file from the start, and stays until it is removed", async () => {
    const { runs, requests } = folders();
    const id = await writeRequest(runs, submit);
    expect(isRequestId(id)).toBe(true);
    expect(readdirSync(requests)).toEqual([`${id}.json`]);
    expect(JSON.parse(readFileSync(join(requests, `${id}.json`), "utf8"))).toEqual(submit);
    const [read] = readRequests(requests);
    expect(read).toMatchObject({ id, ok: true, owner: process.getuid!(), request: submit });
    expect(readRequests(requests)).toHaveLength(1);
    await removeRequest(runs, id);
    await removeRequest(runs, id);
    expect(readRequests(requests)).toEqual([]);
  });

  it("is durable, name included, once it is left, and gone for good once removed", async () => {
    const { runs, requests } = folders();
    const path = join(requests, "mine.json");
    const calls = recordDiskCalls();
    await writeRequest(runs, submit, { id: "mine" });
    expect(calls.slice(-4).map((call) => call.replace(/\.mine\S+/, "ASIDE"))).toEqual([
      `write ${requests}/ASIDE`,
      `datasync ${requests}/ASIDE`,
      `rename ${path}`,
      `sync ${requests}`,
    ]);
    await removeRequest(runs, "mine");
    expect(calls.slice(-2)).toEqual([`unlink ${path}`, `sync ${requests}`]);
    mkdirSync(path);
    await removeRequest(runs, "mine");
    expect(calls.at(-1)).toBe(`sync ${requests}`);
    expect(calls.at(-2)).toMatch(/^rename \S+\/\.mine/);
  });

  it("with the same id twice is one request", async () => {
    const { runs, requests } = folders();
    await writeRequest(runs, submit, { id: "mine" });
    await writeRequest(runs, submit, { id: "mine" });
    expect(readRequests(requests).map(({ id }) => id)).toEqual(["mine"]);
  });

  it("is never lost among a hundred written at once", async () => {
    const { runs, requests } = folders();
    const ids = await Promise.all(Array.from({ length: 100 }, () => writeRequest(runs, submit)));
    expect(new Set(ids).size).toBe(100);
    expect(
      readRequests(requests)
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(ids.toSorted());
  });

  it.each(["../x", ".x", "", "a/b", "x".repeat(65), "ü"])("cannot be named %j", async (id) => {
    const { runs } = folders();
    await expect(writeRequest(runs, submit, { id })).rejects.toThrow(RangeError);
    await expect(writeReply(runs, id, { accepted: true })).rejects.toThrow(RangeError);
    expect(() => readReply(runs, id)).toThrow(RangeError);
  });
});

describe("a file that is no request", () => {
  const bad = (
    name: string,
    make: (path: string) => void,
    reason: RegExp,
  ): [string, (path: string) => void, RegExp] => [name, make, reason];
  it.each([
    bad(
      "an unknown key",
      (path) => writeFileSync(path, '{"type":"submit","pipeline":"p","no_cache":true}'),
      /a submit request has no field "no_cache"; did you mean "noCache"\?/,
    ),
    bad(
      "an unknown type",
      (path) => writeFileSync(path, '{"type":"explode"}'),
      /there is no type "explode"; a request is one of submit, stop, /,
    ),
    bad(
      "a pipeline that leaves its folder",
      (path) => writeFileSync(path, '{"type":"pause","pipeline":"../etc"}'),
      /field pipeline must be a pipeline's name/,
    ),
    bad(
      "a run's id that is none",
      (path) => writeFileSync(path, '{"type":"stop","run":"p@../..","mode":"force"}'),
      /field run must be a run's id/,
    ),
    bad("half a file", (path) => writeFileSync(path, '{"type":"submit",'), /^it is not JSON$/),
    bad("an empty file", (path) => writeFileSync(path, ""), /^it is not JSON$/),
    bad(
      "a number that would be rounded",
      (path) => writeFileSync(path, '{"type":"submit","pipeline":"p","params":{"a":[1e400]}}'),
      /^it holds the number 1e400, which would become no number at all/,
    ),
    bad(
      "a key that stands twice",
      (path) => writeFileSync(path, '{"type":"pause","pipeline":"p","pipeline":"q"}'),
      /^it has the key "pipeline" twice in one map/,
    ),
    bad(
      "bad UTF-8",
      (path) => writeFileSync(path, Buffer.from([0x22, 0xff, 0x22])),
      /^it is not UTF-8$/,
    ),
    bad(
      "a file that is too long",
      (path) => writeFileSync(path, " ".repeat((1 << 20) + 1)),
      /^it is longer than 1 MiB$/,
    ),
    bad("a folder", (path) => mkdirSync(path), /^it is no regular file$/),
    bad("a pipe", (path) => void execFileSync("mkfifo", [path]), /^it is no regular file$/),
    bad("a link", (path) => symlinkSync("/etc/passwd", path), /^it cannot be read \(ELOOP\)$/),
    bad(
      "null",
      (path) => writeFileSync(path, "null"),
      /^the request must be a JSON object such as .*, not null$/,
    ),
  ])("%s is refused with its reason", (_, make, reason) => {
    const { requests } = folders();
    mkdirSync(requests, { recursive: true });
    make(join(requests, "r1.json"));
    const [read] = readRequests(requests);
    expect(read).toMatchObject({ id: "r1", ok: false });
    expect(!read!.ok && read!.reason).toMatch(reason);
  });

  it("may have a dot-name, another ending, or a bad name: only the last is reported", () => {
    const { requests } = folders();
    mkdirSync(requests, { recursive: true });
    for (const name of [".a.json", "b.tmp", "c d.json"])
      writeFileSync(join(requests, name), JSON.stringify(submit));
    expect(readRequests(requests)).toMatchObject([
      { id: "c d", ok: false, reason: "its name is no request's id" },
    ]);
  });
});

describe("a request's defaults", () => {
  it("are filled in", () => {
    expect(parseRequest({ type: "stop", run: "p@20260101T000000Z" })).toEqual({
      ok: true,
      request: { type: "stop", run: "p@20260101T000000Z", mode: "graceful" },
    });
    expect(
      parseRequest({
        type: "backfill",
        pipeline: "p",
        from: "2026-01-01T00:00:00Z",
        to: "2026-01-02T00:00:00+01:00",
      }),
    ).toMatchObject({
      ok: true,
      request: { which: "missing" },
    });
  });
});

it("a request of 1 MiB is taken to its last byte", () => {
  const { requests } = folders();
  mkdirSync(requests, { recursive: true });
  const text = JSON.stringify(submit);
  writeFileSync(join(requests, "r1.json"), text + " ".repeat((1 << 20) - text.length));
  expect(readRequest(requests, "r1", parseRequest)).toMatchObject({ ok: true, bytes: 1 << 20 });
});

it("a request that cannot be removed stays, and that is told", async () => {
  const { runs, requests } = folders();
  await writeRequest(runs, submit, { id: "r1" });
  const fault = Object.assign(new Error("EROFS"), { code: "EROFS" });
  const failing = vi.spyOn(systemDisk, "unlink").mockRejectedValue(fault);
  onTestFinished(() => failing.mockRestore());
  await expect(removeRequest(runs, "r1")).rejects.toBe(fault);
  expect(readdirSync(requests)).toEqual(["r1.json"]);
});

describe("a reply", () => {
  it("is waited for, and can be read more than once", async () => {
    const { runs } = folders();
    const clock = new VirtualClock();
    const waited = waitForReply(runs, "r1", 5_000, clock);
    await clock.advance(100);
    await writeReply(runs, "r1", { accepted: true, run: "p@20260101T000000Z" });
    await clock.advance(100);
    expect(await waited).toEqual({ accepted: true, run: "p@20260101T000000Z" });
    expect(readReply(runs, "r1")).toEqual({ accepted: true, run: "p@20260101T000000Z" });
    expect(clock.timers).toBe(0);
  });

  it("is null if it has not come in time", async () => {
    const { runs } = folders();
    const clock = new VirtualClock();
    // Also where that time is no whole number of looks.
    for (const time of [1_000, 1_003]) {
      let answer: unknown = "none";
      void waitForReply(runs, "r1", time, clock).then((reply) => (answer = reply));
      await clock.advance(time - 1);
      expect(answer).toBe("none");
      await clock.advance(1);
      expect(answer).toBeNull();
      expect(clock.timers).toBe(0);
    }
  });

  it("is kept for an hour", async () => {
    const { runs, replies } = folders();
    await writeReply(runs, "old", { accepted: true });
    await writeReply(runs, "new", { accepted: false, reason: "no" });
    const now = 1_800_000_000;
    utimesSync(join(replies, "old.json"), now - 3_601, now - 3_601);
    utimesSync(join(replies, "new.json"), now - 3_600, now - 3_600);
    // Somebody's folder is left alone, and keeps no reply.
    mkdirSync(join(replies, "folder"));
    utimesSync(join(replies, "folder"), 1, 1);
    expect(readdirSync(replies)).toHaveLength(3);
    expect(await expireReplies(runs, now * 1_000)).toBe(1);
    expect([readReply(runs, "old"), readReply(runs, "new")]).toEqual([
      null,
      { accepted: false, reason: "no" },
    ]);
    expect(await expireReplies("/nowhere", now)).toBe(0);
  });

  it("may name a hundred thousand runs, as that to a prune does", async () => {
    const { runs } = folders();
    const removed = Array.from({ length: 100_000 }, (_, n) => ({ run: `p@${n}`, because: "old" }));
    await writeReply(runs, "r1", { accepted: true, result: { runs: removed } });
    expect(readReply(runs, "r1")?.result).toEqual({ runs: removed });
  });

  it("is durable before its request is removed", async () => {
    const { runs, requests, replies } = folders();
    await writeRequest(runs, submit, { id: "r1" });
    const calls = recordDiskCalls();
    await writeReply(runs, "r1", { accepted: true });
    await removeRequest(runs, "r1");
    const named = calls.indexOf(`rename ${join(replies, "r1.json")}`);
    const synced = calls.indexOf(`sync ${replies}`, named);
    expect(calls[named - 1]).toMatch(/^datasync /);
    expect(named).toBeGreaterThan(0);
    expect(synced).toBeGreaterThan(named);
    expect(calls.indexOf(`unlink ${join(requests, "r1.json")}`)).toBeGreaterThan(synced);
  });

  it("survives a move of the whole folder", async () => {
    const { runs } = folders();
    await writeRequest(runs, submit, { id: "r1" });
    renameSync(runs, `${runs}-2`);
    expect(existsSync(join(`${runs}-2`, ".orchd", "requests", "r1.json"))).toBe(true);
    await writeReply(runs, "r1", { accepted: true });
    expect(readReply(runs, "r1")).toEqual({ accepted: true });
  });
});
