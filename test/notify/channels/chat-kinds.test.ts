/** What each kind sends, against receivers that answer as the real ones do. */
import { afterEach, describe, expect, it } from "vitest";
import type { ChannelSettings } from "../../../src/core/notify-settings.ts";
import type { Sent } from "../../../src/notify/channel.ts";
import { discord } from "../../../src/notify/channels/discord.ts";
import { ChannelSecrets } from "../../../src/notify/secrets.ts";
import { ALERT, becauseOf, channelOf, message, send } from "../../support/channel-rig.ts";
import { answer, startReceiver, type Answer, type Receiver } from "../../support/receiver.ts";

let receiver: Receiver | undefined;
afterEach(async () => {
  await receiver?.close();
  receiver = undefined;
});

const SECRETS = { TOKEN: "7412589630:AAE-canary_token" };

/** Sends to a receiver that answers so. `settings` gets its address. */
async function sendTo(
  settings: (url: string) => ChannelSettings,
  answering: Answer = answer(200, "ok"),
  one = message(),
): Promise<Sent> {
  receiver = await startReceiver(answering);
  return send(channelOf(settings(receiver.url), SECRETS), one);
}
const got = (): any => receiver!.received[0]!.json();

describe("a text that begins with its title", () => {
  const title = "backup failed";
  const one = message({}, { title, text: `${title}\n\nBecause: x\n\n`, url: undefined as never });
  const bare = { ...one, text: title };
  const url = (address: string) => ({ url: address });
  const token = { token: { secret: "TOKEN" } };
  it.each<[string, (address: string) => ChannelSettings, (body: string) => string]>([
    ["slack", (a) => ({ kind: "slack", ...url(a) }), (b) => JSON.parse(b).blocks[1]?.text.text],
    [
      "discord",
      (a) => ({ kind: "discord", ...url(a) }),
      (b) => JSON.parse(b).embeds[0].description.slice(4, -4),
    ],
    [
      "teams",
      (a) => ({ kind: "teams", ...url(a) }),
      (b) => JSON.parse(b).attachments[0].content.body[1]?.inlines[0].text,
    ],
    ["ntfy", (a) => ({ kind: "ntfy", ...url(a) }), (b) => b],
    ["gotify", (a) => ({ kind: "gotify", ...url(a), ...token }), (b) => JSON.parse(b).message],
    [
      "telegram",
      (a) => ({ kind: "telegram", ...url(a), ...token, chat: 1 }),
      (b) => JSON.parse(b).text.split("\n\n").slice(1).join(),
    ],
  ])("has it once at %s", async (_, settings, textOf) => {
    expect(await sendTo(settings, undefined, one)).toMatchObject({ ok: true });
    expect(textOf(receiver!.received[0]!.body)).toBe("Because: x");
    await receiver!.close();
    expect(await sendTo(settings, undefined, bare)).toMatchObject({ ok: true });
    expect(textOf(receiver!.received[0]!.body)).toBe(title);
  });
});

describe("slack", () => {
  const slack = (url: string): ChannelSettings => ({ kind: "slack", url: `${url}/services/T/B/x` });

  it("posts blocks of plain text, and all of it as text", async () => {
    expect(await sendTo(slack)).toEqual({ ok: true, answer: "200 OK" });
    expect(receiver!.received[0]!.path).toBe("/services/T/B/x");
    expect(got()).toMatchObject({
      text: expect.stringContaining("because: step dump: exit status 1"),
      mrkdwn: false,
      blocks: [
        { type: "header", text: { type: "plain_text", text: message().title, emoji: false } },
        { type: "section", text: { type: "plain_text", text: message().text } },
        { type: "context", elements: [{ type: "mrkdwn" }] },
      ],
    });
  });

  it("escapes mentions and links, and calls nobody", async () => {
    const hostile = "<!channel> <@U1> <https://evil|x> & @here @channel a@all.example @everyone";
    await sendTo(slack, undefined, message({}, { title: hostile, text: hostile }));
    const { text, blocks } = got();
    expect(text).not.toMatch(/<|[^\u200B&]&(?!amp;|lt;|gt;)/);
    expect(text).not.toMatch(/@(here|channel|everyone)/);
    expect(blocks[0].text.type).toBe("plain_text");
    expect(blocks[1].text.text).not.toMatch(/@(here|channel|everyone)/);
  });

  it("keeps to the limits of a header, a block and a text", async () => {
    const text = `${"x".repeat(2_999)}\u{1F4A5}\n`.repeat(6);
    await sendTo(slack, undefined, message({}, { title: "t".repeat(200), text }));
    const { blocks, text: all } = got();
    expect(blocks[0].text.text).toHaveLength(150);
    expect(blocks).toHaveLength(6);
    for (const block of blocks.slice(1, 5))
      expect(block.text.text.length).toBeLessThanOrEqual(3_000);
    expect(JSON.stringify(blocks)).not.toMatch(/\\ud[89a-f]/i);
    expect(all.length).toBeLessThan(40_000);
  });

  it("tells what Slack says", async () => {
    const sent = await sendTo(slack, answer(410, "channel_is_archived"));
    expect(becauseOf(sent)).toMatch(/^127\.0\.0\.1 answered 410 Gone: .*\(channel_is_archived\)$/);
  });
});

describe("discord", () => {
  const settings = (url: string): ChannelSettings => ({
    kind: "discord",
    url: `${url}/api/webhooks/1/abc?thread_id=5`,
  });

  it("posts an embed that mentions nobody, and waits for it to be kept", async () => {
    expect(await sendTo(settings, answer(200, "{}"))).toEqual({ ok: true, answer: "200 OK" });
    expect(receiver!.received[0]!.path).toBe("/api/webhooks/1/abc?thread_id=5&wait=true");
    expect(got()).toMatchObject({
      allowed_mentions: { parse: [] },
      embeds: [{ timestamp: ALERT.at, description: expect.stringMatching(/^```\nbackup failed/) }],
    });
  });

  it("lets no text out of its block of code", async () => {
    const text = `\`\`\` @everyone <@1> [x](https://evil) **b**\n${"`".repeat(50)}`;
    const title = "@everyone **b** [x](https://evil) `c` <@1>";
    await sendTo(
      settings,
      answer(204),
      message({}, { title, text, url: "https://o.example/#/a>b" }),
    );
    const { description, title: head } = got().embeds[0];
    expect(description.split("```")).toHaveLength(3);
    expect(description.endsWith("```\n<https://o.example/#/a%3Eb>")).toBe(true);
    expect(head).not.toMatch(/(?<!\\)[*[\]<>`]/);
  });

  it("keeps to 256 and 4,096 characters", async () => {
    const long = message({}, { title: "*".repeat(200), text: "`".repeat(9_000) });
    await sendTo(settings, answer(204), long);
    const { description, title } = got().embeds[0];
    expect(title.length).toBeLessThanOrEqual(256);
    expect(description.length).toBeLessThanOrEqual(4_096);
    expect(description.split("```")).toHaveLength(3);
  });

  it("waits as long as it is told to", async () => {
    const limited = answer(429, '{"message":"limited","retry_after":1.337,"global":false}', {
      "retry-after": "2",
    });
    expect(await sendTo(settings, limited)).toMatchObject({ ok: false, retryAfterMs: 1_337 });
    await receiver!.close();
    const cloudflare = answer(429, "error code: 1015", { "retry-after": "60" });
    expect(await sendTo(settings, cloudflare)).toMatchObject({ retryAfterMs: 60_000 });
  });

  it("names the version of the API, at Discord's own address", () => {
    const secrets = new ChannelSecrets({ get: () => "" });
    const path = (url: string): string =>
      discord.posts({ kind: "discord", url }, message(), secrets, undefined as never)[0]!.url.href;
    expect(path("https://discord.com/api/webhooks/1/a")).toBe(
      "https://discord.com/api/v10/webhooks/1/a?wait=true",
    );
    expect(path("https://ptb.discord.com/api/v9/webhooks/1/a")).toContain("/api/v9/webhooks/");
    expect(path("https://notdiscord.com/api/webhooks/1/a")).toContain("/api/webhooks/");
  });
});

describe("teams", () => {
  const teams = (url: string): ChannelSettings => ({ kind: "teams", url: `${url}/wf?sig=x` });

  it("posts a card of text runs", async () => {
    expect(await sendTo(teams, answer(202))).toEqual({ ok: true, answer: "202 Accepted" });
    const { type, attachments } = got();
    expect(type).toBe("message");
    expect(attachments[0].contentType).toBe("application/vnd.microsoft.card.adaptive");
    const { body, actions } = attachments[0].content;
    expect(body.map((block: any) => [block.type, block.inlines[0].text])).toEqual([
      ["RichTextBlock", message().title],
      ["RichTextBlock", "backup failed."],
      ["RichTextBlock", "because: step dump: exit status 1"],
      ["RichTextBlock", "orchd status backup"],
    ]);
    expect(actions).toEqual([
      { type: "Action.OpenUrl", title: "Open in orchd", url: message().url },
    ]);
  });

  it.each([
    ["lines", "x\n".repeat(8_000)],
    ["one line", "\u{1F4A5}".repeat(8_000)],
    ["quotes", '"\\'.repeat(8_000)],
    ["blanks", " \n".repeat(8_000)],
  ])("is smaller than 28 KB with 16 KB of %s", async (_, text) => {
    await sendTo(teams, answer(202), message({}, { title: '"'.repeat(200), text }));
    expect(Buffer.byteLength(receiver!.received[0]!.body)).toBeLessThan(20_000);
  });

  it("is not sent where the answer is 200 and says that it failed", async () => {
    const words =
      "Webhook message delivery failed with error: " +
      "Microsoft Teams endpoint returned HTTP error 413 with ContextId x";
    expect(becauseOf(await sendTo(teams, answer(200, words)))).toContain("did not deliver");
    await receiver!.close();
    expect(await sendTo(teams, answer(200, "1"))).toMatchObject({ ok: true });
  });
});

describe("ntfy", () => {
  const ntfy = (url: string, rest = {}): ChannelSettings => ({
    kind: "ntfy",
    url: `${url}/topic`,
    ...rest,
  });

  it("posts the text, with its title, tags, priority, links and token as headers", async () => {
    await sendTo((url) => ntfy(url, { priority: 5, token: { secret: "TOKEN" } }));
    const { path, body, headers } = receiver!.received[0]!;
    expect([path, body]).toEqual(["/topic", message().text]);
    expect(headers).toMatchObject({
      title: message().title,
      tags: "rotating_light,failed",
      priority: "5",
      click: message().url,
      actions: `view, Open in orchd, ${message().url}`,
      authorization: `Bearer ${SECRETS.TOKEN}`,
    });
  });

  it("encodes what no header can hold", async () => {
    const title = `Größe\r\nX-Evil: 1 \u{1F4A5}${"ü".repeat(60)}`;
    const url = "https://o.example/a,b;c'd\"e?ä=ö";
    await sendTo(ntfy, undefined, message({ kind: "recovered" }, { title, url }));
    const { headers } = receiver!.received[0]!;
    expect(headers["x-evil"]).toBeUndefined();
    expect(headers["tags"]).toBe("white_check_mark,recovered");
    const words = headers["title"]!.toString().split(" ");
    expect(Math.max(...words.map(({ length }) => length))).toBeLessThanOrEqual(75);
    const decoded = words
      .map((word) => Buffer.from(/^=\?UTF-8\?B\?(.*)\?=$/.exec(word)![1]!, "base64").toString())
      .join("");
    expect(decoded).toBe(title.replace("\r\n", " "));
    expect(headers["click"]).toMatch(/^[!-+\--:<-~]+$/);
    expect(headers["priority"]).toBeUndefined();
  });

  it("keeps to 4,096 bytes", async () => {
    await sendTo(ntfy, undefined, message({}, { text: "\u{1F4A5}ü".repeat(3_000) }));
    const { body } = receiver!.received[0]!;
    expect(Buffer.byteLength(body)).toBeGreaterThan(4_080);
    expect(Buffer.byteLength(body)).toBeLessThanOrEqual(4_096);
    expect(body).not.toContain("\uFFFD");
    expect(body.endsWith("…")).toBe(true);
  });
});

describe("gotify", () => {
  it.each(["", "/", "/push", "/push/", "/push/message", "/message/", "/mymessage"])(
    "posts below its own path: %j",
    async (base) => {
      await sendTo((url) => ({
        kind: "gotify",
        url: `${url}${base}`,
        token: { secret: "TOKEN" },
        priority: 0,
      }));
      const [one] = receiver!.received;
      const path = base.replace(/\/$/, "").replace(/\/message$/, "");
      expect(one!.path).toBe(`${path}/message`);
      expect(one!.headers["x-gotify-key"]).toBe(SECRETS.TOKEN);
      expect(got()).toEqual({
        title: message().title,
        message: message().text,
        priority: 0,
        extras: {
          "client::display": { contentType: "text/plain" },
          "client::notification": { click: { url: message().url } },
        },
      });
    },
  );
});

describe("telegram", () => {
  const telegram = (url: string): ChannelSettings => ({
    kind: "telegram",
    token: { secret: "TOKEN" },
    chat: -100_123,
    url,
  });
  const taken = answer(200, '{"ok":true,"result":{"message_id":17}}');

  it("sends plain text, marked by entities", async () => {
    expect(await sendTo(telegram, taken)).toEqual({ ok: true, answer: "message 17" });
    expect(receiver!.received[0]!.path).toBe(`/bot${SECRETS.TOKEN}/sendMessage`);
    const { chat_id, text, entities, parse_mode } = got();
    expect([chat_id, parse_mode]).toEqual([-100_123, undefined]);
    expect(
      entities.map(({ type, offset, length }: any) => [type, text.slice(offset, offset + length)]),
    ).toEqual([
      ["bold", message().title],
      ["pre", message().text],
    ]);
    expect(text.endsWith(`\n\n${message().url}`)).toBe(true);
  });

  it("keeps to 4,096 characters, and its entities to the text", async () => {
    const text = `\n  ${"\u{1F4A5}".repeat(4_000)}  \n`;
    await sendTo(
      telegram,
      taken,
      message({}, { title: `@admin /stop #x ${"t".repeat(300)}`, text }),
    );
    const { text: all, entities } = got();
    expect(all.length).toBeLessThanOrEqual(4_096);
    expect(all).not.toMatch(/[@/#](?=admin|stop|x )/);
    expect(all).not.toMatch(/\p{Surrogate}/u);
    const [, pre] = entities;
    expect(all.slice(pre.offset, pre.offset + pre.length)).toMatch(/^\u{1F4A5}+…$/u);
  });

  it("waits as long as it is told to, and keeps the token to itself", async () => {
    const limited = answer(
      429,
      '{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 5",' +
        '"parameters":{"retry_after":5}}',
    );
    expect(await sendTo(telegram, limited)).toEqual({
      ok: false,
      because: "127.0.0.1 answered 429 Too Many Requests: retry after 5",
      retryAfterMs: 5_000,
    });
    await receiver!.close();
    const echo: Answer = (response, { path }) => response.writeHead(404).end(`no ${path}`);
    expect(becauseOf(await sendTo(telegram, echo))).not.toContain("canary");
  });

  it("tells where a group has gone", async () => {
    const moved = answer(
      400,
      '{"ok":false,"description":"Bad Request: group chat was upgraded to a supergroup chat",' +
        '"parameters":{"migrate_to_chat_id":-1009}}',
    );
    expect(becauseOf(await sendTo(telegram, moved))).toContain("the chat is -1009 now");
  });

  it.each(["", "null", "[]", "{", '{"ok":true}'])("is not confused by %j", async (body) => {
    expect(await sendTo(telegram, answer(502, body))).toMatchObject({ ok: false });
  });
});

describe("pagerduty", () => {
  const pagerduty = (url: string): ChannelSettings => ({
    kind: "pagerduty",
    key: { secret: "TOKEN" },
    url,
  });
  const taken = answer(202, '{"status":"success","dedup_key":"x"}');
  const events = (): any[] => receiver!.received.map((one) => one.json());

  it("opens an incident", async () => {
    expect(await sendTo(pagerduty, taken)).toEqual({ ok: true, answer: "202 Accepted" });
    expect(got()).toMatchObject({
      routing_key: SECRETS.TOKEN,
      event_action: "trigger",
      dedup_key: expect.stringMatching(/^orchd\/[0-9a-f]{16}\/backup\/failed$/),
      client: "orchd",
      client_url: message().url,
      payload: {
        summary: message().title,
        source: "test.example",
        severity: "error",
        timestamp: ALERT.at,
        component: "backup",
        class: "failed",
        custom_details: { run: ALERT.run, count: 2, key: ALERT.key },
      },
    });
  });

  it("resolves the same incident, and no other kind's", async () => {
    receiver = await startReceiver(taken);
    const channel = channelOf(pagerduty(receiver.url), SECRETS);
    await send(channel);
    await send(channel, message({ telling: 2, key: "other" }));
    await send(channel, message({ kind: "recovered", of: "failed", key: "third" }));
    await send(channel, message({ kind: "recovered", of: "missed", key: "fourth" }));
    const [first, again, over, other] = events();
    expect(again.dedup_key).toBe(first.dedup_key);
    expect(over).toEqual({
      routing_key: SECRETS.TOKEN,
      event_action: "resolve",
      dedup_key: first.dedup_key,
    });
    expect(other.dedup_key).not.toBe(first.dedup_key);
  });

  it("tells machines and roots apart, and has a lasting name where one is given", async () => {
    receiver = await startReceiver(taken);
    const settings = pagerduty(receiver.url);
    const named = { ...settings, source: "fleet" } as ChannelSettings;
    await send(channelOf(settings, SECRETS));
    await send(channelOf(settings, SECRETS, { machine: "b.example" }));
    await send(channelOf(settings, SECRETS, { root: "/srv/b" }));
    await send(channelOf(named, SECRETS, { machine: "c1" }));
    await send(channelOf(named, SECRETS, { machine: "c2" }));
    const keys = events().map(({ dedup_key }) => dedup_key as string);
    expect(new Set(keys.slice(0, 4)).size).toBe(4);
    expect(keys[4]).toBe(keys[3]);
    expect(events()[4].payload.source).toBe("fleet");
  });

  it("sends an event for each of a group, and all again where one fails", async () => {
    receiver = await startReceiver((response, _, nth) =>
      response.writeHead(nth === 2 ? 500 : 202).end(),
    );
    const { because, at } = ALERT;
    const others = [
      { kind: "missed", pipeline: "etl", because, at, count: 3 },
      { kind: "recovered", of: "late", pipeline: "report", because, at, count: 1 },
    ] as const;
    const channel = channelOf(pagerduty(receiver.url), SECRETS);
    expect(await send(channel, message({ others }))).toMatchObject({ ok: false });
    expect(await send(channel, message({ others }))).toMatchObject({ ok: true });
    const told = events().map(
      ({ event_action, dedup_key }) => `${event_action} ${dedup_key.split("/").slice(2).join(" ")}`,
    );
    const all = ["trigger backup failed", "trigger etl missed", "resolve report late"];
    expect(told).toEqual([...all.slice(0, 2), ...all]);
  });

  it("keeps a summary to 1,024 characters", async () => {
    await sendTo(pagerduty, taken, message({}, { title: "\u{1F4A5}".repeat(2_000) }));
    expect(got().payload.summary.length).toBeLessThanOrEqual(1_024);
  });
});
