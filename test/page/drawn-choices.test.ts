/** Which pipelines Overview shows by its choices, and what it says where there are none. */
import { drawn, type PlainElement } from "./plain-document.ts";
import { at, atNoon, go } from "./page-moment.ts";
import { h } from "preact";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Overview as OverviewView } from "../../src/views/overview.ts";
import { here } from "../../src/page/app/here.ts";
import { live } from "../../src/page/app/live.ts";
import { Overview } from "../../src/page/app/pages/overview.tsx";

Object.assign(globalThis, { innerWidth: 1_000, innerHeight: 600, scrollY: 0 });

beforeEach(() => {
  atNoon("");
  live.value = { state: "off", lines: 0 };
});

describe("Overview", () => {
  const row = (name: string, more: object = {}): object => ({
    name,
    description: null,
    schedule: null,
    timezones: [],
    valid: true,
    paused: false,
    active: [],
    lastRun: null,
    lastMs: null,
    nextFire: null,
    because: null,
    strip: [],
    needsYou: false,
    tags: [],
    ...more,
  });
  const SUMS = { total: 0, ran: 0, late: 0, failed: 0, skipped: 0, missed: 0 };
  const overview = (pipelines: readonly object[], path = ""): Promise<PlainElement> => {
    go(path);
    const view = {
      at: at("12:00:00"),
      from: at("11:00:00"),
      root: "/srv",
      slots: SUMS,
      downtimes: [],
      reasons: [],
      running: [],
      next: [],
      changes: [],
      pipelines,
    } as unknown as OverviewView;
    return drawn(h(Overview, {}), { "overview?strips=60": view });
  };
  it("asks for the strips of the rows in sight, however many pipelines there are", async () => {
    const asked: string[] = [];
    const plain = globalThis.fetch;
    onTestFinished(() => void (globalThis.fetch = plain));
    globalThis.fetch = ((url: string, ...more: []) => {
      const { pathname, searchParams } = new URL(url);
      if (pathname.endsWith("/strips")) asked.push(searchParams.get("pipelines")!);
      return plain(url, ...more);
    }) as typeof fetch;
    await overview(Array.from({ length: 200 }, (_, nth) => row(`p${nth}`, { strip: null })));
    await vi.waitFor(() => expect(asked).not.toEqual([]));
    const names = asked[0]!.split(",");
    expect(names.slice(0, 5)).toEqual(["p0", "p1", "p2", "p3", "p4"]);
    expect(names.length).toBeLessThan(60);
  });

  const ALL = [
    row("a", { needsYou: true, tags: ["night", "db"] }),
    row("b", { active: ["b@1"], paused: true, tags: ["db"] }),
    row("c", { paused: true }),
  ];
  const states = (root: PlainElement): string[] =>
    root.all
      .find((one) => one.getAttribute("aria-label") === "State")!
      .every("a")
      .map(({ text }) => text.trim());

  it.each([
    ["", ["a", "b", "c"], ["All 3", "Need you 1", "Running 1", "Paused 2"]],
    ["?state=need", ["a"], ["All 3", "Need you 1", "Running 1", "Paused 2"]],
    ["?state=running", ["b"], ["All 3", "Need you 1", "Running 1", "Paused 2"]],
    ["?state=paused", ["b", "c"], ["All 3", "Need you 1", "Running 1", "Paused 2"]],
    ["?state=nothing", ["a", "b", "c"], ["All 3", "Need you 1", "Running 1", "Paused 2"]],
    ["?tag=db", ["a", "b"], ["All 2", "Need you 1", "Running 1", "Paused 1"]],
    ["?tag=db&state=paused", ["b"], ["All 2", "Need you 1", "Running 1", "Paused 1"]],
  ])("at %j has %j", async (path, rows, counts) => {
    const root = await overview(ALL, path);
    expect(states(root)).toEqual(counts);
    expect(root.one("div.pipelines").getAttribute("aria-rowcount")).toBe(String(1 + rows.length));
    expect(
      root
        .one("div.tags")
        .every("a")
        .map(({ text }) => text.trim()),
    ).toEqual(["#db", "#night"]);
  });

  it.each([
    ["", [], "No pipeline is in /srv/schedules. A file that is dropped there appears here."],
    ["?state=need", ALL.slice(1), "No pipeline needs you."],
    ["?state=need&tag=db", ALL.slice(1), "No pipeline is in this choice."],
    ["?state=running", ALL.slice(2), "No pipeline is in this choice."],
  ])("at %j says what is not there (%#)", async (path, rows, text) => {
    expect((await overview(rows, path)).one("p.card").text.trim()).toBe(text);
  });

  it("says from when it is, and whether it is live", async () => {
    const foot = async (): Promise<string> =>
      (await overview(ALL)).one("p.foot").text.replaceAll(/\s+/g, " ").trim();
    expect(await foot()).toContain("at 12:00:00Z · not live");
    expect(await foot()).toContain("r run p pause");
    here.value = { may: "read", daemon: { pid: 1 } } as never;
    expect(await foot()).not.toContain("run p pause");
  });
});
