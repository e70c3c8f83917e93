/**
 * A request that comes again under its id is answered again, and nothing is done twice: whatever
 * became of its reply, and whichever daemon had carried it out (semantics.md 23).
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import type { RequestInput } from "../../src/core/request.ts";
import { readReply, writeRequest } from "../../src/ledger/requests.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { tempRoot } from "../support/temp-root.ts";

/** Real time: the folder's watcher is real. */
vi.setConfig({ testTimeout: 120_000 });

const MINUTE_MS = 60_000;
const P = pipelineOf("p", [scheduleOf({ cron: "0 * * * *", catchUp: "none" })]);
const SUBMIT = { type: "submit", pipeline: "p" } as const;
const SLOTS = { from: "2026-11-22T01:00:00Z", to: "2026-11-22T02:00:00Z" } as const;

async function rigWith(durationMs = 5_000): Promise<EngineRig> {
  const script = { durationOf: () => durationMs, stopMs: 3_000 };
  const rig = new EngineRig({ runs: tempRoot().runs, script });
  await rig.up();
  await rig.drop(P);
  return rig;
}

async function ask(rig: EngineRig, id: string, asked: RequestInput) {
  rmSync(join(rig.store.replies, `${id}.json`), { force: true });
  await writeRequest(rig.store.runsDir, asked, { id });
  // The request goes after its reply has come.
  const request = join(rig.store.requests, `${id}.json`);
  const isOver = () => readReply(rig.store.runsDir, id) !== null && !existsSync(request);
  const until = performance.now() + 30_000;
  while (!isOver() && performance.now() < until) {
    await rig.clock.advance(100);
    // A file that comes while the one before it is let go of is found at the next look. The daemon
    // looks each second, and this rig where its watcher says so.
    writeFileSync(join(rig.store.requests, ".look"), "");
  }
  return readReply(rig.store.runsDir, id)!;
}

const made = (rig: EngineRig) => rig.store.list("p");
const count = (rig: EngineRig, of: string) =>
  rig.lines("p").filter(({ type }) => type === of).length;

it.each(["lives on", "was killed", "was killed twice"])(
  "makes one run, where the daemon %s",
  async (daemon) => {
    const rig = await rigWith();
    const first = await ask(rig, "s1", SUBMIT);
    await rig.clock.advance(MINUTE_MS);
    for (const _ of daemon.split(" ").includes("twice") ? [1, 2] : [1]) {
      if (daemon === "lives on") break;
      await rig.kill();
      await rig.up();
    }
    expect(made(rig)).toEqual([first.run]);
    expect(await ask(rig, "s1", SUBMIT)).toMatchObject({ accepted: true, run: first.run });
    await rig.clock.advance(MINUTE_MS);
    expect(made(rig)).toEqual([first.run]);
    // Another id is another request.
    const other = await ask(rig, "s2", SUBMIT);
    await rig.clock.advance(MINUTE_MS);
    expect(new Set(made(rig))).toEqual(new Set([first.run, other.run]));
    await rig.down();
  },
);

it.each(["lives on", "was killed"])(
  "neither pauses, resumes nor fills twice, where the daemon %s",
  async (daemon) => {
    const rig = await rigWith();
    await ask(rig, "p1", { type: "pause", pipeline: "p" });
    await ask(rig, "p2", { type: "resume", pipeline: "p" });
    await ask(rig, "b1", { type: "backfill", pipeline: "p", ...SLOTS, which: "all" });
    await rig.clock.advance(MINUTE_MS);
    expect(made(rig)).toHaveLength(2);
    if (daemon === "was killed") {
      await rig.kill();
      await rig.up();
    }
    // Its own resume came later: to pause again would be a new decision.
    expect((await ask(rig, "p1", { type: "pause", pipeline: "p" })).accepted).toBe(true);
    const backfill = { type: "backfill", pipeline: "p", ...SLOTS, which: "all" } as const;
    expect((await ask(rig, "b1", backfill)).accepted).toBe(true);
    await rig.clock.advance(MINUTE_MS);
    expect(made(rig)).toHaveLength(2);
    expect([count(rig, "pipeline.paused"), count(rig, "pipeline.resumed")]).toEqual([1, 1]);
    await rig.down();
  },
);

it.each(["lives on", "was killed"])(
  "does nothing else under an id that was used, where the daemon %s",
  async (daemon) => {
    const rig = await rigWith();
    await ask(rig, "s1", SUBMIT);
    await rig.clock.advance(MINUTE_MS);
    if (daemon === "was killed") {
      await rig.kill();
      await rig.up();
    }
    expect((await ask(rig, "s1", { type: "pause", pipeline: "p" })).accepted).toBe(true);
    expect(count(rig, "pipeline.paused")).toBe(0);
    await rig.down();
  },
);

it("says the same of a stop whose run has ended since", async () => {
  const rig = await rigWith(24 * 3_600_000);
  const { run } = await ask(rig, "s1", SUBMIT);
  const stop = { type: "stop", run: run!, mode: "graceful" } as const;
  const first = await ask(rig, "t1", stop);
  expect(first).toMatchObject({ accepted: true, run });
  await rig.clock.advance(MINUTE_MS);
  expect(await ask(rig, "t1", stop)).toMatchObject({ accepted: true, run });
  expect(await ask(rig, "t2", stop)).toMatchObject({ accepted: false });
  await rig.down();
});

it("is asked anew where it was refused: nothing was done", async () => {
  const rig = new EngineRig({ runs: tempRoot().runs });
  await rig.up();
  expect((await ask(rig, "s1", SUBMIT)).accepted).toBe(false);
  await rig.drop(P);
  expect((await ask(rig, "s1", SUBMIT)).accepted).toBe(true);
  await rig.down();
});
