/** Which steps of a run wait for their image, by the end of the run's log. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import type { ImageContainer } from "../../src/core/container.ts";
import { pullBegins, pullEnded, pullIn, pullSays } from "../../src/core/pull-text.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { pullWaits } from "../../src/views/pull-waits.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";
import { tempRoot } from "../support/temp-root.ts";

const container: ImageContainer = {
  image: "tool:1",
  pull: "missing",
  volumes: [],
  keep: "never",
  options: [],
};
const BEGINS = pullBegins("podman", "tool:1");
const WAITS = "it waits: podman pulls the image tool:1";
/** A line of the log, so many seconds after the run's begin. */
const said = (step: string, line: string, stream = "orchd", second = 1): object => ({
  at: new Date(Date.UTC(2026, 10, 23, 2, 0, second)).toISOString(),
  step,
  attempt: 1,
  stream,
  line,
});

function waitsBy(log: readonly object[], started: readonly string[] = []): object {
  const store = new RunStore(tempRoot().runs);
  const steps = [stepSpec("a", { container }), stepSpec("b", { container }), stepSpec("plain")];
  const run = new GivenRun(snapshotOf(steps)).happen({ type: "run.started", because: "due" });
  for (const step of started)
    run.happen({ type: "step.started", step, attempt: 1, because: "due" });
  const path = store.runLog(run.state.run);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, log.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return Object.fromEntries(pullWaits(store, run.state));
}

describe("a step waits for its image", () => {
  it.each<[string, readonly object[], readonly string[], object]>([
    ["where a pull begins", [said("a", BEGINS)], [], { a: WAITS }],
    ["each by its own lines", [said("a", BEGINS), said("b", BEGINS)], [], { a: WAITS, b: WAITS }],
    ["not where the image is there", [said("a", BEGINS), said("a", pullEnded("tool:1"))], [], {}],
    ["not once it prints", [said("a", BEGINS), said("a", "hello", "stdout")], [], {}],
    ["not without a container", [said("plain", BEGINS)], [], {}],
    ["an attempt that runs, by its lines", [said("a", BEGINS)], ["a"], { a: WAITS }],
    ["an attempt that runs, not by earlier ones", [said("a", BEGINS, "orchd", -1)], ["a"], {}],
    ["whatever stands between", [{ line: 1 }, said("a", BEGINS), { step: "a" }], [], { a: WAITS }],
  ])("%s", (_when, log, started, waits) => {
    expect(waitsBy(log, started)).toEqual(waits);
  });

  it("of a long log the end is read", () => {
    const lines = Array.from({ length: 2_000 }, (_, nth) => said("b", `line ${nth}`, "stdout"));
    expect(waitsBy([said("a", BEGINS), ...lines])).toEqual({});
    expect(waitsBy([...lines, said("a", BEGINS)])).toEqual({ a: WAITS });
  });

  it("each by its own image", () => {
    const store = new RunStore(tempRoot().runs);
    const other = { ...container, image: "tool:2" };
    const steps = [stepSpec("a", { container }), stepSpec("b", { container: other })];
    const run = new GivenRun(snapshotOf(steps)).happen({ type: "run.started", because: "due" });
    const path = store.runLog(run.state.run);
    mkdirSync(dirname(path), { recursive: true });
    const lines = [said("b", pullBegins("podman", "tool:2")), said("a", BEGINS)];
    writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const waits = { a: WAITS, b: "it waits: podman pulls the image tool:2" };
    expect(Object.fromEntries(pullWaits(store, run.state))).toEqual(waits);
  });

  it("none does where no log is there, or the run has not begun", () => {
    const store = new RunStore(tempRoot().runs);
    const run = new GivenRun(snapshotOf([stepSpec("a", { container })]));
    expect([...pullWaits(store, run.state)]).toEqual([]);
    run.happen({ type: "run.started", because: "due" });
    expect([...pullWaits(store, run.state)]).toEqual([]);
  });
});

it.each<[readonly string[], string | undefined]>([
  [[], undefined],
  [["hello"], undefined],
  [[BEGINS], "podman pulls the image tool:1"],
  [[BEGINS, pullSays("podman", "Trying to pull")], "podman pulls the image tool:1: Trying to pull"],
  [
    [BEGINS, pullSays("podman", "x".repeat(120))],
    `podman pulls the image tool:1: ${"x".repeat(100)}`,
  ],
  [
    [
      BEGINS,
      ...["a1: Pulling fs layer", "a1: Downloading"].map((line) => pullSays("docker", line)),
    ],
    "docker pulls the image tool:1: 0 of 1 layer",
  ],
  [
    [
      BEGINS,
      pullSays("docker", "a1: Pulling fs layer"),
      pullSays("docker", "b2: Already exists"),
      pullSays("docker", "a1: Pull complete"),
      pullSays("docker", "c3: Pulling fs layer"),
    ],
    "docker pulls the image tool:1: 2 of 3 layers",
  ],
  // A second pull counts anew.
  [[BEGINS, pullSays("podman", "a1: Pull complete"), BEGINS], "podman pulls the image tool:1"],
  [[BEGINS, pullEnded("tool:1")], undefined],
])("how far it is (%#)", (lines, text) => {
  expect(pullIn(lines, "tool:1")).toBe(text);
});
