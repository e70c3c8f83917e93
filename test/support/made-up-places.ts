/**
 * A root whose places and steps were written by hand: local, a farm of two workers, a silent host.
 */
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PlaceReport } from "../../src/core/place-report.ts";
import { header, loaded, writePipeline, writeRun, type HandEvent } from "./hand-ledger.ts";
import { tempRoot, type TempRoot } from "./temp-root.ts";

/** When it is looked at. */
export const PLACES_NOW = Date.parse("2026-11-23T03:00:00.000Z");
/** When the places said what they are. */
export const PLACES_AT = "2026-11-23T02:00:00.000Z";

export const localReport: PlaceReport = {
  place: "local",
  engine: "local",
  labels: ["local"],
  hosts: [{ host: "here", labels: [], threads: 8, node: "20.20.0", platform: "linux/x64" }],
};
export const farmReport: PlaceReport = {
  place: "farm",
  engine: "nats",
  engineVersion: "2.9.10",
  labels: ["farm"],
  hosts: [
    { host: "w1", labels: ["gpu"], threads: 4, node: "22.1.0", version: "0.9.0", protocol: 1 },
    { host: "w2", labels: ["linux"], threads: 2, because: "it speaks protocol 2, not 1" },
  ],
};
export const silentReport: PlaceReport = {
  place: "gpu1",
  engine: "ssh",
  labels: ["gpu1", "big"],
  hosts: [],
  because: "gpu1.lan does not answer: No route to host",
};

/** Its run. */
export const PLACES_RUN = "p@20261123T020000Z";
const started = (step: string, more: object = {}): HandEvent => ({
  type: "step.started",
  step,
  attempt: 1,
  because: "it needs nothing",
  ...more,
});
const placed = (step: string, attempt: number, at: readonly string[]): HandEvent => ({
  type: "step.placed",
  step,
  attempt,
  place: at[0],
  host: at[1],
  ref: at[2] ?? "thread",
});

const error = { name: "Error", message: "it was not the day" };

/** A header whose steps want these labels; none: they want none. */
function wanting(run: string, on: Readonly<Record<string, readonly string[]>>): HandEvent {
  const made = header(run, Object.fromEntries(Object.keys(on).map((id) => [id, []])));
  const snapshot = made["snapshot"] as { readonly steps: readonly { readonly id: string }[] };
  const steps = snapshot.steps.map((step) =>
    on[step.id]!.length === 0 ? step : { ...step, on: on[step.id] },
  );
  return { ...made, snapshot: { ...snapshot, steps } };
}

/** The root: one run that goes on, one that waits for its turn. */
export function rootWithPlaces(): TempRoot {
  const made = tempRoot();
  const { runs } = made;
  const orchdDir = join(runs, ".orchd");
  mkdirSync(orchdDir, { recursive: true });
  const lines = [localReport, farmReport, silentReport].map((report) =>
    JSON.stringify({ at: PLACES_AT, type: "place.changed", epoch: 1, ...report }),
  );
  writeFileSync(join(orchdDir, "places.jsonl"), `${lines.join("\n")}\n`);
  const began = { at: PLACES_AT, type: "daemon.began", pid: 1, epoch: 1, version: "1.0.0" };
  writeFileSync(join(orchdDir, "daemon.jsonl"), `${JSON.stringify(began)}\n`);
  utimesSync(join(orchdDir, "daemon.jsonl"), PLACES_NOW / 1_000 - 600, PLACES_NOW / 1_000 - 600);
  const queued = "p@20261123T020500Z";
  const ended = "p@20261123T015000Z";
  writePipeline(runs, "p", [
    loaded("* * * * *"),
    { type: "slot.fired", slot: "2026-11-23T01:50:00.000Z", run: ended },
    { type: "run.started", run: ended },
    { type: "run.finished", run: ended, status: "completed", durationMs: 1 },
    { type: "slot.fired", slot: PLACES_AT, run: PLACES_RUN },
    { type: "run.started", run: PLACES_RUN },
    { type: "slot.fired", slot: "2026-11-23T02:05:00.000Z", run: queued },
    { type: "run.queued", run: queued, because: "x" },
  ]);
  writeRun(runs, PLACES_RUN, [
    wanting(PLACES_RUN, {
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
    { type: "run.waits", on: ["big"], because: "gpu1.lan does not answer: No route to host" },
    started("here"),
    started("contained"),
    placed("contained", 1, ["podman", "here", "box-7"]),
    started("far"),
    placed("far", 1, ["farm", "w2"]),
    { type: "step.failed", step: "far", attempt: 1, error, retryAt: PLACES_AT },
    started("far", { attempt: 2 }),
    placed("far", 2, ["farm", "w1"]),
    started("going"),
    started("other", { elsewhere: true }),
  ]);
  // A run that waits for its turn makes no step wait for a place.
  writeRun(runs, queued, [wanting(queued, { a: ["gpu"] }), { type: "run.queued", because: "x" }]);
  return made;
}
