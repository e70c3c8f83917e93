/** What kinds of channels make of a message before it is sent: every kind of alert, bounds. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { ALERT_KINDS } from "../../../src/core/alert.ts";
import { discord } from "../../../src/notify/channels/discord.ts";
import { addressOf } from "../../../src/notify/channels/address.ts";
import { askHttp } from "../../../src/notify/channels/heartbeat-call.ts";
import { ntfy } from "../../../src/notify/channels/ntfy.ts";
import { pagerduty } from "../../../src/notify/channels/pagerduty.ts";
import { webhookBody } from "../../../src/notify/channels/webhook-body.ts";
import { ChannelSecrets } from "../../../src/notify/secrets.ts";
import { VERSION } from "../../../src/version.ts";
import { message } from "../../support/channel-rig.ts";
import { onTestFinished } from "../../support/running-test.ts";

const HOST = { clock: systemClock, env: {}, root: "/srv", machine: "box" };
const secretsOf = (values: Readonly<Record<string, string>> = {}): ChannelSecrets =>
  new ChannelSecrets({
    get(name) {
      const value = values[name];
      if (value === undefined) throw new Error(`The secret ${name} is not there.`);
      return value;
    },
  });

it("each kind of alert has its severity at PagerDuty, and its tag at ntfy", () => {
  const seen = ALERT_KINDS.map((kind) => {
    const [post] = pagerduty.posts(
      { kind: "pagerduty", key: { secret: "K" } },
      message({ kind }),
      secretsOf({ K: "k" }),
      HOST,
    );
    const { event_action, payload } = JSON.parse(post!.body) as {
      event_action: string;
      payload?: { severity: string; class: string };
    };
    const [own] = ntfy.posts(
      { kind: "ntfy", url: "http://n/t" },
      message({ kind }),
      secretsOf(),
      HOST,
    );
    return [kind, payload?.severity ?? event_action, own!.headers["Tags"]];
  });
  expect(seen).toEqual([
    ["failed", "error", "rotating_light,failed"],
    ["missed", "error", "rotating_light,missed"],
    ["late", "warning", "rotating_light,late"],
    ["overdue", "warning", "rotating_light,overdue"],
    ["invalid", "error", "rotating_light,invalid"],
    ["recovered", "resolve", "white_check_mark,recovered"],
    ["queued", "warning", "rotating_light,queued"],
    ["disk_full", "critical", "rotating_light,disk_full"],
    ["restarted", "warning", "rotating_light,restarted"],
    ["damaged", "critical", "rotating_light,damaged"],
    ["channel_broken", "error", "rotating_light,channel_broken"],
  ]);
});

it("what looks like an encoded word in a title is shown as it is written", () => {
  const title = "=?UTF-8?Q?all_well?= failed";
  const settings = { kind: "ntfy", url: "http://n/t" } as const;
  const [post] = ntfy.posts(settings, message({}, { title }), secretsOf(), HOST);
  const [, word] = /^=\?UTF-8\?B\?(.*)\?=$/.exec(post!.headers["Title"]!) ?? [];
  expect(Buffer.from(word!, "base64").toString()).toBe(title);
});

it.each<[string | undefined, object]>([
  [undefined, {}],
  ["no address", {}],
  [
    "https://o/#/a,b;c'd\"e",
    {
      Click: "https://o/#/a%2Cb%3Bc%27d%22e",
      Actions: "view, Open in orchd, https://o/#/a%2Cb%3Bc%27d%22e",
    },
  ],
])("ntfy has a link to %j", (url, links) => {
  const [post] = ntfy.posts(
    { kind: "ntfy", url: "http://n/t" },
    message({}, { url } as object),
    secretsOf(),
    HOST,
  );
  const { Click, Actions } = post!.headers;
  expect({ ...(Click && { Click }), ...(Actions && { Actions }) }).toEqual(links);
});

it.each([
  ["https://discord.com/api/webhooks/1/t", "/api/v10/webhooks/1/t"],
  ["https://discordapp.com/api/webhooks/1/t", "/api/v10/webhooks/1/t"],
  ["https://ptb.discord.com/api/webhooks/1/t", "/api/v10/webhooks/1/t"],
  ["https://discord.com/api/v9/webhooks/1/t", "/api/v9/webhooks/1/t"],
  ["https://mydiscord.com/api/webhooks/1/t", "/api/webhooks/1/t"],
  ["https://discord.com.example/api/webhooks/1/t", "/api/webhooks/1/t"],
])("the version of Discord's API, at %s", (url, path) => {
  const [post] = discord.posts({ kind: "discord", url }, message(), secretsOf(), HOST);
  expect(post!.url.pathname).toBe(path);
});

it("a link of 1,000 characters stands below Discord's text, and none that is longer", () => {
  const description = (length: number): string => {
    const url = `https://o/${"x".repeat(length - 10)}`;
    const [post] = discord.posts(
      { kind: "discord", url: "https://d/1" },
      message({}, { url }),
      secretsOf(),
      HOST,
    );
    return (JSON.parse(post!.body) as { embeds: [{ description: string }] }).embeds[0].description;
  };
  expect(description(1_000)).toMatch(/```\n<https:\/\/o\/x+>$/);
  expect(description(1_001)).toMatch(/```$/);
});

it("a program that reads an alert is told whether it tries the channel", () => {
  const read = (test?: boolean): unknown =>
    (JSON.parse(webhookBody(message({}, { test } as object))) as { test: unknown }).test;
  expect([read(), read(false), read(true)]).toEqual([false, false, true]);
});

describe("the address of a receiver", () => {
  it.each<[string | { secret: string }, string]>([
    ["ftp://h/", "its url is no http or https address"],
    ["h", "its url is no http or https address"],
    [{ secret: "URL" }, "the secret URL is no http or https address"],
    [{ secret: "NONE" }, "The secret NONE is not there."],
  ])("%j: %s", (setting, sentence) => {
    expect(() => addressOf(setting, secretsOf({ URL: "mailto:x" }))).toThrow(new Error(sentence));
  });

  it.each([
    ["http://h/12345678901234567890", true],
    ["http://h/1234567890123456789", false],
    ["http://h/12345678?a=1234567890", true],
    ["http://u:word@h/", true],
    [" HTTPS://h/a\n", false],
  ])("%j is masked: %s", (address, isMasked) => {
    const secrets = secretsOf();
    addressOf(address, secrets);
    expect(secrets.mask(`it is ${address.trim()}.`).includes("***")).toBe(isMasked);
  });
});

describe("a heartbeat", () => {
  const signal = new AbortController().signal;
  it.each([
    [200, undefined],
    [299, undefined],
    [300, "answered 300 Multiple Choices"],
    [404, "answered 404 Not Found"],
    [500, "answered 500 Internal Server Error"],
  ])("that is answered %i", async (status, answered) => {
    const seen: unknown[] = [];
    const server = createServer((request, response) => {
      seen.push([request.method, request.url, request.headers["user-agent"]]);
      response.writeHead(status).end();
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/beat`;
    expect(await askHttp(url, secretsOf(), HOST, signal)).toEqual(
      answered === undefined ? { ok: true } : { ok: false, because: `127.0.0.1 ${answered}` },
    );
    expect(seen).toEqual([["GET", "/beat", `orchd/${VERSION}`]]);
  });

  it("whose address is none, or whose secret is missing, says so", async () => {
    const because = async (setting: string | { secret: string }): Promise<unknown> =>
      askHttp(setting, secretsOf(), HOST, signal);
    expect(await because("ftp://h")).toEqual({
      ok: false,
      because: "its url is no http or https address",
    });
    expect(await because({ secret: "NONE" })).toEqual({
      ok: false,
      because: "The secret NONE is not there.",
    });
  });
});
