import { describe, expect, it } from "vitest";
import {
  notifyFaults,
  pipelineNotifySchema,
  resolveNotify,
  resolvePipelineNotify,
} from "../../src/core/notify-settings.ts";
import { orchdSettingsSchema, resolveSettings } from "../../src/core/settings.ts";
import { checkShape } from "../../src/core/shape-faults.ts";

const chat = { kind: "slack", url: { secret: "CHAT" } } as const;
const ops = { kind: "webhook", url: "https://example.org/in" } as const;

function faults(notify: unknown): string[] {
  const shape = checkShape(orchdSettingsSchema, { notify });
  return shape.ok ? [] : shape.faults.map(({ path, message }) => `${path.join(".")} ${message}`);
}

describe("notify: of orchd.yaml", () => {
  it("has one rule with all channels where it has no rules", () => {
    const { rules, channels } = resolveNotify({ channels: { chat, ops } }, "Europe/Berlin");
    expect(rules).toEqual([
      {
        on: ["failed", "missed", "invalid", "recovered", "disk_full", "damaged", "channel_broken"],
        to: ["chat", "ops"],
        after: 1,
        groupMs: 0,
        queuedMs: 3_600_000,
      },
    ]);
    expect(channels["ops"]).toEqual({ ...ops, timeoutMs: 30_000 });
  });

  it("has times in milliseconds, and hours in minutes of the day", () => {
    const { rules, heartbeat, url } = resolveNotify(
      {
        channels: { chat: { ...chat, timeout: "5s" } },
        rules: [
          {
            to: ["chat", "chat"],
            on: ["late"],
            after: 3,
            group: "5m",
            repeat: "1d",
            late: "90s",
            queued: 60,
            quiet: { from: "22:00", to: "06:30" },
            tags: ["a"],
            pipelines: ["p"],
          },
        ],
        heartbeat: { url: { secret: "HC" }, every: "5m" },
        url: "https://cron.example.org/orchd//",
      },
      "Europe/Berlin",
    );
    expect(rules).toEqual([
      {
        on: ["late"],
        to: ["chat"],
        after: 3,
        groupMs: 300_000,
        repeatMs: 86_400_000,
        lateMs: 90_000,
        queuedMs: 60_000,
        quiet: { from: 1_320, to: 390, timezone: "Europe/Berlin" },
        tags: ["a"],
        pipelines: ["p"],
      },
    ]);
    expect(heartbeat).toEqual({ url: { secret: "HC" }, everyMs: 300_000, timeoutMs: 10_000 });
    expect(url).toBe("https://cron.example.org/orchd");
  });

  it("takes the zone of quiet hours as the database spells it, or orchd.yaml's", () => {
    const quiet = { from: "22:00", to: "06:00" };
    const settings = resolveSettings({
      timezone: "asia/tokyo",
      notify: {
        channels: { chat },
        rules: [
          { to: ["chat"], quiet },
          { to: ["chat"], quiet: { ...quiet, timezone: "europe/berlin" } },
        ],
      },
    });
    expect(
      settings.ok && settings.settings.notify?.rules.map((rule) => rule.quiet?.timezone),
    ).toEqual(["Asia/Tokyo", "Europe/Berlin"]);
  });

  it("is absent where it is not written", () => {
    const settings = resolveSettings({});
    expect(settings.ok && "notify" in settings.settings).toBe(false);
  });

  it.each([
    [{ rules: [{ to: ["ops"] }] }, /^notify\.rules\.0\.to\.0 names the channel ops, which/],
    [{ channels: { ops }, rules: [{ to: ["opps"] }] }, /did you mean "?ops/],
    [{ channels: { ops }, rules: [{ to: [] }] }, /^notify\.rules\.0\.to /],
    [{ channels: { ops }, rules: [{ to: ["ops"], on: ["fail"] }] }, /^notify\.rules\.0\.on\.0 /],
    [{ channels: { ops }, rules: [{ to: ["ops"], repeat: 0 }] }, /repeat must be more than 0/],
    [{ channels: { ops }, rules: [{ to: ["ops"], group: "soon" }] }, /group must be a duration/],
    [
      { channels: { chat: { kind: "slack", url: "hooks.slack.com/x" } } },
      /^notify\.channels\.chat\.url must begin with https:\/\/ or http:\/\/; if it holds a token/,
    ],
    [
      { channels: { ops: { kind: "slak" } } },
      /^notify\.channels\.ops\.kind must be one of mail, .*, not "slak"; did you mean "slack"\?$/,
    ],
    [
      { channels: { ops: {} } },
      /^notify\.channels\.ops\.kind is missing; it must be one of mail, /,
    ],
    [
      { channels: { chat: { ...chat, smtp: {} } } },
      /^notify\.channels\.chat\.smtp is not known here; known are (?!.*to,).*template$/,
    ],
    [{ channels: { ops: { ...ops, sing: { secret: "X" } } } }, /sing is .*; did you mean "sign"\?/],
    [{ chanels: {} }, /chanels/],
  ])("says what is wrong in %j", (notify, message) => {
    expect(faults(notify)).toEqual([expect.stringMatching(message)]);
  });

  it.each([
    [{ from: "22:00", to: "22:00" }, /quiet\.to is the same time as `from`/],
    [{ from: "24:00", to: "06:00" }, /quiet\.from must be a time of day such as 22:00/],
    [{ from: "9:00", to: "06:00" }, /quiet\.from must be a time of day/],
    [{ from: "22:00", to: "06:00", timezone: "CEST" }, /quiet\.timezone "CEST" is /],
  ])("says what is wrong in quiet hours %j", (quiet, message) => {
    expect(faults({ channels: { ops }, rules: [{ to: ["ops"], quiet }] })).toEqual([
      expect.stringMatching(message),
    ]);
  });
});

describe("notify: of a pipeline file", () => {
  it("is nobody, a rule, or a list of rules", () => {
    const rule = { to: ["ops"] };
    expect(resolvePipelineNotify(undefined, "UTC")).toBeUndefined();
    expect(resolvePipelineNotify(false, "UTC")).toEqual([]);
    expect(resolvePipelineNotify(rule, "UTC")).toMatchObject([{ to: ["ops"], after: 1 }]);
    expect(resolvePipelineNotify([rule, rule], "UTC")).toHaveLength(2);
  });

  it("is none where a newer release wrote what is not known", () => {
    expect(resolvePipelineNotify({ to: ["ops"], shout: true }, "UTC")).toBeUndefined();
    expect(resolvePipelineNotify("ops", "UTC")).toBeUndefined();
  });

  it("names channels of orchd.yaml", () => {
    const written = pipelineNotifySchema.parse([{ to: ["ops"] }, { to: ["ops", "chatt"] }]);
    expect(notifyFaults(written, resolveNotify({ channels: { ops, chat } }, "UTC"))).toEqual([
      {
        path: ["notify", 1, "to", 1],
        message:
          'names channel "chatt", which orchd.yaml does not have under notify: channels:' +
          '; did you mean "chat"?',
      },
    ]);
    expect(notifyFaults({ to: ["ops"] }, undefined)).toMatchObject([{ path: ["notify", "to", 0] }]);
    expect(notifyFaults(false, undefined)).toEqual([]);
  });
});
