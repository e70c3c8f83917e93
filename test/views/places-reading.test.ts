/** Where steps run and what waits for a place, by ledgers written by hand. */
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { whyUnserved, type PlaceReport } from "../../src/core/place-report.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import type { PlacesView } from "../../src/views/places.ts";
import { readPlacesView } from "../../src/views/places-reading.ts";
import { orchd } from "../support/daemon.ts";
import { header, loaded, writePipeline, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const NOW = Date.parse("2026-11-23T03:00:00.000Z");
const AT = "2026-11-23T02:00:00.000Z";

const local: PlaceReport = {
  place: "local",
  engine: "local",
  labels: ["local"],
  hosts: [{ host: "here", labels: [], threads: 8, node: "20.20.0", platform: "linux/x64" }],
};
const farm: PlaceReport = {
  place: "farm",
  engine: "nats",
  engineVersion: "2.9.10",
  labels: ["farm"],
  hosts: [
    { host: "w1", labels: ["gpu"], threads: 4, node: "22.1.0", version: "0.9.0", protocol: 1 },
    { host: "w2", labels: ["linux"], threads: 2, because: "it speaks protocol 2, not 1" },
  ],
};
const gpu1: PlaceReport = {
  place: "gpu1",
  engine: "ssh",
  labels: ["gpu1", "big"],
  hosts: [],
  because: "gpu1.lan does not answer: No route to host",
};

const RUN = "p@20261123T020000Z";
const started = (step: string, more: object = {}): HandEvent => ({
  type: "step.started",
  step,
  attempt: 1,
  because: "it needs nothing",
  ...more,
});
const placed = (step: string, place: string, host: string): HandEvent => ({
  type: "step.placed",
  step,
  attempt: 1,
  place,
  host,
  ref: "thread",
});

/** A header whose steps want these labels; none: they want none. */
function wanting(run: string, on: Readonly<Record<string, readonly string[]>>): HandEvent {
  const made = header(run, Object.fromEntries(Object.keys(on).map((id) => [id, []])));
  const snapshot = made["snapshot"] as { readonly steps: readonly { readonly id: string }[] };
  const steps = snapshot.steps.map((step) =>
    on[step.id]!.length === 0 ? step : { ...step, on: on[step.id] },
  );
  return { ...made, snapshot: { ...snapshot, steps } };
}

function rooted(): { readonly root: string; readonly runs: string } {
  const { root, runs } = tempRoot();
  const orchdDir = join(runs, ".orchd");
  mkdirSync(orchdDir, { recursive: true });
  const lines = [local, farm, gpu1].map((report) =>
    JSON.stringify({ at: AT, type: "place.changed", epoch: 1, ...report }),
  );
  writeFileSync(join(orchdDir, "places.jsonl"), `${lines.join("\n")}\n`);
  const began = { at: AT, type: "daemon.began", pid: 1, epoch: 1, version: "1.0.0" };
  writeFileSync(join(orchdDir, "daemon.jsonl"), `${JSON.stringify(began)}\n`);
  utimesSync(join(orchdDir, "daemon.jsonl"), NOW / 1_000 - 600, NOW / 1_000 - 600);
  const queued = "p@20261123T020500Z";
  const ended = "p@20261123T015000Z";
  writePipeline(runs, "p", [
    loaded("* * * * *"),
    { type: "slot.fired", slot: "2026-11-23T01:50:00.000Z", run: ended },
    { type: "run.started", run: ended },
    { type: "run.finished", run: ended, status: "completed", durationMs: 1 },
    { type: "slot.fired", slot: AT, run: RUN },
    { type: "run.started", run: RUN },
    { type: "slot.fired", slot: "2026-11-23T02:05:00.000Z", run: queued },
    { type: "run.queued", run: queued, because: "x" },
  ]);
  writeRun(runs, RUN, [
    wanting(RUN, {
      here: [],
      contained: [],
      far: ["farm"],
      going: ["gpu"],
      big: ["big"],
      big2: ["big"],
      none: ["arm", "gpu"],
      other: [],
    }),
    { type: "run.started", because: "the slot is due" },
    started("here"),
    started("contained"),
    placed("contained", "podman", "here"),
    started("far"),
    placed("far", "farm", "w1"),
    started("going"),
    started("other", { elsewhere: true }),
  ]);
  // A run that waits for its turn makes no step wait for a place.
  writeRun(runs, queued, [wanting(queued, { a: ["gpu"] }), { type: "run.queued", because: "x" }]);
  return { root, runs };
}

it("says what runs where, why a place takes no work, and what waits for which labels", () => {
  const { runs } = rooted();
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
  const { root } = rooted();
  const { status, stdout } = await orchd(root, "places");
  expect(status).toBe(0);
  expect(stdout).toContain("daemon down");
  expect(stdout).toContain("what follows is as of 2026-11-23 02:50:00");
  expect(stdout).toMatch(/farm +nats 2\.9\.10 +w1 +gpu +1 +4 +22\.1\.0 +0\.9\.0 \(protocol 1\)/);
  expect(stdout).toMatch(/w2 .*takes no work: it speaks protocol 2, not 1/);
  expect(stdout).toMatch(/gpu1 +ssh +- +big .*takes no work: gpu1\.lan does not answer/);
  expect(stdout).toMatch(/arm, gpu +1 +0 +p@20261123T020000Z +no place has all of the labels/);
  expect(stdout).toContain("4 steps wait");
  const view = (await orchd(root, "places", "--json")).json<PlacesView>();
  expect(view.places.map(({ place }) => place)).toEqual(["local", "farm", "gpu1"]);
});

it("says so where no daemon has told of any place", async () => {
  const { root, runs } = tempRoot();
  expect(readPlacesView(new RunStore(runs), NOW)).toMatchObject({ asOf: null, places: [] });
  expect((await orchd(root, "places")).stdout).toContain(
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
