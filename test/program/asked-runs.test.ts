/**
 * The runs of a root that a daemon holds, beside a played daemon: the request that each call
 * leaves, what no request can bring, and how long a program waits.
 */
import { appendFileSync, mkdirSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import type { OrchestratorRef, Snapshot } from "../../src/core/snapshot.ts";
import type { Answer } from "../../src/ledger/ask.ts";
import { removeRequest, writeReply, writeRequest } from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { BaseOrchestrator } from "../../src/index.ts";
import { AskedRuns } from "../../src/program/asked-runs.ts";
import type { ProgramSubmission } from "../../src/program/root-runs.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";
import { givenSubmission } from "../support/given-submission.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { header, ledgerText, runPath, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/** What the daemon was asked, and answers. */
let requests: Record<string, unknown>[];
let answer: Answer | Error;
vi.mock("../../src/ledger/ask.ts", () => ({
  ask: (_runs: string, request: Record<string, unknown>): Promise<Answer> => {
    requests.push(request);
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  },
}));
let failure: string | undefined;
let looked: unknown[][];
vi.mock("../../src/views/stop-answer.ts", () => ({
  orchestratorFailure: (_store: unknown, ...given: unknown[]) => {
    looked.push(given);
    return Promise.resolve(failure);
  },
}));
/** Runners that describe each class by this name. */
let named: string;
let evaluators: number;
vi.mock("../../src/engine/evaluator.ts", () => ({
  Evaluator: class {
    flavor = (ref: OrchestratorRef) => Promise.resolve({ ref, name: named });
    close = (): Promise<void> => new Promise(setImmediate).then(() => void (evaluators += 1));
  },
}));

const NOW = Date.UTC(2026, 10, 23, 10);
const ID = "p@20261123T100000.000Z-m";
let made: TempRoot;
let runs: AskedRuns;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: NOW });
  onTestFinished(() => void vi.useRealTimers());
  requests = [];
  looked = [];
  failure = undefined;
  named = "mine";
  evaluators = 0;
  answer = { kind: "answered", id: "q", reply: { accepted: true } };
  made = tempRoot();
  mkdirSync(new RunStore(made.runs).replies, { recursive: true });
  const { root, schedules, runs: folder } = made;
  runs = new AskedRuns({ root, schedules, runs: folder }, DEFAULT_SETTINGS);
});

const loadedOf = (more: Partial<Snapshot> = {}) => {
  const snapshot = snapshotOf([stepSpec("one")], more);
  return pipelineOf("p", [], { snapshot, template: snapshot, params: { a: 1 } });
};
const by = `program:${process.getuid!()}`;
const placed = async (more: Partial<Snapshot> = {}): Promise<string> =>
  (await runs.placeholder(loadedOf(more), {})).id;
const ended = { type: "run.finished", status: "completed", because: "x", durationMs: 1 };

describe("a placeholder", () => {
  it("is an id that nobody has, and nothing is asked", async () => {
    const first = await runs.placeholder(loadedOf(), { params: { a: 2 } });
    expect(first).toEqual({
      id: ID,
      pipeline: "p",
      status: "initializing",
      orchestratorRunId: ID,
      params: { a: 2 },
      metadata: {},
    });
    // The next millisecond's is a run that the daemon made.
    writeRun(made.runs, ID.replace(".000", ".001"), [header(ID.replace(".000", ".001"), {})]);
    expect(await placed()).toBe(ID.replace(".000", ".002"));
    expect(requests).toEqual([]);
    expect(() => runs.placeholder(loadedOf(), { params: { b: 1 } })).toThrow(
      'pipeline p declares no param "b"; it has a',
    );
  });
});

describe("a submission", () => {
  it("is a request with the placeholder's id, once", async () => {
    const loaded = loadedOf();
    const { id: run } = await runs.placeholder(loaded, { params: { a: 2 }, noCache: true });
    const { metadata } = await runs.submit(run, givenSubmission());
    expect(metadata).toEqual({});
    const { digest } = loaded;
    const params = { a: 2 };
    expect(requests).toEqual([
      { type: "submit", pipeline: "p", params, noCache: true, run, digest, by },
    ]);
    for (const id of [run, "p@unknown"])
      await expect(runs.submit(id, givenSubmission())).rejects.toThrow(
        `run ${id} was submitted already`,
      );
    expect(requests).toHaveLength(1);
    // What was not given is not in the request.
    await runs.submit(await placed(), givenSubmission());
    expect(Object.keys(requests[1]!)).toEqual(["type", "pipeline", "run", "digest", "by"]);
  });

  it("that failed may be made again, and of two at once one is refused", async () => {
    const run = await placed();
    answer = { kind: "answered", id: "q", reply: { accepted: false, reason: "it is full" } };
    await expect(runs.submit(run, givenSubmission())).rejects.toThrow(new Error("it is full"));
    answer = { kind: "answered", id: "q", reply: { accepted: false } };
    await expect(runs.submit(run, givenSubmission())).rejects.toThrow("the daemon refused it");
    const error = new Error("ENOSPC: no space");
    answer = { kind: "unwritten", error };
    await expect(runs.submit(run, givenSubmission())).rejects.toThrow(
      "the daemon cannot be asked: the requests folder cannot be written (ENOSPC: no space)",
    );
    answer = { kind: "answered", id: "q", reply: { accepted: true } };
    const both = await Promise.allSettled([
      runs.submit(run, givenSubmission()),
      runs.submit(run, givenSubmission()),
    ]);
    const reason = new Error(`run ${run} was submitted already`);
    expect(both).toMatchObject([{ status: "fulfilled" }, { status: "rejected", reason }]);
    expect(requests).toHaveLength(4);
  });

  it.each(["kept", "silent"] as const)("that is %s is waited for", async (kind) => {
    const run = await placed();
    const request = { type: "pause", pipeline: "p" } as const;
    for (const id of ["20261123T100000Z-q", "20261123T100000Z-r"])
      await writeRequest(made.runs, request, { id });
    answer = { kind, id: "20261123T100000Z-q" };
    let isTaken = false;
    const submitted = runs.submit(run, givenSubmission()).finally(() => (isTaken = true));
    await vi.waitFor(() => expect(requests).toHaveLength(1));
    expect(isTaken).toBe(false);
    await writeReply(made.runs, "20261123T100000Z-q", { accepted: true });
    await submitted;
    // Another, whose answer never comes, ends with the root.
    answer = { kind, id: "20261123T100000Z-r" };
    const never = runs.submit(await placed(), givenSubmission());
    await vi.waitFor(() => expect(requests).toHaveLength(2));
    const closed = `the root ${made.root} is closed.`;
    await Promise.all([expect(never).rejects.toThrow(closed), runs.close()]);
    expect(evaluators).toBe(1);
  });

  it("that somebody withdraws while no daemon is up is waited for no longer", async () => {
    const id = "20261123T100000Z-q";
    await writeRequest(made.runs, { type: "pause", pipeline: "p" }, { id });
    answer = { kind: "kept", id };
    const submitted = runs.submit(await placed(), givenSubmission());
    await vi.waitFor(() => expect(requests).toHaveLength(1));
    await removeRequest(made.runs, id);
    await expect(submitted).rejects.toThrow(
      `request ${id} was withdrawn: its file was removed before a daemon answered it`,
    );
  });
});

describe("no request brings", () => {
  class Mine extends BaseOrchestrator {
    static flavor = "mine";
    override getOrchestratorRunId(): string {
      return "o";
    }
    override submitPipeline(): Promise<undefined> {
      return Promise.resolve(undefined);
    }
  }
  class Sized extends Mine {
    static config = z.object({ size: z.number().default(3) });
  }
  const code = { bundle: "b", pick: "p", source: "s" };
  const coded = (config: OrchestratorRef["config"] = {}): Partial<Snapshot> => ({
    orchestrator: { flavor: "of-the-file", config, code },
  });
  const otherThan = (own: string, name: string): string =>
    `a daemon holds the root, and pipeline p names the orchestrator ${own}: ` +
    `the daemon submits it to that one, and not to ${name}.`;

  it.each<[string, Partial<Snapshot>, () => Partial<ProgramSubmission>, string | undefined]>([
    [
      "code",
      {},
      () => ({ isInline: true }),
      "a daemon holds the root, and a request names a pipeline and brings no code: " +
        "put pipeline p into a file of SCHEDULES.",
    ],
    [
      "a base environment",
      {},
      () => ({ baseEnvironment: { A: "" } }),
      "a daemon holds the root, and a request brings no environment: " +
        "leave baseEnvironment empty, and write env into the pipeline's file.",
    ],
    [
      "a step's environment",
      {},
      () => ({ stepEnvironments: { one: {} } }),
      "a daemon holds the root, and a request brings no environment: " +
        "leave stepEnvironments empty, and write env into the pipeline's file.",
    ],
    [
      "another stack",
      { stackEnv: { A: "1" } },
      () => ({ stackEnvironment: { A: "2" } }),
      "a daemon holds the root, and a request brings no stack: this one's environment differs " +
        "from that of the pipeline's stack.",
    ],
    ["and takes the same stack", { stackEnv: { A: "1" } }, sameStack, undefined],
    ["another orchestrator", {}, () => ({ orchestrator: new Mine() }), otherThan("local", "mine")],
    ["local in place of a class", coded(), () => ({}), otherThan("of-the-file", "local")],
    ["and takes a class by its own name", coded(), () => ({ orchestrator: new Mine() }), undefined],
    [
      "and takes a class by its name in the file",
      coded(),
      () => ({ orchestrator: new Mine({}, "of-the-file") }),
      undefined,
    ],
    [
      "another config",
      coded({ a: 1 }),
      () => ({ orchestrator: new Mine({ a: 2 }) }),
      otherThan("of-the-file", "mine"),
    ],
    [
      "and takes a config with the defaults of its class",
      coded(),
      () => ({ orchestrator: new Sized({ size: 3 }) }),
      undefined,
    ],
    [
      "a config that the class of the program does not take",
      coded({ size: "x" }),
      () => ({ orchestrator: new Sized() }),
      otherThan("of-the-file", "mine"),
    ],
    [
      "and takes any config of what has no code",
      { orchestrator: { flavor: "mine", config: { a: 1 } } },
      () => ({ orchestrator: new Mine() }),
      undefined,
    ],
  ])("%s", async (_, snapshot, more, sentence) => {
    const run = await placed(snapshot);
    const submitted = runs.submit(run, givenSubmission(more()));
    if (sentence === undefined) await submitted;
    else {
      const told = sentence.replace("SCHEDULES", made.schedules);
      await expect(submitted).rejects.toThrow(new Error(told));
    }
    expect(requests).toHaveLength(sentence === undefined ? 1 : 0);
  });

  function sameStack(): Partial<ProgramSubmission> {
    return { stackEnvironment: { A: "1" } };
  }
});

describe("a run", () => {
  it("has finished when its ledger says so, or is not waited for in a closed root", async () => {
    const { waitForCompletion } = await runs.submit(await placed(), givenSubmission());
    let isOver = false;
    const over = waitForCompletion!().finally(() => (isOver = true));
    writeRun(made.runs, ID, [header(ID, {})]);
    await new Promise(setImmediate);
    expect(isOver).toBe(false);
    const whole = ledgerText([header(ID, {}), ended]);
    appendFileSync(runPath(made.runs, ID), whole.slice(ledgerText([header(ID, {})]).length));
    await over;
    const never = runs.finished("p@20261123T110000.000Z-m");
    const closed = `the root ${made.root} is closed.`;
    await Promise.all([expect(never).rejects.toThrow(closed), runs.close()]);
    // An end that is there is told even so.
    await runs.finished(ID);
    expect(await runs.elsewhere()).toBeUndefined();
  });

  it("is not waited for once only its pipeline's ledger tells its end", async () => {
    const started = [header(ID, {}), { type: "run.started", because: "x" }];
    writeRun(made.runs, ID, started);
    writePipeline(made.runs, "p", [{ ...ended, run: ID }]);
    await expect(runs.finished(ID)).rejects.toThrow(`run ${ID} has ended, and its ledger lost how`);
  });

  it("is stopped by a request, once it was submitted", async () => {
    const run = await placed();
    for (const id of [run, "p@unknown"])
      await expect(runs.stop(id, "force")).rejects.toThrow(
        `run ${id} was not submitted: there is nothing to stop`,
      );
    await runs.submit(run, givenSubmission());
    await runs.stop(run, "graceful");
    writeRun(made.runs, run, [header(run, {}), { type: "run.started", because: "x" }]);
    failure = "the cluster is away";
    await expect(runs.stop(run, "force")).rejects.toThrow(failure);
    expect(requests.slice(1)).toEqual([
      { type: "stop", run, mode: "graceful", by },
      { type: "stop", run, mode: "force", by },
    ]);
    // From the line before the stop: none, and then two.
    expect(looked).toEqual([
      [run, 0],
      [run, 2],
    ]);
    answer = { kind: "answered", id: "q", reply: { accepted: false, reason: "it ended" } };
    await expect(runs.stop(run, "force")).rejects.toThrow("it ended");
    expect(looked).toHaveLength(2);
  });
});
