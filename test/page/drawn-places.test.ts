/** What Places says, and what a run's values are shown as, without a browser. */
import { drawn, type PlainElement } from "./plain-document.ts";
import { atNoon, go } from "./page-moment.ts";
import { h } from "preact";
import { beforeEach, describe, expect, it } from "vitest";
import type { PlaceHostView, PlacesView, PlaceView } from "../../src/views/places.ts";
import type { StepPage } from "../../src/views/run-page.ts";
import { Places } from "../../src/page/app/pages/places.tsx";
import { Values } from "../../src/page/app/run/values.tsx";

const AT = "2026-11-28T11:50:00.000Z";

beforeEach(() => atNoon("places"));

const HOST: PlaceHostView = {
  host: "gpu1.lan",
  labels: ["gpu1", "cuda"],
  running: 1,
  threads: 4,
  node: "20.20.0",
  version: "0.1.0",
  protocol: 3,
  platform: "linux/x64",
  because: null,
};
const PLACE: PlaceView = {
  place: "gpu1",
  engine: "ssh",
  engineVersion: null,
  labels: ["gpu1", "gpu"],
  hosts: [HOST],
  running: 1,
  because: null,
  since: AT,
};

const places = (more: Partial<PlacesView>): Promise<PlainElement> =>
  drawn(h(Places, {}), {
    places: { daemon: { pid: 1 }, asOf: null, places: [], waiting: [], unread: 0, ...more },
  });
const rows = (root: PlainElement): string[][] =>
  root
    .every("tbody")
    .flatMap((body) =>
      body.every("tr").map((row) => row.every("td").map(({ text }) => text.trim())),
    );
const tired = { ...HOST, host: "w2", because: "its Node is too old" };

describe("places", () => {
  it.each<[Partial<PlacesView>, string, boolean]>([
    [{ places: [PLACE] }, "Every place takes work.", false],
    [{ places: [{ ...PLACE, because: "no" }] }, "1 place takes no work: gpu1.", true],
    [{ places: [{ ...PLACE, hosts: [tired] }] }, "1 place takes no work: gpu1.", true],
    [{ places: [{ ...PLACE, hosts: [] }] }, "1 place takes no work: gpu1.", true],
    [
      {
        places: [
          { ...PLACE, hosts: [HOST, tired] },
          { ...PLACE, place: "x", because: "no" },
          { ...PLACE, place: "y", because: "no" },
        ],
      },
      "2 places take no work: x, y. 1 machine takes none: w2 of gpu1.",
      true,
    ],
    [
      { daemon: null, asOf: AT },
      "The daemon is down, and nothing runs anywhere but what goes on without it. " +
        "What follows is as of 2026-11-28 11:50:00Z.",
      true,
    ],
    [
      { daemon: null },
      "The daemon is down, and nothing runs anywhere but what goes on without it.",
      true,
    ],
  ])("says whether all take work (%#)", async (more, text, isBad) => {
    const lead = (await places(more)).one("p.lead");
    expect([lead.text.trim(), lead.getAttribute("class")]).toEqual([
      text,
      isBad ? "lead bad" : "lead mute",
    ]);
  });

  it("has a row for each machine", async () => {
    const broker = {
      ...PLACE,
      place: "farm",
      engine: "nats",
      engineVersion: "2.12",
      labels: ["farm"],
    };
    const bare = { ...HOST, node: null, version: null, protocol: null, platform: null };
    expect(
      rows(
        await places({
          places: [
            { ...PLACE, hosts: [HOST, tired] },
            { ...broker, hosts: [{ ...bare, host: "w1", labels: [] }] },
            { ...broker, place: "empty", hosts: [], running: 0 },
            { ...broker, place: "down", hosts: [], because: "the broker does not answer" },
          ],
        }),
      ),
    ).toEqual([
      [
        "gpu1 ssh",
        "gpu1.lan",
        "✓takes work",
        "gpu, cuda",
        "1 running",
        "4 at once",
        "orchd 0.1.0, protocol 3, Node 20.20.0, linux/x64",
      ],
      [
        "gpu1 ssh",
        "w2",
        "✗takes no work: its Node is too old",
        "gpu, cuda",
        "1 running",
        "4 at once",
        "orchd 0.1.0, protocol 3, Node 20.20.0, linux/x64",
      ],
      ["farm nats 2.12", "w1", "✓takes work", "", "1 running", "4 at once", ""],
      [
        "empty nats 2.12",
        "",
        "✗takes no work: no machine of it is there",
        "farm",
        "0 running",
        "",
        "",
      ],
      [
        "down nats 2.12",
        "",
        "✗takes no work: the broker does not answer",
        "farm",
        "1 running",
        "",
        "",
      ],
    ]);
  });

  it("says who waits for which labels, and names five runs", async () => {
    const waiting = {
      labels: ["gpu", "linux"],
      steps: 7,
      starting: 2,
      runs: ["a@1", "a@2", "a@3", "a@4", "a@5", "a@6", "a@7"],
      because: null,
    };
    const few = { labels: ["x"], steps: 1, starting: 0, runs: ["b@1"], because: "nobody serves x" };
    const six = { ...few, labels: ["y"], runs: waiting.runs.slice(0, 6) };
    const root = await places({
      places: [PLACE],
      waiting: [waiting, few, six] as never,
      unread: 2,
    });
    expect(rows(root)[2]?.[3]).toBe("a@1, a@2, a@3, a@4, a@5 and 1 more");
    expect(rows(root).slice(0, 2)).toEqual([
      [
        "gpu, linux",
        "7 steps wait",
        "2 on the way",
        "a@1, a@2, a@3, a@4, a@5 and 2 more",
        "they wait for room",
      ],
      ["x", "1 step waits", "", "b@1", "nobody serves x"],
    ]);
    expect(root.every("p.none").map(({ text }) => text.trim())).toEqual([
      "2 active runs more were not looked at.",
    ]);
    expect(root.every("h2").map(({ text }) => text.trim())).toEqual(["Waiting 3", "Places 1"]);
  });

  it("says that nothing is there, and nobody waits", async () => {
    const root = await places({});
    expect(root.every("p.none").map(({ text }) => text.trim())).toEqual([
      "No step waits for a place.",
      "No daemon of this root has told of its places yet.",
    ]);
    expect(root.every("h2").map(({ text }) => text.trim())).toEqual(["Waiting", "Places"]);
  });
});

describe("what steps were given, and what they gave", () => {
  const step = (name: string, more: object = {}): StepPage =>
    ({ step: name, status: "completed", inputs: {}, outputs: null, ...more }) as StepPage;
  const values = (steps: readonly StepPage[], path = "runs/a@1"): Promise<PlainElement> => {
    go(path);
    return drawn(h(Values, { page: { steps } as never }));
  };

  it("is listed for twelve steps", async () => {
    const steps = (many: number) => Array.from({ length: many }, (_, nth) => step(`s${nth}`));
    const more = async (many: number): Promise<unknown[]> => {
      const root = await values(steps(many));
      return [root.every("details").length, root.every("p.mute").map(({ text }) => text.trim())];
    };
    expect(await more(12)).toEqual([12, []]);
    expect(await more(13)).toEqual([12, ["1 more step: choose one in the list."]]);
    expect((await values([])).one("p.none").text.trim()).toBe("No step has been added yet.");
  });

  it("is counted beside a step's name, and shown as JSON", async () => {
    const root = await values([
      step("a"),
      step("b", { inputs: { x: 1 }, outputs: { result: [2] } }),
      step("c", { inputs: { x: 1, y: null } }),
    ]);
    expect(root.every("summary").map(({ text }) => text.trim())).toEqual([
      "a no input, no output",
      "b 1 input, an output",
      "c 2 inputs, no output",
    ]);
    expect(root.every("pre").map((pre) => pre.textContent)).toEqual([
      "1",
      '{\n  "result": [\n    2\n  ]\n}',
      "1",
      "null",
    ]);
    expect(root.every("p.none").map(({ text }) => text.trim())).toEqual([
      "It gave no output.",
      "It gave no output.",
    ]);
  });

  it("is that of the chosen step alone, and of a long value the beginning", async () => {
    const long = (length: number) => step("b", { outputs: "x".repeat(length - 2) });
    const root = await values([step("a"), long(4_000)], "runs/a@1?step=b");
    expect(root.every("details")).toEqual([]);
    expect(root.one("pre").textContent).toBe(`"${"x".repeat(3_998)}"`);
    expect(root.every("a").map(({ text }) => text.trim())).toEqual(["all steps"]);
    const cut = await values([long(4_001)], "runs/a@1?step=b");
    expect(cut.one("pre").textContent).toBe(`"${"x".repeat(3_999)}\n… 4,001 characters`);
  });
});
