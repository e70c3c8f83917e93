import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { refused, type Reply, type RequestInput } from "../../src/core/request.ts";
import { systemDisk } from "../../src/disk/disk.ts";
import {
  RequestInbox,
  type InboxPorts,
  type TakenRequest,
} from "../../src/engine/request-inbox.ts";
import { readReply, writeReply, writeRequest } from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readWorkSign } from "../../src/ledger/work-sign.ts";
import { silentLog } from "../../src/log.ts";
import { awaitSight } from "../support/await-event.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function inboxAt(
  runs: string,
  carryOut: (request: TakenRequest) => Promise<Reply>,
  more: Partial<InboxPorts> = {},
): RequestInbox {
  return new RequestInbox({
    clock: new VirtualClock(),
    log: silentLog,
    store: new RunStore(runs),
    carryOut,
    ...more,
  });
}

it("carries a request out once, however often its reply cannot be written", async () => {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  const taken: string[] = [];
  const inbox = inboxAt(runs, ({ id }) => {
    taken.push(id);
    return Promise.resolve({ accepted: true, run: `p@20261123T10151${taken.length}.000Z-m` });
  });
  await writeRequest(runs, { type: "submit", pipeline: "p" }, { id: "r1" });
  // A file in the place of the replies folder: no reply can be written, as on a full disk.
  writeFileSync(store.replies, "");
  for (let round = 0; round < 3; round += 1) await inbox.takeUpAll();
  expect(readdirSync(store.requests)).toEqual(["r1.json"]);
  rmSync(store.replies);
  await inbox.takeUpAll();
  expect(taken).toEqual(["r1"]);
  expect(readReply(runs, "r1")).toMatchObject({ accepted: true, run: "p@20261123T101511.000Z-m" });
  expect(readdirSync(store.requests)).toEqual([]);
});

it("carries a request out once where only writing its reply fails", async () => {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  let taken = 0;
  const inbox = inboxAt(runs, () => {
    taken += 1;
    return Promise.resolve({ accepted: true, run: `p@20261123T10151${taken}.000Z-m` });
  });
  await writeRequest(runs, { type: "submit", pipeline: "p" }, { id: "r1" });
  // A folder in the place of the reply: it can be looked for, and not be written.
  const inTheWay = join(store.replies, "r1.json");
  mkdirSync(inTheWay, { recursive: true });
  for (let round = 0; round < 2; round += 1) {
    await inbox.takeUpAll();
    expect(taken).toBe(1);
    expect(readdirSync(store.requests)).toEqual(["r1.json"]);
  }
  rmdirSync(inTheWay);
  await inbox.takeUpAll();
  expect(taken).toBe(1);
  expect(readReply(runs, "r1")).toMatchObject({ accepted: true, run: "p@20261123T101511.000Z-m" });
  expect(readdirSync(store.requests)).toEqual([]);
});

it("refuses what is no file, and removes it", async () => {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  const inbox = inboxAt(runs, () => expect.fail("nothing of this is a request"));
  mkdirSync(join(store.requests, "folder.json"));
  writeFileSync(join(store.requests, "folder.json/x"), "");
  symlinkSync("/nowhere", join(store.requests, "dangling.json"));
  await inbox.takeUpAll();
  expect(readReply(runs, "folder")).toMatchObject({
    accepted: false,
    reason: "it is no regular file",
  });
  expect(readReply(runs, "dangling")).toMatchObject({
    accepted: false,
    reason: "it cannot be read (ELOOP)",
  });
  expect(readdirSync(store.requests).filter((name) => !name.startsWith("."))).toEqual([]);
});

it("makes a folder that the group may write, whatever the umask", () => {
  const { runs } = tempRoot();
  const umask = process.umask(0o077);
  try {
    inboxAt(runs, () => expect.fail("there is no request"));
    expect(statSync(new RunStore(runs).requests).mode & 0o777).toBe(0o770);
    expect(statSync(new RunStore(runs).requests).mode & 0o7777).toBe(0o3770);
    // What an administrator changed stays.
    chmodSync(new RunStore(runs).requests, 0o700);
    inboxAt(runs, () => expect.fail("there is no request"));
    expect(statSync(new RunStore(runs).requests).mode & 0o777).toBe(0o700);
  } finally {
    process.umask(umask);
  }
});

it.each([
  ["of an older release", 0o2770, 0o3770],
  ["that everybody may write", 0o777, 0o1777],
  ["of one user alone", 0o750, 0o750],
])("lets nobody rename another's request in a folder %s", (_, mode, wanted) => {
  const { requests, runsDir } = new RunStore(tempRoot().runs);
  mkdirSync(requests, { recursive: true });
  chmodSync(requests, mode);
  inboxAt(runsDir, () => expect.fail("there is no request"));
  expect(statSync(requests).mode & 0o7777).toBe(wanted);
});

/** Leaves requests as a flood does: whole files, not synced. */
function leave(runs: string, ids: readonly string[], request: RequestInput): void {
  const { requests } = new RunStore(runs);
  mkdirSync(requests, { recursive: true });
  for (const id of ids) writeFileSync(join(requests, `${id}.json`), JSON.stringify(request));
}

const numbered = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${name}${n}`);

it("carries out the requests of a pipeline in the order of their times and names", async () => {
  const { runs } = tempRoot();
  const taken: string[] = [];
  const inbox = inboxAt(runs, ({ id }) => {
    taken.push(id);
    return Promise.resolve({ accepted: true });
  });
  for (const [id, at] of [
    ["a", 30],
    ["c", 20],
    ["d", 10],
    ["b", 10],
  ] as const) {
    await writeRequest(runs, { type: "submit", pipeline: "p" }, { id });
    utimesSync(join(new RunStore(runs).requests, `${id}.json`), at, at);
  }
  await inbox.takeUpAll();
  expect(taken).toEqual(["b", "d", "c", "a"]);
});

it("carries a request out once where two look for it at once, before it has started", async () => {
  const { runs } = tempRoot();
  const taken: string[] = [];
  const inbox = inboxAt(runs, async ({ id }) => {
    taken.push(id);
    await nextTurn();
    return { accepted: true };
  });
  // More than are under way at a time: some are still to be taken when the other one looks.
  const ids = numbered("f", 80);
  leave(runs, ids, { type: "prune" });
  await Promise.all([inbox.takeUpAll(), inbox.takeUpAll()]);
  expect(taken.toSorted()).toEqual(ids.toSorted());
});

it("knows nothing of a request once it is answered: its id alone makes it no old one", async () => {
  const { runs } = tempRoot();
  let taken = 0;
  const inbox = inboxAt(runs, () => Promise.resolve({ accepted: true, result: { nth: ++taken } }));
  for (let times = 1; times <= 2; times += 1) {
    leave(runs, ["a"], { type: "prune" });
    await inbox.takeUpAll();
    expect(readReply(runs, "a")).toMatchObject({ result: { nth: times } });
    rmSync(join(new RunStore(runs).replies, "a.json"));
  }
});

it("only removes a request that was answered before the daemon came", async () => {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  const inbox = inboxAt(runs, () => expect.fail("it was carried out before"));
  leave(runs, ["a"], { type: "prune" });
  await writeReply(runs, "a", { accepted: true, reason: "the first" });
  await inbox.takeUpAll();
  expect(readdirSync(store.requests)).toEqual([]);
  expect(readReply(runs, "a")).toMatchObject({ reason: "the first" });
});

it("says who asked: the file's owner, and what the request says beside it", async () => {
  const { runs } = tempRoot();
  const asked: string[] = [];
  const inbox = inboxAt(runs, ({ id, by }) => {
    asked.push(`${id}: ${by}`);
    return Promise.resolve({ accepted: true });
  });
  leave(runs, ["a"], { type: "prune" });
  leave(runs, ["b"], { type: "prune", by: "cli:ann" });
  await inbox.takeUpAll();
  const uid = process.getuid!();
  expect(asked.toSorted()).toEqual([`a: uid ${uid}`, `b: cli:ann (uid ${uid})`]);
});

it("has few large requests under way at a time", async () => {
  const { runs } = tempRoot();
  let begun = 0;
  let end: (reply: Reply) => void = () => undefined;
  const long = new Promise<Reply>((resolve) => (end = resolve));
  const inbox = inboxAt(runs, () => {
    begun += 1;
    return long;
  });
  const ids = numbered("l", 12);
  for (const [at, id] of ids.entries())
    leave(runs, [id], {
      type: "submit",
      pipeline: `p${at}`,
      params: { text: "x".repeat(900_000) },
    });
  inbox.start();
  // The fifth begins while the others have less than 4 MiB together.
  await vi.waitFor(() => expect(begun).toBe(5), 10_000);
  for (let turns = 0; turns < 50; turns += 1) await nextTurn();
  expect(begun).toBe(5);
  end({ accepted: true });
  await answered(runs, ids);
  await inbox.close();
});

it("removes old replies as it starts, and each ten minutes after that", async () => {
  const { runs } = tempRoot();
  const clock = new VirtualClock();
  const { replies } = new RunStore(runs);
  const inbox = inboxAt(runs, () => expect.fail("there is no request"), { clock });
  mkdirSync(replies, { recursive: true });
  const old = join(replies, "old.json");
  const leaveOld = (): void => {
    writeFileSync(old, "{}");
    const at = clock.now() / 1_000 - 4_000;
    utimesSync(old, at, at);
  };
  leaveOld();
  inbox.start();
  await clock.until(() => !existsSync(old));
  leaveOld();
  await clock.advance(599_000);
  expect(existsSync(old)).toBe(true);
  await clock.advance(1_000);
  // The disk answers in its own time, and no time passes meanwhile.
  await vi.waitFor(() => expect(existsSync(old)).toBe(false), 10_000);
  await inbox.close();
});

it("removes old replies also once a clock that was ahead is set back", async () => {
  const { runs } = tempRoot();
  const clock = new VirtualClock();
  const { replies } = new RunStore(runs);
  const inbox = inboxAt(runs, () => expect.fail("there is no request"), { clock });
  mkdirSync(replies, { recursive: true });
  const old = join(replies, "old.json");
  inbox.start();
  clock.step(-1_000_000);
  writeFileSync(old, "{}");
  utimesSync(old, 1, 1);
  await clock.advance(600_000);
  await vi.waitFor(() => expect(existsSync(old)).toBe(false), 10_000);
  await inbox.close();
});

it("reads a request that it leaves to a daemon once", async () => {
  const { runs } = tempRoot();
  const clock = new VirtualClock();
  const asked: string[] = [];
  const inbox = inboxAt(runs, () => Promise.resolve({ accepted: true }), {
    clock,
    accepts: ({ id }) => {
      asked.push(id);
      return id === "mine";
    },
  });
  leave(runs, ["other"], { type: "prune" });
  inbox.start();
  await clock.until(() => asked.length > 0);
  for (let look = 0; look < 3; look += 1) await clock.advance(1_000);
  leave(runs, ["mine"], { type: "prune" });
  await clock.advance(1_000);
  await answered(runs, ["mine"], clock);
  await inbox.close();
  expect(asked).toEqual(["other", "mine"]);
});

it("tells what came of each request", async () => {
  const { runs } = tempRoot();
  const told: unknown[] = [];
  const tell = (level: string) => (fields: object, text: string) =>
    void told.push([level, text, fields]);
  const run = "p@20261123T101511.000Z-m";
  const inbox = inboxAt(
    runs,
    ({ id }) => Promise.resolve(id === "a" ? { accepted: true, run } : refused("it is not there")),
    { log: { ...silentLog, info: tell("info"), warn: tell("warn") } },
  );
  const { requests } = new RunStore(runs);
  leave(runs, ["b", "c", "a"], { type: "submit", pipeline: "p" });
  writeFileSync(join(requests, "c.json"), "{");
  await inbox.takeUpAll();
  const reason = readReply(runs, "c")?.reason;
  expect(told).toHaveLength(3);
  expect(told).toEqual(
    expect.arrayContaining([
      ["info", "request accepted", { request: "a", type: "submit", run }],
      ["warn", "request refused", { request: "b", type: "submit", reason: "it is not there" }],
      ["warn", "request refused", { request: "c", type: undefined, reason }],
    ]),
  );
});

describe("a flood of requests", () => {
  it("has a few under way at a time, and each once", async () => {
    const { runs } = tempRoot();
    let now = 0;
    let most = 0;
    const taken: string[] = [];
    const inbox = inboxAt(runs, async ({ id }) => {
      taken.push(id);
      most = Math.max(most, (now += 1));
      await nextTurn();
      now -= 1;
      return { accepted: true };
    });
    const ids = numbered("f", 700);
    leave(runs, ids, { type: "submit", pipeline: "p" });
    inbox.start();
    await answered(runs, ids);
    expect(taken.toSorted()).toEqual(ids.toSorted());
    expect(most).toBeLessThanOrEqual(32);
    await inbox.close();
  });

  it("gives way to the event loop while it is found", async () => {
    const { runs } = tempRoot();
    const inbox = inboxAt(runs, () => Promise.resolve({ accepted: true }));
    const large = { type: "submit", pipeline: "p", params: { text: "x".repeat(900_000) } } as const;
    leave(runs, numbered("large", 20), large);
    leave(runs, numbered("f", 500), { type: "submit", pipeline: "p" });
    let turns = 0;
    let over = false;
    const turn = (): void => {
      turns += 1;
      if (!over) setImmediate(turn);
    };
    turn();
    // Nothing matches, so this only finds them: each large file has a turn of its own.
    await inbox.takeUpAll(() => false);
    over = true;
    expect(turns).toBeGreaterThanOrEqual(20);
  });

  it("does not hold up the request of another pipeline", async () => {
    const { runs } = tempRoot();
    const taken: string[] = [];
    const inbox = inboxAt(runs, async ({ id }) => {
      taken.push(id);
      await nextTurn();
      return { accepted: false, reason: "there is no such run" };
    });
    leave(runs, numbered("f", 600), { type: "stop", run: "p@20260101T000000Z" });
    leave(runs, ["mine"], { type: "submit", pipeline: "q" });
    inbox.start();
    await answered(runs, ["mine"]);
    expect(taken.indexOf("mine")).toBeLessThan(100);
    await inbox.close();
  });

  it("of requests that never end does not hold up others", async () => {
    const { runs } = tempRoot();
    const clock = new VirtualClock();
    let hung = 0;
    const inbox = inboxAt(
      runs,
      ({ id }) => {
        if (!id.startsWith("h")) return Promise.resolve({ accepted: true });
        hung += 1;
        return hanging;
      },
      { clock },
    );
    let end: (reply: Reply) => void = () => undefined;
    const hanging = new Promise<Reply>((resolve) => (end = resolve));
    leave(runs, numbered("h", 200), { type: "submit", pipeline: "hangs" });
    inbox.start();
    await clock.until(() => hung >= 32);
    leave(runs, ["mine"], { type: "submit", pipeline: "q" });
    // Those that hang give up their places after a second, and no more than 64 of them begin.
    await clock.advance(1_100);
    await clock.advance(1_100);
    await answered(runs, ["mine"], clock);
    expect(hung).toBe(64);
    end({ accepted: true });
    await answered(runs, numbered("h", 200), clock);
    await inbox.close();
  });

  it("is answered in part before the daemon is ready, and the rest afterwards", async () => {
    const { runs } = tempRoot();
    const left: boolean[] = [];
    const told: string[] = [];
    const inbox = inboxAt(
      runs,
      (request) => {
        left.push(request.left);
        return Promise.resolve({ accepted: true });
      },
      { onNothingLeft: () => told.push("nothing left") },
    );
    leave(runs, numbered("f", 350), { type: "submit", pipeline: "p" });
    await inbox.takeUpAll();
    expect(left).toHaveLength(250);
    inbox.start();
    await answered(runs, numbered("f", 350));
    // All were there when the daemon started: an earlier one may have carried them out.
    expect(left).toEqual(Array.from({ length: 350 }, () => true));
    await inbox.close();
    expect(told).toEqual(["nothing left"]);
  });

  it("is left to the next daemon from the inbox's end on", async () => {
    const { runs } = tempRoot();
    const answers: ((reply: Reply) => void)[] = [];
    const inbox = inboxAt(runs, () => new Promise((resolve) => answers.push(resolve)));
    leave(runs, numbered("f", 40), { type: "submit", pipeline: "p" });
    const taken = inbox.takeUpAll();
    await vi.waitFor(() => expect(answers).toHaveLength(32));
    const closed = inbox.close();
    for (const answer of answers) answer({ accepted: true });
    await closed;
    await taken;
    expect([answers.length, readdirSync(new RunStore(runs).requests).length]).toEqual([32, 8]);
  });

  it("is not tried without end while no reply can be written", async () => {
    const { runs } = tempRoot();
    const clock = new VirtualClock();
    let tried = 0;
    const said: string[] = [];
    const say = (_: object, text: string): void => void said.push(text);
    const log = { ...silentLog, error: say, info: say };
    const carryOut = (): Promise<Reply> => {
      tried += 1;
      return Promise.resolve({ accepted: true });
    };
    const inbox = inboxAt(runs, carryOut, { clock, log });
    const ids = numbered("f", 300);
    leave(runs, ids, { type: "submit", pipeline: "p" });
    const { replies } = new RunStore(runs);
    // It can be looked into as a folder that is not there, and not be made.
    symlinkSync("/nowhere/at/all", replies);
    inbox.start();
    await clock.until(() => tried >= 16);
    // The disk fails in its own time.
    await vi.waitFor(() => expect(said).not.toEqual([]), 10_000);
    await clock.settle();
    // What was under way when the sixteenth failed may fail too.
    expect(tried).toBeLessThan(64);
    for (let second = 0; second < 20; second += 1) {
      await clock.advance(1_000);
      await clock.settle();
    }
    const trouble = "a request could not be answered; it stays and is tried again";
    expect(said).toEqual([trouble]);
    rmSync(replies);
    await clock.advance(1_000);
    await answered(runs, ids, clock);
    await inbox.close();
    const healed = "requests can be answered again";
    expect(said.filter((text) => text !== "request accepted")).toEqual([trouble, healed]);
    expect(tried).toBe(300);
  });
});

it("has a few under way at a time after long ones gave up their places and ended", async () => {
  const { runs } = tempRoot();
  const clock = new VirtualClock();
  let end: (reply: Reply) => void = () => undefined;
  const long = new Promise<Reply>((resolve) => (end = resolve));
  let now = 0;
  let most = 0;
  const inbox = inboxAt(
    runs,
    async ({ id }) => {
      if (id.startsWith("h")) return long;
      most = Math.max(most, (now += 1));
      await nextTurn();
      now -= 1;
      return { accepted: true };
    },
    { clock },
  );
  const [longOnes, quick] = [numbered("h", 20), numbered("q", 200)];
  leave(runs, longOnes, { type: "submit", pipeline: "p" });
  inbox.start();
  await clock.advance(1_100);
  end({ accepted: true });
  await answered(runs, longOnes, clock);
  leave(runs, quick, { type: "submit", pipeline: "q" });
  await answered(runs, quick, clock);
  expect(most).toBeLessThanOrEqual(32);
  await inbox.close();
});

it("refuses a request that is late, unless an earlier daemon may have been in time", async () => {
  const { runs } = tempRoot();
  const clock = new VirtualClock();
  const taken: [string, boolean, string | undefined][] = [];
  const inbox = inboxAt(
    runs,
    ({ id, left, late }) => {
      taken.push([id, left, late]);
      return Promise.resolve({ accepted: true });
    },
    { clock },
  );
  const at = (ms: number): string => new Date(clock.now() + ms).toISOString();
  const [past, present] = [at(-1), at(0)];
  const submit = { type: "submit", pipeline: "p" } as const;
  leave(runs, ["left"], { ...submit, notAfter: past });
  await inbox.takeUpAll();
  inbox.start();
  await clock.settle();
  leave(runs, ["late"], { ...submit, notAfter: past });
  leave(runs, ["just"], { ...submit, notAfter: present });
  await inbox.takeUpAll();
  await inbox.close();
  const late = `it was taken up after its notAfter, ${past}`;
  expect(taken).toEqual([
    ["left", true, late],
    ["just", false, undefined],
  ]);
  expect(readReply(runs, "late")).toMatchObject({ accepted: false, reason: late });
});

it("says once that nothing is left, and not before all was found", async () => {
  const { runs } = tempRoot();
  const told: string[] = [];
  const inbox = inboxAt(runs, () => Promise.resolve({ accepted: true }), {
    onNothingLeft: () => told.push("nothing left"),
  });
  for (const id of ["a", "b"]) {
    leave(runs, [id], { type: "submit", pipeline: "p" });
    await inbox.takeUpAll();
    expect(told).toEqual([]);
  }
  leave(runs, ["c"], { type: "submit", pipeline: "p" });
  inbox.start();
  await answered(runs, ["c"]);
  await inbox.close();
  expect(told).toEqual(["nothing left"]);
});

it.each<[string, number]>([
  ["EIO", 1],
  ["ENOSPC", 0],
])("a disk that fails as a reply is written ends the process: %s", async (code, times) => {
  const { runs } = tempRoot();
  const fatal: string[] = [];
  const failing = vi.spyOn(systemDisk, "rename").mockImplementation(() => {
    return Promise.reject(Object.assign(new Error(code), { code, syscall: "rename" }));
  });
  onTestFinished(() => failing.mockRestore());
  const inbox = inboxAt(runs, () => Promise.resolve({ accepted: true }), {
    onFatal: ({ message }) => fatal.push(message),
  });
  leave(runs, ["a"], { type: "submit", pipeline: "p" });
  await inbox.takeUpAll();
  expect(fatal).toHaveLength(times);
  for (const message of fatal) expect(message).toContain(new RunStore(runs).replies);
});

it("gives a sign while it is at work for long, and takes it back", async () => {
  const { runs } = tempRoot();
  const clock = new VirtualClock();
  const { orchdDir } = new RunStore(runs);
  let end: (reply: Reply) => void = () => undefined;
  const pruning = new Promise<Reply>((resolve) => (end = resolve));
  const inbox = inboxAt(runs, () => pruning, { clock });
  leave(runs, ["a", "b"], { type: "prune" });
  inbox.start();
  await clock.advance(4_000);
  expect(readWorkSign(orchdDir, clock.now())).toBeUndefined();
  await clock.advance(60_000);
  expect(readWorkSign(orchdDir, clock.now())).toMatchObject({ waiting: 1, underWay: ["a"] });
  end({ accepted: true });
  await answered(runs, ["a", "b"], clock);
  await clock.until(() => !existsSync(join(orchdDir, "work.json")));
  await inbox.close();
});

it("does not carry out what was withdrawn while it waited", async () => {
  const { runs } = tempRoot();
  const taken: string[] = [];
  let end: (reply: Reply) => void = () => undefined;
  const first = new Promise<Reply>((resolve) => (end = resolve));
  const inbox = inboxAt(runs, ({ id, request }) => {
    taken.push(id);
    return request.type === "prune" ? first : Promise.resolve({ accepted: true });
  });
  // One prune at a time: the second waits.
  leave(runs, ["a", "b"], { type: "prune" });
  inbox.start();
  await awaitSight(runs, () => (taken.length > 0 ? true : undefined), "the first prune");
  rmSync(join(new RunStore(runs).requests, `${taken[0] === "a" ? "b" : "a"}.json`));
  leave(runs, ["c"], { type: "submit", pipeline: "q" });
  end({ accepted: true });
  await answered(runs, [taken[0]!, "c"]);
  await inbox.close();
  expect(taken.toSorted()).toEqual([taken[0]!, "c"].toSorted());
});

/** Waits until requests are answered and removed. */
async function answered(runs: string, ids: readonly string[], clock?: VirtualClock): Promise<void> {
  const { requests } = new RunStore(runs);
  const left = new Set(ids);
  const isAnswered = (id: string): boolean =>
    readReply(runs, id) !== null && !existsSync(join(requests, `${id}.json`));
  // Each once: reading hundreds of replies at each change would take longer than the answers.
  const isDone = (): boolean => {
    for (const id of left)
      if (isAnswered(id)) left.delete(id);
      else return false;
    return true;
  };
  if (clock === undefined)
    await awaitSight(runs, () => (isDone() ? true : undefined), `${ids.length} answers`);
  else await clock.until(isDone);
}

it.each([
  ["submit", { type: "submit", pipeline: "p" }],
  ["stop", { type: "stop", run: "", mode: "graceful" }],
  ["pause", { type: "pause", pipeline: "p" }],
  ["silence", { type: "silence", pipeline: "p", until: "2099-01-01T00:00:00Z" }],
] as const)(
  "answers a %s that was carried out before a crash as it was, though it is late by now",
  async (_, asked) => {
    const rig = new EngineRig({
      runs: tempRoot().runs,
      script: { durationOf: () => 3_600_000, stopMs: 1_000_000 },
    });
    await rig.up();
    await rig.drop(pipelineOf("p", [scheduleOf({ cron: "0 0 1 1 *" })]));
    const ask = async (id: string, request: RequestInput): Promise<void> => {
      const notAfter = new Date(rig.clock.now() + 60_000).toISOString();
      await writeRequest(rig.store.runsDir, { ...request, notAfter }, { id });
      utimesSync(
        join(rig.store.requests, `${id}.json`),
        rig.clock.now() / 1_000,
        rig.clock.now() / 1_000,
      );
    };
    const answered = async (id: string, request: RequestInput): Promise<Reply> => {
      await rig.kill();
      await ask(id, request);
      await rig.up();
      return readReply(rig.store.runsDir, id)!;
    };
    const { run } = await answered("first", { type: "submit", pipeline: "p" });
    const request: RequestInput = asked.type === "stop" ? { ...asked, run: run! } : asked;
    const reply = await answered("r1", request);
    expect(reply).toMatchObject({ accepted: true });
    const before = rig.store.list("p");
    // The crash came before the reply.
    await rig.kill();
    rmSync(join(rig.store.replies, "r1.json"));
    await ask("r1", request);
    await ask("r2", asked.type === "stop" ? { type: "submit", pipeline: "p" } : request);
    await rig.clock.advance(120_000);
    await rig.up();
    expect(readReply(rig.store.runsDir, "r1")).toMatchObject({
      accepted: true,
      ...(reply.run === undefined ? {} : { run: reply.run }),
    });
    expect(readReply(rig.store.runsDir, "r2")).toMatchObject({
      accepted: false,
      reason: expect.stringContaining("notAfter") as string,
    });
    expect(rig.store.list("p")).toEqual(before);
    expect(existsSync(join(rig.store.requests, "r1.json"))).toBe(false);
    await rig.down();
  },
);
