/** `orchd alerts` for people: whether anybody is told, and how many of a list are shown. */
import { describe, expect, it } from "vitest";
import { printAlerts } from "../../src/cli/alerts-render.ts";
import type { AlertsView, ChannelView, MessageView } from "../../src/views/alerts.ts";
import { ToldTerminal } from "../support/told-terminal.ts";

const NOW = Date.parse("2026-11-28T12:00:00.000Z");
const at = (time: string): string => `2026-11-28T${time}.000Z`;
const CHANNEL: ChannelView = {
  name: "ops",
  kind: "slack",
  broken: false,
  fault: null,
  sent: 3,
  failed: 2,
  gaveUp: 1,
  lastSentAt: at("11:59:00"),
};
const message = (more: Partial<MessageView> = {}): MessageView => ({
  key: "k",
  channel: "ops",
  kind: "failed",
  of: null,
  pipeline: "etl",
  run: null,
  because: "x",
  count: 1,
  dueAt: at("11:50:00"),
  endedAt: null,
  attempts: 2,
  retryAt: at("12:01:00"),
  fault: "answered 500",
  ...more,
});

function told(more: Partial<AlertsView>): ToldTerminal {
  const terminal = new ToldTerminal(200);
  const view = {
    configured: true,
    running: true,
    fault: null,
    asOf: at("12:00:00"),
    firing: [],
    waiting: [],
    sent: [],
    gaveUp: [],
    silences: [],
    channels: [CHANNEL],
    counts: { firing: 0, waiting: 0 },
    ...more,
  } as AlertsView;
  printAlerts(terminal.it, view, NOW);
  return terminal;
}
const head = (more: Partial<AlertsView>): string[] =>
  told({ channels: [], ...more }).lines.filter((line) => !line.startsWith("and"));

describe("whether anybody is told", () => {
  it.each<[string, Partial<AlertsView>, RegExp[]]>([
    [
      "nothing is configured",
      { configured: false, running: false, asOf: null },
      [/^nobody is told: orchd\.yaml has no `notify`/],
    ],
    [
      "it does not run",
      { running: false, asOf: at("11:00:00") },
      [
        /^nothing is sent: `orchd notify` does not run/,
        /^what follows is as of 2026-11-28 11:00:00Z, 1h ago$/,
      ],
    ],
    ["there is no channel", {}, [/^nobody is told: orchd\.yaml has `notify`, but no channel\.$/]],
    ["it runs", { channels: [CHANNEL] }, [/^alerts are on: `orchd notify` runs$/]],
    ["there is a fault", { fault: "it is damaged" }, [/but no channel/, /^it is damaged$/]],
  ])("%s", (_what, view, lines) => {
    const said = head(view);
    for (const [nth, line] of lines.entries()) expect(said[nth]).toMatch(line);
    if (view.channels === undefined) expect(said).toHaveLength(lines.length);
  });
});

describe("a list", () => {
  const many = (count: number): MessageView[] => Array.from({ length: count }, () => message());
  const rows = (view: Partial<AlertsView>): string[] =>
    told(view).lines.filter((line) => line.startsWith("ops") && line.includes("answered 500"));
  const more = (view: Partial<AlertsView>): string | undefined =>
    told(view).lines.find((line) => line.startsWith("and "));

  it("shows twenty, and says how many more there are", () => {
    const of = (count: number, all = count) => ({
      waiting: many(count),
      counts: { firing: 0, waiting: all } as never,
    });
    expect([rows(of(20)).length, more(of(20))]).toEqual([20, undefined]);
    expect([rows(of(21)).length, more(of(21))]).toEqual([20, "and 1 more; --json lists up to 200"]);
    expect(more(of(200, 500))).toBe("and 480 more; --json lists up to 200");
    expect(more({ gaveUp: many(25) })).toBe("and 5 more; --json lists up to 200");
  });

  it("of messages that wait: when the next try is", () => {
    const next = (retryAt: string | null): string =>
      told({
        waiting: [message({ retryAt })],
        counts: { firing: 0, waiting: 1 },
      }).cells.find(([first, , , , , last]) => first === "ops" && last === "answered 500")![4]!;
    expect(next(at("12:01:00"))).toBe("in 1m");
    expect(next(at("12:00:00"))).toBe("due");
    expect(next(at("11:00:00"))).toBe("due");
    expect(next(null)).toBe("due");
  });

  it("of channels: how each fares", () => {
    const state = (more: Partial<ChannelView>): string[] =>
      told({ channels: [{ ...CHANNEL, ...more }] }).cells.at(-1)!;
    expect(state({})).toEqual(["ops", "slack", "ok", "3", "2", "1", "1m ago"]);
    expect(state({ broken: true, fault: "x" })[2]).toBe("broken");
    expect(state({ fault: "x" })[2]).toBe("last try failed");
    expect(state({ fault: "x", lastSentAt: null })[2]).toBe("last try failed");
    expect(state({ lastSentAt: null }).slice(2)).toEqual(["not used yet", "3", "2", "1", "never"]);
    expect(state({ kind: null })[1]).toBe("-");
  });
});
