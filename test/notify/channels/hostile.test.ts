/** Texts that are meant to do harm, through every kind that posts. */
import { afterEach, describe, expect, it } from "vitest";
import type { ChannelSettings } from "../../../src/core/notify-settings.ts";
import { becauseOf, channelOf, message, send } from "../../support/channel-rig.ts";
import { answer, startReceiver, type Receiver } from "../../support/receiver.ts";

const CANARY = "canary-7f3a9c2e-token";
const ADDRESS_CANARY = "canaryInTheAddress42";

const KINDS: Readonly<Record<string, (url: string) => ChannelSettings>> = {
  webhook: () => ({
    kind: "webhook",
    url: { secret: "URL" },
    sign: { secret: "TOKEN" },
    headers: { Authorization: { secret: "TOKEN" } },
  }),
  slack: () => ({ kind: "slack", url: { secret: "URL" } }),
  discord: () => ({ kind: "discord", url: { secret: "URL" } }),
  teams: () => ({ kind: "teams", url: { secret: "URL" } }),
  ntfy: () => ({ kind: "ntfy", url: { secret: "URL" }, token: { secret: "TOKEN" } }),
  gotify: () => ({ kind: "gotify", url: { secret: "URL" }, token: { secret: "TOKEN" } }),
  telegram: (url) => ({ kind: "telegram", url, chat: "@ops", token: { secret: "TOKEN" } }),
  pagerduty: (url) => ({ kind: "pagerduty", url, key: { secret: "TOKEN" } }),
};

const NASTY = [
  "a\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1",
  "\u001b[31mred\u001b]0;title\u0007\u0000\u0008",
  "<script>alert(1)</script><b>& \"'",
  "\uD800 half \uDC00",
  "@everyone <!channel> <at>all</at> [x](javascript:1) **b** `c` ```d```",
  "=?utf-8?B?eA==?=",
  "\u202Eright to left\u2066",
  "x".repeat(1024 * 1024),
  "\u{1F4A5}".repeat(300_000),
  "\n".repeat(100_000),
  "",
  " ",
];

let receiver: Receiver;
afterEach(() => receiver.close());

describe.each(Object.entries(KINDS))("%s", (name, settings) => {
  const open = async (answering = answer(200, "{}")) => {
    receiver = await startReceiver(answering);
    const URL = `${receiver.url}/services/${ADDRESS_CANARY}`;
    return channelOf(settings(receiver.url), { URL, TOKEN: CANARY });
  };

  it("sends whatever a text holds, in one whole request", async () => {
    const channel = await open();
    for (const nasty of NASTY) {
      const because = nasty.slice(0, 2_000);
      const sent = await send(
        channel,
        message(
          { because, run: nasty.slice(0, 200) },
          { title: nasty.slice(0, 200), text: nasty.slice(0, 16 * 1024) },
        ),
      );
      expect(sent).toMatchObject({ ok: true });
    }
    // Nobody promises a channel that a text is short.
    for (const nasty of NASTY)
      expect(await send(channel, message({}, { title: nasty, text: nasty }))).toMatchObject({
        ok: true,
      });
    expect(receiver.received).toHaveLength(2 * NASTY.length);
    for (const { headers, body, method } of receiver.received) {
      expect(method).toBe("POST");
      expect(headers["x-evil"]).toBeUndefined();
      expect(headers["idempotency-key"]).toBe(message().alert.key);
      if (name === "ntfy") continue;
      expect(() => JSON.parse(body) as unknown).not.toThrow();
      expect(body).not.toMatch(/\\ud[89a-f][0-9a-f]{2}/i);
    }
  });

  it("keeps its secrets to itself, whatever a receiver says", async () => {
    const echo = await open((response, { path, rawHeaders, body }) => {
      response.writeHead(400, { "content-type": "text/plain" });
      response.end(`${path} ${rawHeaders.join(" ")} ${body}`.slice(0, 5_000));
    });
    const because = becauseOf(await send(echo));
    expect(because).not.toContain(CANARY);
    expect(because).not.toContain(ADDRESS_CANARY);
    expect(because).not.toContain("canary");
    expect(because.length).toBeLessThanOrEqual(300);
  });

  it("keeps its secrets out of the reasons that it passes on", async () => {
    const channel = await open();
    await send(channel);
    const because = `it printed ${CANARY} and /services/${ADDRESS_CANARY}`;
    const others = [{ kind: "failed", pipeline: "b", because, at: "", count: 1 }] as const;
    await send(channel, message({ because, others }));
    const bodies = receiver.received
      .slice(1)
      .map(({ body }) => body.replace(`"routing_key":"${CANARY}"`, ""));
    for (const body of bodies) expect(body).not.toContain(CANARY);
    // A kind whose address is in the settings has no secret in it.
    if (name !== "telegram" && name !== "pagerduty")
      for (const body of bodies) expect(body).not.toContain(ADDRESS_CANARY);
  });

  it("keeps its secrets to itself where nobody listens", async () => {
    const channel = await open();
    await receiver.close();
    expect(becauseOf(await send(channel))).toBe("127.0.0.1 refuses connections");
  });

  it("says which secret is missing", async () => {
    receiver = await startReceiver();
    const channel = channelOf(settings(receiver.url), {});
    expect(becauseOf(await send(channel))).toMatch(/^The secret (URL|TOKEN) is not there$/);
  });
});
