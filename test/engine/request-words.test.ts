/** What each request is answered, to the letter, and what it leaves in a run's header. */
import { appendFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { RunHeader } from "../../src/core/event.ts";
import type { Reply, Request } from "../../src/core/request.ts";
import { RequestHandlers, type HandlerPorts } from "../../src/engine/request-handlers.ts";
import { LedgerClosed, LedgerExists, LedgerFailed } from "../../src/ledger/ledger-error.ts";
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
  /** The requests that the ledgers have lines of. */
  before?: readonly string[];
  /** How often a run's ledger is there by the time that it is made. */
  taken?: number;
  /** Why no run can be made. */
  fault?: Error;
}

function rig(
  { removed = false, changed = true, before = [], taken = 0, fault }: Desk = {},
  ports: Partial<HandlerPorts> = {},
) {
  const made: { readonly header: RunHeader; readonly ticket: Record<string, unknown> }[] = [];
  const asked: unknown[] = [];
  const store = new RunStore(tempRoot().runs);
  let others = 0;
  const desk = (loaded: typeof P) => ({
    name: loaded.name,
    loaded,
    state: { removed, requests: new Set(before) },
    queueTerms: () => ({ pipeline: loaded.name, priority: 0 }),
    makeRun: (one: RunHeader, ticket: Record<string, unknown>) => {
      if (fault !== undefined) return Promise.reject(fault);
      if (others < taken) {
        others += 1;
        const path = writeRun(store.runsDir, one.run, [header(one.run, {})]);
        return Promise.reject(new LedgerExists(path));
      }
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
  let asks = 0;
  const ask = (request: object, late?: string, left = false): Promise<Reply> =>
    handlers.carryOut({
      id: `q${(asks += 1)}`,
      by: "cli:ann",
      writtenAt: 0,
      left,
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

  it.each([1, 2])("has the next free number, after %i others", async (taken) => {
    const { ask, made, store } = rig({ taken }, { folded: () => Promise.resolve(folded(failed)) });
    writeRun(store.runsDir, RUN, [header(RUN, {})]);
    const run = `${RUN}-r${taken + 1}`;
    expect(await ask({ type: "rerun", run: RUN })).toEqual({ accepted: true, run });
    expect(made).toMatchObject([{ header: { run, reuse: {} }, ticket: { run } }]);
  });

  it("by the edited file runs what it says now, with the params of then", async () => {
    const pruned = { bundle: "c".repeat(64), pick: "export:default", source: "c.ts" };
    const given = folded(failed, { trigger, params: { depth: 7 } }) as unknown as {
      header: { snapshot: { steps: object[] } };
    };
    given.header.snapshot.steps.push({ ...stepSpec("c"), code: pruned });
    const { ask, made, store } = rig({}, { folded: () => Promise.resolve(given as never) });
    writeRun(store.runsDir, RUN, [header(RUN, {})]);
    const run = `${RUN}-r1`;
    expect(await ask({ type: "rerun", run: RUN, edited: true })).toEqual({ accepted: true, run });
    expect(made[0]!.header).toMatchObject({
      run,
      params: { depth: 7 },
      trigger: { kind: "rerun", of: RUN, requestId: "q1", schedule: "hourly" },
      because: `a re-run of ${RUN}, asked for by cli:ann`,
    });
    expect(made[0]!.header.snapshot.steps).toEqual(P.snapshot.steps);
    const gone = rig(
      {},
      {
        folded: () => Promise.resolve(given as never),
        refresh: () => Promise.resolve({ ok: false, reason: "its file is invalid" }),
      },
    );
    writeRun(gone.store.runsDir, RUN, [header(RUN, {})]);
    expect(await gone.ask({ type: "rerun", run: RUN, edited: true })).toEqual(
      no("its file is invalid"),
    );
    // The pipeline may be gone altogether.
    const removed = rig({ removed: true }, { folded: () => Promise.resolve(given as never) });
    writeRun(removed.store.runsDir, RUN, [header(RUN, {})]);
    expect(await removed.ask({ type: "rerun", run: RUN })).toEqual(no('there is no pipeline "p"'));
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

describe("a run whose id was taken as it was made", () => {
  it.each([1, 3])("by hand has the next free moment, after %i others", async (taken) => {
    const { ask, made } = rig({ taken });
    const run = `p@20261123T020000.00${taken}Z-m`;
    expect(await ask({ type: "submit", pipeline: "p" })).toEqual({ accepted: true, run });
    expect(
      made.map(({ header: { run: id }, ticket }) => [id, ticket["run"], ticket["order"]]),
    ).toEqual([[run, run, Date.parse(NOW) + taken]]);
  });

  it("by hand and that names its id is refused", async () => {
    const id = "p@20261123T010000.000Z-m";
    const { ask, made } = rig({ taken: 1 });
    expect(await ask({ type: "submit", pipeline: "p", run: id })).toEqual(
      no(`there is a run ${id} already`),
    );
    expect(made).toEqual([]);
  });
});

describe("a request that fails", () => {
  const submit = { type: "submit", pipeline: "p" };
  it("is refused with the fault's own words, and logged", async () => {
    const logged: unknown[] = [];
    const log = { ...silentLog, error: (of: object, text: string) => void logged.push([of, text]) };
    const fault = new Error("out of luck");
    const { ask } = rig({ fault }, { log });
    expect(await ask(submit)).toEqual(no("out of luck"));
    expect(logged).toEqual([[{ request: "q1", err: fault }, "a request failed"]]);
  });

  it.each([new LedgerClosed("/x"), new LedgerFailed("/x", "Writing", new Error("y"))])(
    "as a ledger does is answered by nobody: %s",
    async (fault) => {
      await expect(rig({ fault }).ask(submit)).rejects.toBe(fault);
    },
  );
});

describe("a backfill", () => {
  const backfill = { type: "backfill", pipeline: "q", from: NOW, to: NOW, which: "all" };
  const unread = 'pipeline q declares no params, so nothing reads "x"';
  it.each<[string, Reply, Reply]>([
    ["with what nothing reads", { accepted: true }, { accepted: true, reason: unread }],
    [
      "with its own remark where it has one",
      { accepted: true, reason: "its slots end at now" },
      { accepted: true, reason: "its slots end at now" },
    ],
  ])("is answered %s", async (_, begun, reply) => {
    const asked: unknown[] = [];
    const begin = (_desk: unknown, { id }: { id: string }, request: unknown): Promise<Reply> => {
      asked.push([id, request]);
      return Promise.resolve(begun);
    };
    const { ask } = rig({}, { backfills: { begin } as never });
    const request = { ...backfill, params: { x: 1 } };
    expect(await ask(request)).toEqual(reply);
    expect(asked).toEqual([["q1", request]]);
    expect(await ask({ ...backfill, pipeline: "zz" })).toEqual(no("there is no file of zz"));
    expect(await ask({ ...backfill, pipeline: "p", params: { dept: 1 } })).toEqual(
      no('pipeline p declares no param "dept"; did you mean "depth"?'),
    );
    expect(asked).toHaveLength(1);
  });
});

describe("a request that an earlier daemon may have carried out", () => {
  const requests: readonly object[] = [
    { type: "pause", pipeline: "p" },
    { type: "resume", pipeline: "p" },
    { type: "silence", pipeline: "p", until: "2999-01-01T00:00:00.000Z" },
    { type: "backfill", pipeline: "p", from: NOW, to: NOW, which: "all" },
    { type: "cancel_backfill", id: "b1" },
  ];
  const cancel = (): Promise<Reply> => Promise.resolve(no("no backfill b1 is going on") as Reply);

  it.each(requests)("and did is answered again, though it is late now: %j", async (request) => {
    const { ask, asked } = rig({ before: ["q0", "q1"] }, { backfills: { cancel } as never });
    expect(await ask(request, "it is too late", true)).toEqual({ accepted: true });
    expect(asked).toEqual([]);
  });

  it.each(requests)("and did not is too late: %j", async (request) => {
    const { ask, asked } = rig({ before: ["q0"] }, { backfills: { cancel } as never });
    expect(await ask(request, "it is too late", true)).toEqual(no("it is too late"));
    expect(asked).toEqual([]);
  });

  it.each(["prune", "repair", "rebuild"])(
    "is done again where that does nothing: %s",
    async (type) => {
      const done: unknown[] = [];
      const upkeep = (request: unknown): Promise<Reply> => {
        done.push(request);
        return Promise.resolve({ accepted: true });
      };
      const { ask } = rig({ before: ["q1"] }, { upkeep });
      expect(await ask({ type }, undefined, true)).toEqual({ accepted: true });
      expect(done).toEqual([{ type }]);
    },
  );
});

describe("a submit that names its run", () => {
  const id = "p@20261123T010000.000Z-m";
  it.each<[string, object, Reply]>([
    ["q1", {}, { accepted: true, run: id }],
    ["another", {}, no(`there is a run ${id} already`) as Reply],
  ])("which the request %s has made is answered so", async (requestId, more, reply) => {
    const { ask, made, store } = rig();
    writeRun(store.runsDir, id, [
      header(id, {}, { trigger: { kind: "manual", requestId }, ...more }),
    ]);
    expect(await ask({ type: "submit", pipeline: "p", run: id })).toEqual(reply);
    expect(made).toEqual([]);
  });

  it("makes that one, and no re-run of it", async () => {
    const { ask, made } = rig();
    expect(await ask({ type: "submit", pipeline: "p", run: id })).toEqual({
      accepted: true,
      run: id,
    });
    expect(made[0]!.ticket).toMatchObject({ run: id, order: Date.UTC(2026, 10, 23, 1) });
    const rerun = `${id}-r1`;
    expect(await ask({ type: "submit", pipeline: "p", run: rerun })).toEqual(
      no(`${rerun} is no id of a run of p by hand`),
    );
  });

  it("and was made in the same moment by somebody else is refused", async () => {
    const { ask } = rig(
      {},
      { runs: { get: (run: string) => (run === id ? {} : undefined) } as never },
    );
    expect(await ask({ type: "submit", pipeline: "p", run: id })).toEqual(
      no(`there is a run ${id} already`),
    );
  });
});

it("a stop of a run whose last line is torn off does not say that it has finished", async () => {
  const { store, ask } = rig();
  const finished = { type: "run.finished", status: "failed", because: "x", durationMs: 1 };
  const path = writeRun(store.runsDir, RUN, [header(RUN, { a: [] }), finished]);
  appendFileSync(path, '{"seq":3,"b":3,');
  expect(await ask({ type: "stop", run: RUN, mode: "force" })).toMatchObject({
    accepted: false,
    reason: expect.stringContaining("is not driven by this daemon"),
  });
});

it("a run that waits says so, and one whose submission waits for its end", async () => {
  const entries: Record<string, object> = {
    "p@20261123T020000.000Z-m": { going: false, because: "it waits for p@1" },
    "q@20261123T020000.000Z-m": { going: true, because: "x", handle: { isSynchronous: true } },
    "nightly@20261123T020000.000Z-m": { going: true, because: "x", handle: {} },
  };
  let isMade = false;
  const get = (run: string): object | undefined => (isMade ? entries[run] : undefined);
  for (const [pipeline, more] of [
    ["p", { reason: "it waits: it waits for p@1" }],
    ["q", { result: { synchronous: true } }],
    ["nightly", {}],
  ] as const) {
    isMade = false;
    const { ask, store } = rig({}, { runs: { get } as never });
    const exists = store.exists.bind(store);
    // The id is free when it is looked for, and the run is there when the reply is made.
    store.exists = (run) => {
      isMade = true;
      return exists(run);
    };
    expect(await ask({ type: "submit", pipeline })).toEqual({
      accepted: true,
      run: `${pipeline}@20261123T020000.000Z-m`,
      ...more,
    });
  }
});
