/** Where steps run and what waits for a place, by ledgers written by hand. */
import { expect, it } from "vitest";
import { whyUnserved, type PlaceReport } from "../../src/core/place-report.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import type { PlacesView } from "../../src/views/places.ts";
import { readOverview } from "../../src/views/overview-reading.ts";
import { PipelineMemory } from "../../src/views/pipeline-memory.ts";
import { readPlacesView } from "../../src/views/places-reading.ts";
import { printPlaces } from "../../src/cli/places-render.ts";
import { ask } from "../support/asked-command.ts";
import {
  farmReport as farm,
  localReport as local,
  PLACES_AT as AT,
  PLACES_NOW as NOW,
  PLACES_RUN as RUN,
  rootWithPlaces,
  silentReport as gpu1,
} from "../support/made-up-places.ts";
import { header, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { ToldTerminal } from "../support/told-terminal.ts";

it("says what runs where, why a place takes no work, and what waits for which labels", () => {
  const { runs } = rootWithPlaces();
  const view = readPlacesView(new RunStore(runs), NOW);
  expect(view).toMatchObject({
    at: "2026-11-23T03:00:00.000Z",
    daemon: null,
    asOf: "2026-11-23T02:50:00.000Z",
    unread: 0,
  });
  expect(view.places.map(({ place, running, because }) => [place, running, because])).toEqual([
    ["local", 1, null],
    ["farm", 1, null],
    ["gpu1", 0, "gpu1.lan does not answer: No route to host"],
  ]);
  expect(view.places[0]!.hosts[0]).toEqual({
    host: "here",
    labels: [],
    threads: 8,
    node: "20.20.0",
    version: null,
    protocol: null,
    platform: "linux/x64",
    because: null,
    running: 1,
  });
  expect(view.places[1]).toMatchObject({
    engine: "nats",
    engineVersion: "2.9.10",
    since: AT,
    hosts: [
      { host: "w1", running: 1, version: "0.9.0", protocol: 1 },
      { host: "w2", running: 0, because: "it speaks protocol 2, not 1" },
    ],
  });
  expect(view.waiting).toEqual([
    {
      labels: ["big"],
      steps: 2,
      starting: 0,
      runs: [RUN],
      because: "gpu1.lan does not answer: No route to host",
    },
    {
      labels: ["arm", "gpu"],
      steps: 1,
      starting: 0,
      runs: [RUN],
      because: 'no place has all of the labels "arm" and "gpu"',
    },
    { labels: ["gpu"], steps: 0, starting: 1, runs: [RUN], because: null },
  ]);
});

it("`orchd places` prints it, with the daemon down", async () => {
  const { root } = rootWithPlaces();
  const { status, stdout } = await ask(root, "places");
  expect(status).toBe(0);
  expect(stdout).toContain("daemon down");
  expect(stdout).toContain("what follows is as of 2026-11-23 02:50:00");
  expect(stdout).toMatch(/farm +nats 2\.9\.10 +w1 +gpu +1 +4 +22\.1\.0 +0\.9\.0 \(protocol 1\)/);
  expect(stdout).toMatch(/w2 .*takes no work: it speaks protocol 2, not 1/);
  expect(stdout).toMatch(/gpu1 +ssh +- +big .*takes no work: gpu1\.lan does not answer/);
  expect(stdout).toMatch(/arm, gpu +1 +0 +p@20261123T020000Z +no place has all of the labels/);
  expect(stdout).toContain("4 steps wait");
  const view = (await ask(root, "places", "--json")).json<PlacesView>();
  expect(view.places.map(({ place }) => place)).toEqual(["local", "farm", "gpu1"]);
});

it("says so where no daemon has told of any place", async () => {
  const { root, runs } = tempRoot();
  expect(readPlacesView(new RunStore(runs), NOW)).toMatchObject({ asOf: null, places: [] });
  expect((await ask(root, "places")).stdout).toContain(
    "no daemon of this root has told of its places yet",
  );
});

it.each<[labels: readonly string[], reports: readonly PlaceReport[], because: string | undefined]>([
  [["gpu"], [local], 'no place has the label "gpu"'],
  [["gpu"], [local, farm], undefined],
  [["farm", "gpu"], [local, farm], undefined],
  [["linux"], [farm], "it speaks protocol 2, not 1"],
  [["gpu", "linux"], [farm], 'no place has all of the labels "gpu" and "linux"'],
  [["gpu1"], [gpu1], "gpu1.lan does not answer: No route to host"],
  [["farm"], [{ ...farm, hosts: [] }], 'no worker of "farm" is up'],
  [["farm", "gpu"], [{ ...farm, hosts: [] }], 'no place has all of the labels "farm" and "gpu"'],
  [["gpu"], [{ ...farm, because: "the broker does not answer" }], "the broker does not answer"],
])("why steps that want %j wait: %#", (labels, reports, because) => {
  expect(whyUnserved(labels, reports)).toBe(because);
});

it("`orchd status RUN` says where each step runs, and what one waits for", async () => {
  const { root } = rootWithPlaces();
  const { stdout } = await ask(root, "status", RUN);
  expect(stdout).toMatch(/STEP +STATUS +ATTEMPTS +TOOK +WHERE +BECAUSE/);
  expect(stdout).toMatch(/here +running +1 +\d+d(?: \S+)? +- +it needs nothing/);
  expect(stdout).toMatch(/contained +running +1 +\d+d(?: \S+)? +podman box-7 +it needs/);
  expect(stdout).toMatch(/far +running +2 +\d+d(?: \S+)? +farm w1 +Error: it was not the day/);
  expect(stdout).toMatch(/big +initializing +0 .*it waits: gpu1\.lan does not answer/);
  expect(stdout).toContain("  far, attempt 1: farm w2");
  expect(stdout).toContain("  far, attempt 2: farm w1");
});

it("`orchd why` says what a step of a running run waits for", async () => {
  const { root } = rootWithPlaces();
  const { stdout } = await ask(root, "why", "p", AT);
  expect(stdout).toContain(
    `${RUN}, which is running; its step big has not begun: it waits: gpu1.lan does not answer: ` +
      "No route to host (and 2 more)",
  );
});

it("the Overview says how many steps of a run no place takes", () => {
  const { root, runs, schedules } = rootWithPlaces();
  const view = readOverview({ root, schedules, runs }, NOW, new PipelineMemory(new RunStore(runs)));
  const one = view.running.find(({ run }) => run === RUN);
  expect(one).toMatchObject({ done: 0, steps: 8, waiting: 2 });
});

it("a step that moved while its attempt was not counted is told in one line", async () => {
  const { root, runs } = tempRoot();
  const run = "p@20261123T020000Z";
  const placed = (host: string) => ({
    type: "step.placed",
    step: "a",
    attempt: 1,
    place: "farm",
    host,
    ref: host,
  });
  const began = { type: "step.started", step: "a", attempt: 1, because: "x" };
  const interrupted = { type: "step.interrupted", step: "a", attempt: 1, because: "w1 is silent" };
  writePipeline(runs, "p", [loaded("* * * * *"), { type: "run.started", run }]);
  writeRun(runs, run, [
    header(run, { a: [] }),
    { type: "run.started", because: "x" },
    began,
    placed("w1"),
    { ...interrupted, next: "rerun" },
    began,
    placed("w2"),
  ]);
  const { stdout } = await ask(root, "status", run);
  expect(stdout).toContain("\n  a, attempt 1: farm w1, then farm w2\n");
});

it("a narrow terminal has each reason whole, below its row", () => {
  const view = readPlacesView(new RunStore(rootWithPlaces().runs), NOW);
  const terminal = new ToldTerminal(80);
  printPlaces(terminal.it, view, NOW);
  const rows = terminal.lines.filter((line) => /^(PLACE|local|farm|gpu1| {4}takes)/.test(line));
  expect(rows.map((row) => row.trimEnd())).toEqual([
    "PLACE  ENGINE       HOST  LABELS  RUNNING  AT ONCE  NODE     ORCHD",
    "local  local        here  -       1        8        20.20.0  -",
    "    takes work",
    "farm   nats 2.9.10  w1    gpu     1        4        22.1.0   0.9.0 (protocol 1)",
    "    takes work",
    "farm   nats 2.9.10  w2    linux   0        2        -        -",
    "    takes no work: it speaks protocol 2, not 1",
    "gpu1   ssh          -     big     0        -        -        -",
    "    takes no work: gpu1.lan does not answer: No route to host",
  ]);
  expect(terminal.lines).toContain("    gpu1.lan does not answer: No route to host");
});
