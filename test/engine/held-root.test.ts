/**
 * A root that a process holds without a daemon, with runs that are scripted: what it records of its
 * runs, what it says to requests, and how it closes.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { RunHeader } from "../../src/core/event.ts";
import type { PlaceReport } from "../../src/core/place-report.ts";
import type { RequestInput } from "../../src/core/request.ts";
import type { StopOrder } from "../../src/core/stop-order.ts";
import { systemDisk } from "../../src/disk/disk.ts";
import { HeldRoot, type HeldRunOrder } from "../../src/engine/held-root.ts";
import type { HeldRun } from "../../src/engine/held-run.ts";
import { ask } from "../../src/ledger/ask.ts";
import { readHolder } from "../../src/ledger/daemon-info.ts";
import { placesPath, readPlaceLines } from "../../src/ledger/place-lines.ts";
import { waitForReply, writeRequest } from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { pipelineLedger, runsOf } from "../support/ledgers.ts";
import { ScriptedRuns } from "../support/scripted-runs.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

let scripted: ScriptedRuns;
/** What the parts below were told. */
let told: unknown[] = [];
/** Graceful stops never end a run; what `drive` gives never takes a stop, where this is set. */
let deaf = false;
/** What the places say of themselves, and who is told when that changes. */
let reports: PlaceReport[] = [];
let reported: () => void = () => undefined;
/** The states of the far place that are written so far. */
const written = (store: RunStore): (string | undefined)[] =>
  readPlaceLines(placesPath(store.orchdDir)).flatMap((line) =>
    line.type === "place.changed" && line.place === "far" ? [line.because] : [],
  );
vi.mock("../../src/engine/workshop.ts", () => ({
  openWorkshop: ({ runs }: { runs: string }) => {
    const store = new RunStore(runs);
    scripted = new ScriptedRuns({
      clock: systemClock,
      store,
      disk: systemDisk,
      script: { durationOf: () => 3_600_000, stopMs: 3_600_000 },
      onFatal: (error) => {
        throw error;
      },
    });
    return {
      store,
      place: { reports: () => reports, onReport: (listener: () => void) => (reported = listener) },
      async reserve(header: RunHeader) {
        const run = await scripted.create(header);
        return {
          get state() {
            return run.state;
          },
          drive: (...given: unknown[]) => {
            told.push(["drive", ...given]);
            const stop = run.requestStop.bind(run);
            run.requestStop = (order: StopOrder) => {
              told.push(["stop", order.mode, order.by, order.because]);
              return deaf ? Promise.resolve({ accepted: false, reason: "deaf" }) : stop(order);
            };
            const drain = run.drain.bind(run);
            run.drain = () => {
              told.push(["drain"]);
              return drain(0);
            };
            return Promise.resolve(run);
          },
        };
      },
      flavor: (ref: unknown) => Promise.resolve({ ref }),
      close: (force: boolean) => {
        told.push(["close", force, ...written(store)]);
        return Promise.resolve();
      },
    };
  },
}));

beforeEach(() => {
  told = [];
  deaf = false;
  reports = [];
});

const LOADED = pipelineOf("p", []);
const ORDER: HeldRunOrder = { because: "a test" };

async function open(
  role: "program" | "foreground" = "program",
  run?: string,
): Promise<{ made: TempRoot; held: HeldRoot }> {
  const made = tempRoot();
  const holding = await HeldRoot.open({ ...made, role, run });
  if (!holding.ok) throw new Error(holding.reason);
  onTestFinished(() => holding.held.close("force"));
  return { made, held: holding.held };
}

async function reserved(held: HeldRoot, order: Partial<HeldRunOrder> = {}): Promise<HeldRun> {
  const made = await held.reserve(LOADED, { ...ORDER, ...order });
  if (!made.ok) throw new Error(made.reason);
  return made.run;
}
const holder = (made: TempRoot) => readHolder(join(made.runs, ".orchd"));
const types = (made: TempRoot): string[] =>
  pipelineLedger(made.runs, "p").map(({ type, ...line }) =>
    [type, line["status"] ?? line["because"] ?? ""].join(" ").trim(),
  );

describe("while it is open", () => {
  it("what other places say is written, the last of it before the runners end", async () => {
    const local = { place: "local", engine: "local", labels: [], hosts: [] };
    const far = (because: string): PlaceReport => ({ ...local, place: "far", because });
    const { made, held } = await open();
    const store = new RunStore(made.runs);
    // A place alone, which this machine is, has no such history.
    reports = [local];
    reported();
    expect(written(store)).toEqual([]);
    reports = [local, far("one")];
    reported();
    await vi.waitFor(() => expect(written(store)).toEqual(["one"]));
    reports = [local, far("two")];
    reported();
    reports = [local, far("three")];
    await held.close();
    expect(told.at(-1)).toEqual(["close", false, "one", "three"]);
  });

  it("the lock names the role, and a program's unfinished runs and no others", async () => {
    const { made, held } = await open();
    expect(holder(made)).toMatchObject({ role: "program", ready: false });
    const [one, two] = [await reserved(held), await reserved(held)];
    expect(holder(made)?.runs).toEqual([one.id, two.id]);
    await one.start("go");
    expect(holder(made)?.runs).toEqual([one.id, two.id]);
    await one.requestStop({ mode: "force", by: "x" });
    await one.finished;
    await vi.waitFor(() => expect(holder(made)?.runs).toEqual([two.id]));
    expect([held.run(one.id), held.run(two.id)]).toEqual([undefined, two]);
    await two.requestStop({ mode: "force", by: "x" });
    await vi.waitFor(() => expect(holder(made)?.runs).toEqual([]));
  });

  it("a run in the foreground is named from the first, and not told again", async () => {
    const { made, held } = await open("foreground", "p@20261123T020000.000Z-m");
    await reserved(held, { run: "p@20261123T020000.000Z-m" });
    expect(holder(made)).toMatchObject({ role: "foreground", run: "p@20261123T020000.000Z-m" });
    expect(holder(made)?.runs).toBeUndefined();
  });

  it("a run's header says how it was asked for", async () => {
    const { made, held } = await open();
    const plain = await reserved(held);
    const asked = await reserved(held, { noCache: true, placeholder: true, params: {} });
    expect([plain, asked].map(({ state }) => state.trigger)).toEqual([
      { kind: "manual" },
      { kind: "manual", noCache: true, placeholder: true },
    ]);
    expect(runsOf(made.runs, "p").map(({ run }) => run)).toEqual([plain.id, asked.id].toSorted());
    // Only a placeholder waits: the next daemon finds it by this line.
    expect(types(made).filter((line) => line.startsWith("run."))).toEqual([
      "run.queued its program has not submitted it yet",
    ]);
  });

  it("a run's start and end are in its pipeline's ledger", async () => {
    const { made, held } = await open();
    const run = await reserved(held);
    expect(run.isStarted).toBe(false);
    await run.start("go", { type: "submit.given" }, "flavor" as never);
    expect(run.isStarted).toBe(true);
    expect(told.at(-1)).toEqual(["drive", { type: "submit.given" }, "flavor"]);
    const stopped = await run.requestStop({ mode: "force", by: "x", because: "why" });
    expect(stopped).toEqual({ accepted: true });
    expect(await run.finished).toMatchObject({ status: "stopped", because: "why" });
    const [started, finished] = pipelineLedger(made.runs, "p").filter(({ type }) =>
      type.startsWith("run."),
    );
    expect(started).toMatchObject({ type: "run.started", run: run.id, trigger: "manual" });
    expect(finished).toMatchObject({
      type: "run.finished",
      run: run.id,
      status: "stopped",
      because: "why",
    });
    // It is driven once, whoever asks.
    expect(told.filter((one) => (one as string[])[0] === "drive")).toHaveLength(1);
  });

  it("params that do not fit, and an id that is taken, are refused", async () => {
    const { held } = await open();
    const wanting = pipelineOf("p", [], { params: { day: 1 } });
    expect(await held.reserve(wanting, { ...ORDER, params: { no: 1 } })).toEqual({
      ok: false,
      reason: 'pipeline p declares no param "no"; it has day',
    });
    expect(await held.reserve(LOADED, { ...ORDER, params: { no: 1 } })).toMatchObject({
      ok: true,
      remark: 'pipeline p declares no params, so nothing reads "no"',
    });
    const run = "p@20261123T020000.000Z-m";
    await reserved(held, { run });
    expect(await held.reserve(LOADED, { ...ORDER, run })).toEqual({
      ok: false,
      reason: `run ${run} exists already; try again`,
    });
  });

  it("requests that name its runs are carried out, and no others", async () => {
    const { made, held } = await open();
    const run = await reserved(held);
    await run.start("go");
    const left = (request: RequestInput): Promise<unknown> => ask(made.runs, request, systemClock);
    const stop = { type: "stop", by: "x", run: run.id } as const;
    expect(await left({ ...stop, mode: "graceful" })).toMatchObject({
      kind: "answered",
      reply: { accepted: true, run: run.id },
    });
    expect(await left({ ...stop, mode: "graceful" })).toMatchObject({
      reply: { accepted: false, run: run.id, reason: "it is stopping already" },
    });
    expect(await left({ type: "pause", pipeline: "p", by: "x" })).toMatchObject({ kind: "kept" });
    expect(await left({ ...stop, run: "p@20261123T070000Z", mode: "force" })).toMatchObject({
      kind: "kept",
    });
    expect(await left({ ...stop, mode: "force" })).toMatchObject({ reply: { accepted: true } });
    await run.finished;
  });

  it("a stop that came before its run was here is carried out", async () => {
    const { made, held } = await open();
    const first = await reserved(held);
    const run = "p@20261123T070000.000Z-m";
    const stop = { type: "stop", mode: "graceful", by: "x" } as const;
    await writeRequest(made.runs, { ...stop, run }, { id: "early" });
    // This one is found after that one, which was left to a daemon.
    expect(await ask(made.runs, { ...stop, run: first.id })).toMatchObject({ kind: "answered" });
    await reserved(held, { run });
    expect(await waitForReply(made.runs, "early", 10_000)).toMatchObject({ accepted: true, run });
  });
});

describe("closing", () => {
  it("stops what runs, and what was never submitted, each with its reason", async () => {
    const { made, held } = await open();
    const [started, waiting] = [await reserved(held), await reserved(held, { placeholder: true })];
    await started.start("go");
    told = [];
    const closing = held.close("force");
    expect(held.close("force")).toBe(closing);
    await closing;
    expect(told.filter((one) => (one as string[])[0] === "stop").slice(0, 2)).toEqual([
      ["stop", "force", "program", "its program closed the root"],
      ["stop", "force", "program", "its program closed the root before it submitted the run"],
    ]);
    expect((await waiting.finished).status).toBe("stopped");
    expect(told.at(-1)).toEqual(["close", true]);
    expect(holder(made)).toBeNull();
    expect(await held.reserve(LOADED, ORDER)).toEqual({ ok: false, reason: "the root is closed" });
  });

  it("waits for a run that goes on after a graceful stop, until somebody insists", async () => {
    const { made, held } = await open();
    const run = await reserved(held);
    await run.start("go");
    let isClosed = false;
    const closing = held.close().then(() => (isClosed = true));
    await vi.waitFor(() => expect(run.state.stop?.mode).toBe("graceful"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(isClosed).toBe(false);
    // A second close that does not insist changes nothing.
    void held.close();
    expect(told.filter((one) => (one as string[])[0] === "stop")).toHaveLength(1);
    void held.close("force");
    await closing;
    expect(run.state.stop?.mode).toBe("force");
    expect((await run.finished).status).toBe("stopped");
    expect(told.at(-1)).toEqual(["close", false]);
    expect(holder(made)).toBeNull();
  });

  it("leaves a run that cannot be stopped to the next daemon", async () => {
    const { made, held } = await open();
    const run = await reserved(held);
    await run.start("go");
    deaf = true;
    await held.close();
    expect(told.map((one) => (one as string[])[0]).slice(-3)).toEqual(["stop", "drain", "close"]);
    await expect(run.finished).rejects.toThrow(
      `run ${run.id} could not be stopped: the next daemon goes on with it`,
    );
    expect(types(made).some((line) => line.startsWith("run.finished"))).toBe(false);
    expect(holder(made)).toBeNull();
  });

  it("waits for a run that is being made, and stops it", async () => {
    const { held } = await open();
    const making = held.reserve(LOADED, ORDER);
    const closing = held.close("force");
    const made = await making;
    await closing;
    expect(made.ok && made.run.state.finished?.status).toBe("stopped");
  });
});

describe("opening", () => {
  it("is refused with a bad orchd.yaml, and where another process holds the root", async () => {
    const made = tempRoot({ "orchd.yaml": "runner: 7\nenv: 8\n" });
    const bad = await HeldRoot.open({ ...made, role: "program" });
    expect(bad.ok ? "" : bad.reason.split("\n").length).toBe(2);
    writeFileSync(join(made.root, "orchd.yaml"), "");
    const first = await HeldRoot.open({ ...made, role: "program" });
    const second = await HeldRoot.open({ ...made, role: "program" });
    expect(second).toMatchObject({
      ok: false,
      reason: expect.stringContaining(
        `is held by a program that opened the root, process ${process.pid}`,
      ) as string,
    });
    if (first.ok) await first.held.close();
    const third = await HeldRoot.open({ ...made, role: "program" });
    expect(third.ok).toBe(true);
    if (third.ok) await third.held.close();
  });
});
