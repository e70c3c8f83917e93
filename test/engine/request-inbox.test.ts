import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Reply, RequestInput } from "../../src/core/request.ts";
import { RequestInbox, type TakenRequest } from "../../src/engine/request-inbox.ts";
import { readReply, writeRequest } from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import { EngineRig, pipelineOf, scheduleOf } from "../support/engine-rig.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function inboxAt(runs: string, carryOut: (request: TakenRequest) => Promise<Reply>): RequestInbox {
  return new RequestInbox({
    clock: new VirtualClock(),
    log: silentLog,
    store: new RunStore(runs),
    carryOut,
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
    // What an administrator changed stays.
    chmodSync(new RunStore(runs).requests, 0o700);
    inboxAt(runs, () => expect.fail("there is no request"));
    expect(statSync(new RunStore(runs).requests).mode & 0o777).toBe(0o700);
  } finally {
    process.umask(umask);
  }
});

it.each([
  ["submit", { type: "submit", pipeline: "p" }],
  ["stop", { type: "stop", run: "", mode: "graceful" }],
  ["pause", { type: "pause", pipeline: "p" }],
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
