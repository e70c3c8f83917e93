/** What each request is answered, to the letter, and what it leaves in a run's header. */
import { describe, expect, it } from "vitest";
import type { RunHeader } from "../../src/core/event.ts";
import type { Reply, Request } from "../../src/core/request.ts";
import { RequestHandlers, type HandlerPorts } from "../../src/engine/request-handlers.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";
import { header, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const RUN = "p@20261123T020000Z";
const NOW = "2026-11-23T02:00:00.000Z";
const P = pipelineOf("p", [], { params: { depth: 1 } });
const plain = pipelineOf("q", []);
const nightly = pipelineOf("nightly", []);

interface Desk {
  removed?: boolean;
  changed?: boolean;
}

function rig({ removed = false, changed = true }: Desk = {}, ports: Partial<HandlerPorts> = {}) {
  const made: { readonly header: RunHeader; readonly ticket: Record<string, unknown> }[] = [];
  const asked: unknown[] = [];
  const store = new RunStore(tempRoot().runs);
  const desk = (loaded: typeof P) => ({
    name: loaded.name,
    loaded,
    state: { removed, requests: new Set() },
    queueTerms: () => ({ pipeline: loaded.name, priority: 0 }),
    makeRun: (one: RunHeader, ticket: Record<string, unknown>) => {
      made.push({ header: one, ticket });
      return Promise.resolve();
    },
    setPaused: (...given: unknown[]) => {
      asked.push(given);
      return Promise.resolve(changed);
    },
    setSilence: (...given: unknown[]) => {
      asked.push(given);
      return Promise.resolve(changed);
    },
  });
  const desks = new Map([P, plain, nightly].map((loaded) => [loaded.name, desk(loaded)]));
  const handlers = new RequestHandlers({
    clock: new VirtualClock({ start: NOW }),
    log: silentLog,
    store,
    runs: { get: () => undefined },
    backfills: {},
    refresh: (name: string) => {
      const found = desks.get(name);
      return Promise.resolve(
        found === undefined
          ? { ok: false, reason: `there is no file of ${name}` }
          : { ok: true, loaded: found.loaded, desk: found },
      );
    },
    find: (name: string) => desks.get(name),
    names: () => [...desks.keys()],
    folded: () => Promise.resolve(undefined),
    upkeep: () => Promise.resolve({ accepted: true }),
    setAside: () => undefined,
    ...ports,
  } as unknown as HandlerPorts);
  const ask = (request: object, late?: string): Promise<Reply> =>
    handlers.carryOut({
      id: "q1",
      by: "cli:ann",
      writtenAt: 0,
      left: false,
      late,
      request: request as Request,
    });
  return { store, made, asked, ask };
}

const no = (reason: string, more: object = {}): object => ({ accepted: false, reason, ...more });

describe("a request that nothing can come of is refused", () => {
  it.each<[object, object]>([
    [
      { type: "pause", pipeline: "nightli" },
      no('there is no pipeline "nightli"; did you mean "nightly"?'),
    ],
    [{ type: "resume", pipeline: "zzzzz" }, no('there is no pipeline "zzzzz"')],
    [
      { type: "silence", pipeline: "zzzzz", until: "2999-01-01" },
      no('there is no pipeline "zzzzz"'),
    ],
    [{ type: "submit", pipeline: "zz" }, no("there is no file of zz")],
    [
      { type: "submit", pipeline: "p", digest: "f".repeat(64) },
      no(
        "version ffffffffffff of pipeline p was asked for, and its file /nowhere/p.yaml " +
          `is version ${P.digest.slice(0, 12)} now`,
      ),
    ],
    [
      { type: "submit", pipeline: "p", params: { dept: 2 } },
      no('pipeline p declares no param "dept"; did you mean "depth"?'),
    ],
    [
      { type: "submit", pipeline: "p", run: "q@20261123T010000.000Z-m" },
      no("q@20261123T010000.000Z-m is no id of a run of p by hand"),
    ],
    [{ type: "submit", pipeline: "p", run: RUN }, no(`${RUN} is no id of a run of p by hand`)],
    [{ type: "stop", run: RUN, mode: "graceful" }, no(`there is no run ${RUN}`, { run: RUN })],
    [{ type: "rerun", run: RUN }, no(`there is no run ${RUN}`)],
    [
      { type: "silence", pipeline: "p", until: NOW },
      no(`until: ${NOW} has passed; name a time that comes`),
    ],
    [
      { type: "silence", pipeline: "p", until: "2026-11-23T01:59:59.999Z" },
      no("until: 2026-11-23T01:59:59.999Z has passed; name a time that comes"),
    ],
  ])("%j", async (request, reply) => {
    expect(await rig().ask(request)).toEqual(reply);
  });

  it("where it came too late, or its pipeline is set aside, or its file is gone", async () => {
    const pause = { type: "pause", pipeline: "p" };
    expect(await rig().ask(pause, "it is too late")).toEqual(no("it is too late"));
    const aside = rig({}, { setAside: () => "its folder is a file" });
    expect(await aside.ask(pause)).toEqual(no("pipeline p is set aside: its folder is a file"));
    expect(await rig({ removed: true }).ask(pause)).toEqual(no('there is no pipeline "p"'));
  });

  it("where its run has ended, or another has its ledger", async () => {
    const stop = { type: "stop", run: RUN, mode: "force" };
    const { store, ask } = rig();
    const finished = { type: "run.finished", status: "failed", because: "x", durationMs: 1 };
    writeRun(store.runsDir, RUN, [header(RUN, { a: [] }), finished]);
    expect(await ask(stop)).toEqual(no(`run ${RUN} has finished already: failed`, { run: RUN }));
    const driven = rig();
    writeRun(driven.store.runsDir, RUN, [header(RUN, { a: [] })]);
    expect(await driven.ask(stop)).toEqual(
      no(
        `run ${RUN} is not driven by this daemon: its ledger could not be taken over; ` +
          "see the daemon's log",
        { run: RUN },
      ),
    );
  });
});

it.each<[object, boolean, Reply]>([
  [{ type: "pause" }, true, { accepted: true }],
  [{ type: "pause" }, false, { accepted: true, reason: "it was paused already" }],
  [{ type: "resume" }, true, { accepted: true }],
  [{ type: "resume" }, false, { accepted: true, reason: "it was not paused" }],
  [{ type: "silence", until: null }, true, { accepted: true }],
  [{ type: "silence", until: null }, false, { accepted: true, reason: "it was not silent" }],
  [{ type: "silence", until: "2026-11-23T02:00:00.001Z" }, true, { accepted: true }],
])("%j, where that changes something: %s, is answered %j", async (request, changed, reply) => {
  const { ask, asked } = rig({ changed });
  expect(await ask({ ...request, pipeline: "p", because: "repairs" })).toEqual(reply);
  const { type, until = null } = request as { readonly type: string; readonly until?: string };
  const who = { requestId: "q1", by: "cli:ann" };
  expect(asked).toEqual([
    type === "silence" ? [until, { ...who, because: "repairs" }] : [type === "pause", who],
  ]);
});

describe("a run by hand", () => {
  it("has its params, who asked, and the next free moment as its id", async () => {
    const { ask, made, store } = rig();
    writeRun(store.runsDir, "p@20261123T020000.000Z-m", [header("p@20261123T020000.000Z-m", {})]);
    const reply = await ask({ type: "submit", pipeline: "p", params: { depth: 2 } });
    expect(reply).toEqual({ accepted: true, run: "p@20261123T020000.001Z-m" });
    expect(made[0]!.header).toMatchObject({
      run: "p@20261123T020000.001Z-m",
      params: { depth: 2 },
      trigger: { kind: "manual", requestId: "q1" },
      because: "asked for by cli:ann",
    });
    expect(made[0]!.ticket).toMatchObject({ kind: "manual", order: Date.parse(NOW) + 1 });
  });

  it.each([
    [{ noCache: true }, true],
    [{ noCache: false }, undefined],
    [{}, undefined],
  ])("with %j says so: %s", async (more, noCache) => {
    const { ask, made } = rig();
    await ask({ type: "submit", pipeline: "p", ...more });
    expect(made[0]!.header.trigger.noCache).toBe(noCache);
  });

  it("is told what nothing reads", async () => {
    expect(await rig().ask({ type: "submit", pipeline: "q", params: { x: 1 } })).toEqual({
      accepted: true,
      run: "q@20261123T020000.000Z-m",
      reason: 'pipeline q declares no params, so nothing reads "x"',
    });
  });
});

describe("a re-run", () => {
  function folded(happened: (run: GivenRun) => void, more: object = {}) {
    const steps = [stepSpec("a"), stepSpec("b", { needs: ["a"] })];
    const run = new GivenRun(snapshotOf(steps)).happen({ type: "run.started", because: "x" });
    happened(run);
    const of = { ...run.lines[0]!, run: RUN, ...more };
    return { header: of, state: run.state, damaged: false } as never;
  }
  const failed = (run: GivenRun): void =>
    void run.start("a").complete("a").start("b").fail("b").settle();
  const trigger = {
    kind: "schedule",
    scheduledFor: "2026-11-23T01:00:00.000Z",
    schedule: "hourly",
  };

  it.each<[object, object, Record<string, string>]>([
    [{}, {}, {}],
    [{ failed: true }, {}, { a: RUN }],
    [{ from: "b" }, { from: "b" }, { a: RUN }],
    [{ from: "a" }, { from: "a" }, {}],
  ])("%j tells where it comes from, and reuses %j", async (more, told, reuse) => {
    const { ask, made, store } = rig(
      {},
      { folded: () => Promise.resolve(folded(failed, { trigger })) },
    );
    writeRun(store.runsDir, RUN, [header(RUN, {})]);
    expect(await ask({ type: "rerun", run: RUN, ...more })).toEqual({
      accepted: true,
      run: `${RUN}-r1`,
    });
    expect(made[0]!.header).toMatchObject({
      run: `${RUN}-r1`,
      reuse,
      because: `a re-run of ${RUN}, asked for by cli:ann`,
    });
    expect(made[0]!.header.trigger).toEqual({
      kind: "rerun",
      of: RUN,
      requestId: "q1",
      scheduledFor: trigger.scheduledFor,
      schedule: "hourly",
      ...told,
    });
    expect(made[0]!.ticket).toMatchObject({ kind: "rerun", order: Date.parse(NOW) });
  });

  it("of a run that goes on, or whose code was pruned, is refused", async () => {
    const asked = async (happened: (run: GivenRun) => void, code?: object): Promise<Reply> => {
      const given = folded(happened) as unknown as { header: { snapshot: { steps: object[] } } };
      if (code !== undefined) given.header.snapshot.steps.push(code);
      const { ask, store } = rig({}, { folded: () => Promise.resolve(given as never) });
      writeRun(store.runsDir, RUN, [header(RUN, {})]);
      return ask({ type: "rerun", run: RUN });
    };
    expect(await asked(() => undefined)).toEqual(
      no(`run ${RUN} has not finished; stop it first, or wait for its end`),
    );
    const { run: _, ...spec } = stepSpec("c");
    const code = { bundle: "0123456789ab".padEnd(64, "c"), pick: "export:default", source: "c.ts" };
    expect(await asked(failed, { ...spec, code })).toEqual(
      no(
        `the code that run ${RUN} ran was pruned (bundle 0123456789ab); ` +
          "use --edited to run the pipeline file as it is now",
      ),
    );
  });
});
