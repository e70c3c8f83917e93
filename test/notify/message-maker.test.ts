/** Which messages have the end of a run's log, and what else a message is made of. */
import { expect, it } from "vitest";
import { ALERT_KINDS, type Alert } from "../../src/core/alert.ts";
import type { NotifySettings } from "../../src/core/notify-settings.ts";
import { makeMessage } from "../../src/notify/message-maker.ts";
import { replayed, testAlert } from "../../src/notify/replay.ts";
import { ChannelSecrets } from "../../src/notify/secrets.ts";
import { ALERT } from "../support/channel-rig.ts";

const settings = {
  url: "https://o",
  channels: { ops: { kind: "webhook", url: "http://h", template: "{{kind}} of {{pipeline}}" } },
  rules: [],
} as unknown as NotifySettings;
const secrets = new ChannelSecrets({ get: () => "s3cret-value" });

/** What the log was asked for, and the message. */
async function made(alert: Partial<Alert>, test?: boolean) {
  const asked: unknown[] = [];
  const logEnd = (run: string, most: number) => {
    asked.push([run, most]);
    return Promise.resolve([{ step: "dump", line: "no room for s3cret-value" }] as never);
  };
  const message = await makeMessage({ ...ALERT, ...alert }, { settings, secrets, logEnd }, test);
  return { asked: asked.length, message };
}

it("a run that failed or is overdue is told with the end of its log", async () => {
  const asked: string[] = [];
  for (const kind of ALERT_KINDS) if ((await made({ kind })).asked > 0) asked.push(kind);
  expect(asked).toEqual(["failed", "overdue"]);
  expect((await made({ run: undefined } as object)).asked).toBe(0);
});

it("its secrets are masked, and its channel's template is its title", async () => {
  secrets.read({ secret: "any" });
  const { message } = await made({ channel: "other" });
  expect(message.text).toContain("no room for ***");
  expect(message.text).not.toContain("s3cret");
  expect(message.url).toContain("https://o/");
  const own = (await made({})).message;
  expect(`${own.title}\n${own.text}`).toContain("failed of backup");
  expect(`${message.title}\n${message.text}`).not.toContain("failed of backup");
});

it("a log that cannot be read does not keep the message back", async () => {
  const logEnd = () => Promise.reject(new Error("gone"));
  const message = await makeMessage({ ...ALERT, channel: "x" }, { settings, secrets, logEnd });
  expect(message.text).toContain("step dump: exit status 1");
});

it("a message that tries the channel says so", async () => {
  const alert = testAlert("ops", Date.UTC(2026, 10, 23));
  expect(alert).toMatchObject({
    kind: "failed",
    channel: "ops",
    because: "this message tries channel ops; nothing failed",
    at: "2026-11-23T00:00:00.000Z",
    count: 1,
    telling: 1,
  });
  expect(testAlert("ops", 1).key).not.toBe(testAlert("ops", 2).key);
  expect((await made({}, true)).message.test).toBe(true);
  expect((await made({})).message.test ?? false).toBe(false);
});

it.each<[string, object[], string | undefined]>([
  ["no line of its end", [], undefined],
  [
    "it completed",
    [{ run: "p@1", status: "completed" }],
    "it ended completed, and no failure was told before it",
  ],
  ["no rule is about it", [{ run: "p@1", status: "failed" }], "no rule is about its failure"],
])("nobody is told where %s", (_what, ends, untold) => {
  const lines = ends.map((end, nth) => ({
    file: "p/pipeline.jsonl",
    seq: nth + 1,
    line: { type: "run.finished", at: "2026-11-23T02:00:00.000Z", durationMs: 1, ...end },
  }));
  const facts = { pipeline: "p", tags: [], notify: undefined, paused: false } as never;
  expect(replayed("p@1", facts, lines, settings, "UTC")?.untold).toBe(untold);
});
