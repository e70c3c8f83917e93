import { createHmac } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { answer, startReceiver, type Receiver } from "../../support/receiver.ts";
import { ALERT, becauseOf, channelOf, message, send } from "../../support/channel-rig.ts";

let receiver: Receiver;
afterEach(() => receiver.close());

describe("a webhook", () => {
  it("posts the alert with its members in order, and its key", async () => {
    receiver = await startReceiver();
    const sent = await send(channelOf({ kind: "webhook", url: `${receiver.url}/in?x=1` }));
    expect(sent).toEqual({ ok: true, answer: "200 OK" });
    const [got] = receiver.received;
    expect(got!.method).toBe("POST");
    expect(got!.path).toBe("/in?x=1");
    expect(got!.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(got!.headers["idempotency-key"]).toBe(ALERT.key);
    expect(got!.headers["x-orchd-signature"]).toBeUndefined();
    expect(got!.headers["user-agent"]).toMatch(/^orchd\/\d/);
    expect(Object.keys(got!.json()).slice(0, 8)).toEqual([
      "kind",
      "pipeline",
      "run",
      "status",
      "because",
      "at",
      "key",
      "url",
    ]);
    expect(got!.json()).toMatchObject({
      kind: "failed",
      pipeline: "backup",
      run: ALERT.run,
      status: "failed",
      because: ALERT.because,
      at: ALERT.at,
      key: ALERT.key,
      url: "https://orchd.example/#/runs/backup@20261128T040500Z",
      count: 2,
    });
  });

  it("says null where something does not apply", async () => {
    receiver = await startReceiver();
    const { pipeline: _, run: __, status: ___, ...rest } = ALERT;
    const one = { alert: { ...rest, kind: "disk_full" as const }, title: "t", text: "x" };
    await send(channelOf({ kind: "webhook", url: receiver.url }), one);
    expect(receiver.received[0]!.json()).toMatchObject({
      kind: "disk_full",
      pipeline: null,
      run: null,
      status: null,
      url: null,
    });
  });

  it("signs the bytes of the body", async () => {
    receiver = await startReceiver();
    await send(
      channelOf({ kind: "webhook", url: receiver.url, sign: { secret: "KEY" } }, { KEY: "hush" }),
      message({ because: "größer als \u{1F4A5} \uD800 allowed" }),
    );
    const [got] = receiver.received;
    const digest = createHmac("sha256", "hush").update(Buffer.from(got!.body)).digest("hex");
    expect(got!.headers["x-orchd-signature"]).toBe(`sha256=${digest}`);
    expect(got!.json().because).toBe("größer als \u{1F4A5} \uFFFD allowed");
  });

  it("takes headers, but none that is orchd's", async () => {
    receiver = await startReceiver();
    await send(
      channelOf(
        {
          kind: "webhook",
          url: receiver.url.replace("//", "//me:p%40ss@"),
          headers: {
            "X-Team": "ops",
            Authorization: { secret: "TOKEN" },
            "idempotency-key": "mine",
            "content-type": "text/html",
            "Content-Length": "3",
            "transfer-encoding": "chunked",
          },
        },
        { TOKEN: "Bearer abc" },
      ),
    );
    const { headers, json } = receiver.received[0]!;
    expect(headers).toMatchObject({ "x-team": "ops", authorization: "Bearer abc" });
    expect(headers["idempotency-key"]).toBe(ALERT.key);
    expect(headers["content-type"]).toMatch(/json/);
    expect(json().key).toBe(ALERT.key);
  });

  it("gives the user of its address as a header", async () => {
    receiver = await startReceiver();
    await send(channelOf({ kind: "webhook", url: receiver.url.replace("//", "//me:p%40ss@") }));
    expect(receiver.received[0]!.headers.authorization).toBe(
      `Basic ${Buffer.from("me:p@ss").toString("base64")}`,
    );
  });

  it.each([
    [
      { "X-A": "a\r\nEvil: 1" },
      "one of the headers has a name or a value that HTTP does not allow",
    ],
    [{ "X A": "a" }, "one of the headers has a name or a value that HTTP does not allow"],
  ])("refuses a header that is two: %o", async (headers, because) => {
    receiver = await startReceiver();
    const sent = await send(channelOf({ kind: "webhook", url: receiver.url, headers }));
    expect(sent).toEqual({ ok: false, because });
    expect(receiver.received).toEqual([]);
  });

  it("says which secret is missing, and reads it again at the next try", async () => {
    receiver = await startReceiver();
    const secrets: Record<string, string> = {};
    const channel = channelOf({ kind: "webhook", url: { secret: "HOOK" } }, secrets);
    expect(becauseOf(await send(channel))).toBe("The secret HOOK is not there");
    secrets["HOOK"] = "ftp://x.example/abcdefghijkl";
    expect(becauseOf(await send(channel))).toBe("the secret HOOK is no http or https address");
    secrets["HOOK"] = receiver.url;
    expect(await send(channel)).toMatchObject({ ok: true });
  });

  it.each([
    [301, {}, "a redirect is not followed"],
    [307, { location: "http://127.0.0.1:1/x" }, "a redirect is not followed"],
    [401, {}, "its token or its address is wrong"],
    [404, {}, "404 Not Found: it has no such address"],
    [410, {}, "410 Gone: "],
    [413, {}, "longer than it takes"],
    [500, {}, "500 Internal Server Error"],
    [999, {}, "answered 999"],
  ])("tells what %i means, and tries again", async (status, headers, because) => {
    receiver = await startReceiver(answer(status, "", headers));
    const sent = await send(channelOf({ kind: "webhook", url: receiver.url }));
    expect(becauseOf(sent)).toContain(because);
    expect(sent).not.toHaveProperty("final");
    expect(receiver.received).toHaveLength(1);
  });

  it("repeats a receiver's words on one line, without its secrets", async () => {
    const hook = "/services/T0001/B0002/s3cr3tTokenOfTheHook";
    receiver = await startReceiver((response, { path }) => {
      response.writeHead(400).end(`no\r\nsuch \u001b[31mhook ${path} s3cr3tTokenOfTheHook hush99`);
    });
    const sent = await send(
      channelOf(
        { kind: "webhook", url: { secret: "HOOK" }, sign: { secret: "KEY" } },
        { HOOK: receiver.url + hook, KEY: "hush99" },
      ),
    );
    expect(becauseOf(sent)).toBe("127.0.0.1 answered 400 Bad Request (no such hook *** *** ***)");
  });
});
