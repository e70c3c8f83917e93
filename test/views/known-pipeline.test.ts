/** Whom a name belongs to, what is told where it is nobody's, and who counts as the daemon. */
import { describe, expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { knownPipeline } from "../../src/views/known-pipeline.ts";
import { viewRunNow } from "../../src/views/run-view.ts";
import { readStatus } from "../../src/views/status-view.ts";
import { holdEpoch } from "../support/fake-daemon.ts";
import { header, loaded, writePipeline, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";

describe("a pipeline's name", () => {
  const roots = () => {
    const made = tempRoot({
      "schedules/nightly.yaml": "steps: {}",
      "schedules/other.yaml": "name: weekly\nsteps: {}",
      "schedules/code.ts": 'export default pipeline({ name: "monthly", steps: {} });',
    });
    writePipeline(made.runs, "ledger", [loaded("* * * * *")]);
    return made;
  };
  it.each(["ledger", "nightly", "other", "weekly", "monthly"])("%s is known", (name) => {
    expect(knownPipeline(roots(), name)).toEqual({ ok: true });
  });

  it.each<[string, string]>([
    ["ledgre", 'there is no pipeline "ledgre"; did you mean "ledger"? '],
    ["nigthly", 'there is no pipeline "nigthly"; did you mean "nightly"? '],
    ["zzzzzz", 'there is no pipeline "zzzzzz". '],
    ["week", 'there is no pipeline "week". '],
  ])("%s is not", (name, said) => {
    const made = roots();
    expect(knownPipeline(made, name)).toEqual({
      ok: false,
      kind: "unknown",
      sentence: `${said}\`orchd status\` lists those that there are, in ${made.root}.`,
    });
  });

  it.each(["nightly.yaml", "a/b", "/abs", "x.yml", "x.json", "x.mjs", "x.ts", "a\\b"])(
    "%s is a file's",
    (name) => {
      expect(knownPipeline(roots(), name)).toMatchObject({
        sentence:
          `there is no pipeline "${name}": a pipeline is called by its name, not by its file; ` +
          "`orchd status` lists the names.",
      });
    },
  );
});

it("a daemon is shown once it is ready, and not after it gave the lock back", () => {
  const made = tempRoot();
  const shown = (more: object): unknown => {
    holdEpoch(made.runs, more as never);
    const read = readStatus(made, undefined, Date.UTC(2026, 10, 23));
    return read.ok && read.view.daemon;
  };
  expect(shown({})).toEqual({
    pid: process.pid,
    since: "2026-11-23T00:00:00.000Z",
    version: "9.9.9",
    tz: "2026c",
  });
  expect(shown({ ready: false })).toBeNull();
  expect(shown({ role: "program" })).toBeNull();
  expect(shown({ role: "foreground", run: RUN })).toBeNull();
  expect(shown({ released: true })).toBeNull();
});

it("a file that no ledger speaks of is not said to be unread while a daemon is up", () => {
  const made = tempRoot({ "schedules/new.yaml": "steps: {}" });
  const names = (): unknown => {
    const read = readStatus(made, undefined, Date.UTC(2026, 10, 23));
    return read.ok && read.view.pipelines.map(({ name }) => name);
  };
  expect(names()).toEqual(["new"]);
  holdEpoch(made.runs, { ready: false });
  expect(names()).toEqual([]);
});

it.each<[string, HandEvent[], string | null]>([
  ["waits", [], "it waits: one goes on"],
  [
    "waits and was asked to stop",
    [{ type: "run.stop_requested", mode: "graceful", because: "asked", by: "x" }],
    "asked",
  ],
  ["has started", [{ type: "run.started", because: "its turn" }], "its turn"],
])("a run that %s tells why", (_, events, because) => {
  const { runs } = tempRoot();
  const queued = { type: "run.queued", because: "one goes on" };
  writePipeline(runs, "p", [loaded("* * * * *"), { ...queued, run: RUN }]);
  writeRun(runs, RUN, [header(RUN, { a: [] }), queued, ...events]);
  const read = viewRunNow(new RunStore(runs), RUN);
  expect(read.ok && read.view.because).toBe(because);
});
