/** The way of every web channel, against real receivers over loopback. */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { retryAfter } from "../../../src/notify/channels/http.ts";
import { Authority, type Certificate } from "../../support/certificates.ts";
import { becauseOf, channelOf, message, send } from "../../support/channel-rig.ts";
import {
  answer,
  startProxy,
  startReceiver,
  startSocket,
  type Receiver,
} from "../../support/receiver.ts";

const opened: Receiver[] = [];
const keep = async <T extends Receiver>(starting: Promise<T>): Promise<T> => {
  const one = await starting;
  opened.push(one);
  return one;
};
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});

let authority: Authority;
let certificate: Certificate;
beforeAll(() => {
  authority = new Authority();
  certificate = authority.sign(["DNS:hooks.example", "IP:127.0.0.1"]);
});
afterAll(() => authority.remove());

const hook = (url: string, rest: { ca?: string; timeout?: string } = {}) =>
  channelOf({ kind: "webhook", url, ...rest });

describe("TLS", () => {
  it("takes a certificate of the authority in `ca`", async () => {
    const { url, received } = await keep(startReceiver(undefined, certificate));
    expect(await send(hook(url, { ca: authority.file }))).toMatchObject({ ok: true });
    expect(received).toHaveLength(1);
  });

  it("finds the file of `ca` from the root", async () => {
    const { url } = await keep(startReceiver(undefined, certificate));
    const channel = channelOf(
      { kind: "webhook", url, ca: "ca.pem" },
      {},
      {
        root: dirname(authority.file),
      },
    );
    expect(await send(channel)).toMatchObject({ ok: true });
  });

  it("refuses an authority that nobody trusts, before anything is sent", async () => {
    const { url, received } = await keep(startReceiver(undefined, certificate));
    expect(becauseOf(await send(hook(url)))).toBe(
      "127.0.0.1 has a certificate that no trusted authority signed: " +
        "name the authority's file with `ca`",
    );
    expect(received).toEqual([]);
  });

  it("refuses a certificate for another name", async () => {
    const other = authority.sign(["DNS:elsewhere.example"]);
    const { url, received } = await keep(startReceiver(undefined, other));
    expect(becauseOf(await send(hook(url, { ca: authority.file })))).toBe(
      "127.0.0.1 has a certificate for another name",
    );
    expect(received).toEqual([]);
  });

  it("says that a port speaks no TLS", async () => {
    const { url } = await keep(startReceiver());
    expect(becauseOf(await send(hook(url.replace("http:", "https:"))))).toBe(
      "127.0.0.1 does not speak TLS there: check the port, or write http:",
    );
  });

  it("says that a port speaks only TLS", async () => {
    const { url } = await keep(startReceiver(undefined, certificate));
    expect(becauseOf(await send(hook(url.replace("https:", "http:"))))).toMatch(
      /^127\.0\.0\.1 (closed the connection before it answered|answered 400)/,
    );
  });

  it("says that the file of `ca` is missing, or holds no certificate", async () => {
    const { url } = await keep(startReceiver(undefined, certificate));
    expect(becauseOf(await send(hook(url, { ca: "/nowhere/ca.pem" })))).toBe(
      "its ca file /nowhere/ca.pem cannot be read (ENOENT)",
    );
    const file = join(dirname(authority.file), "empty.pem");
    writeFileSync(file, "-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n");
    expect(await send(hook(url, { ca: file }))).toMatchObject({ ok: false });
  });
});

describe("a proxy", () => {
  it("carries http by its whole address", async () => {
    const { received, port } = await keep(startReceiver());
    const proxy = await keep(startProxy({ "hooks.example": port }));
    const channel = channelOf(
      { kind: "webhook", url: "http://me:pw@hooks.example/in?x=1#y" },
      {},
      { env: { http_proxy: proxy.url } },
    );
    expect(await send(channel)).toMatchObject({ ok: true });
    expect(proxy.received[0]!.path).toBe("http://hooks.example/in?x=1");
    expect(received[0]!.path).toBe("/in?x=1");
    expect(received[0]!.headers.host).toBe("hooks.example");
  });

  it("carries https by a tunnel, and sees nothing of it", async () => {
    const { received, port } = await keep(startReceiver(undefined, certificate));
    const proxy = await keep(startProxy({ "hooks.example": port }, "user:p@ss"));
    const channel = channelOf(
      { kind: "webhook", url: "https://hooks.example/in", ca: authority.file },
      {},
      { env: { https_proxy: proxy.url.replace("//", "//user:p%40ss@") } },
    );
    expect(await send(channel)).toMatchObject({ ok: true });
    expect(proxy.received.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "CONNECT hooks.example:443",
    ]);
    expect(received[0]!.headers["proxy-authorization"]).toBeUndefined();
    await expect.poll(() => proxy.open()).toBe(0);
    expect(received[0]!.headers.host).toBe("hooks.example");
  });

  it("does not excuse a certificate for another name", async () => {
    const { received, port } = await keep(startReceiver(undefined, certificate));
    const proxy = await keep(startProxy({ "other.example": port }));
    const channel = channelOf(
      { kind: "webhook", url: "https://other.example/in", ca: authority.file },
      {},
      { env: { https_proxy: proxy.url } },
    );
    expect(becauseOf(await send(channel))).toBe("other.example has a certificate for another name");
    expect(received).toEqual([]);
  });

  it("that wants a password, or knows no such host, is told from the receiver", async () => {
    const proxy = await keep(startProxy({}, "user:pass"));
    const through = (user: string, scheme: string) =>
      channelOf(
        { kind: "webhook", url: `${scheme}://hooks.example/in` },
        {},
        { env: { [`${scheme}_proxy`]: proxy.url.replace("//", `//${user}`) } },
      );
    const name = `the proxy 127.0.0.1:${proxy.port}`;
    expect(becauseOf(await send(through("", "https")))).toBe(
      `${name} answered 407 Proxy Authentication Required and does not connect`,
    );
    expect(becauseOf(await send(through("user:wrong@", "https")))).toContain("407");
    expect(becauseOf(await send(through("user:pass@", "https")))).toBe(
      `${name} answered 502 Bad Gateway and does not connect`,
    );
    expect(becauseOf(await send(through("", "http")))).toContain("the proxy wants a user");
  });

  it("that is down is told from the receiver, without its password", async () => {
    const { port, close } = await startReceiver();
    await close();
    for (const scheme of ["http", "https"]) {
      const channel = channelOf(
        { kind: "webhook", url: `${scheme}://hooks.example/in` },
        {},
        { env: { [`${scheme}_proxy`]: `http://u:canary-pass@127.0.0.1:${port}` } },
      );
      expect(becauseOf(await send(channel))).toBe(
        `the proxy 127.0.0.1:${port} refuses connections`,
      );
    }
  });

  it("that hangs is given up, and so is a tunnel into which nothing comes", async () => {
    const silent = await keep(startSocket(() => {}));
    const deaf = await keep(
      startSocket((socket) => socket.once("data", () => socket.write("HTTP/1.1 200 ok\r\n\r\n"))),
    );
    for (const [{ url }, who] of [
      [silent, `the proxy 127.0.0.1:${silent.port}`],
      [deaf, "hooks.example"],
    ] as const) {
      const channel = channelOf(
        { kind: "webhook", url: "https://hooks.example/in", timeout: "200ms" },
        {},
        { env: { https_proxy: url } },
      );
      expect(becauseOf(await send(channel))).toBe(`${who} did not answer in time (200ms)`);
    }
    await expect.poll(() => silent.open() + deaf.open()).toBe(0);
  });
});

describe("a receiver that", () => {
  it("is down", async () => {
    const { url, close } = await startReceiver();
    await close();
    expect(becauseOf(await send(hook(url)))).toBe("127.0.0.1 refuses connections");
    expect(becauseOf(await send(hook(url.replace("127.0.0.1", "localhost"))))).toBe(
      "localhost refuses connections",
    );
  });

  it("has no name", async () => {
    expect(becauseOf(await send(hook("http://no-such-host.invalid/")))).toMatch(
      /^no-such-host\.invalid is a name that (does not exist|cannot be looked up now)/,
    );
  });

  it("hangs", async () => {
    const silent = await keep(startSocket(() => {}));
    const sent = await send(hook(silent.url, { timeout: "200ms" }));
    expect(sent).toEqual({
      ok: false,
      because: "127.0.0.1 did not answer in time (200ms)",
    });
    await expect.poll(() => silent.open()).toBe(0);
  });

  it("drips its head for ever", async () => {
    const timers = new Set<NodeJS.Timeout>();
    const dripping = await keep(
      startSocket((socket) => {
        socket.write("HTTP/1.1 200 OK\r\n");
        const timer = setInterval(() => socket.write("X-A: b\r\n"), 20);
        timers.add(timer);
        socket.on("close", () => clearInterval(timer));
      }),
    );
    expect(becauseOf(await send(hook(dripping.url, { timeout: "300ms" })))).toBe(
      "127.0.0.1 did not answer in time (300ms)",
    );
    for (const timer of timers) clearInterval(timer);
  });

  it("took the message and never ends its answer, has taken it", async () => {
    const dripping = await keep(
      startReceiver((response) => {
        response.writeHead(202);
        response.write("o");
      }),
    );
    const sent = await send(hook(dripping.url, { timeout: "300ms" }));
    expect(sent).toEqual({ ok: true, answer: "202 Accepted" });
    await expect.poll(() => dripping.open()).toBe(0);
  });

  it("took the message and breaks off, has taken it", async () => {
    const { url } = await keep(
      startReceiver((response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write("o", () => response.socket?.resetAndDestroy());
      }),
    );
    expect(await send(hook(url))).toMatchObject({ ok: true });
  });

  it("answers 10 MB, is read to the limit only", async () => {
    let written = 0;
    const { url } = await keep(
      startReceiver((response) => {
        response.writeHead(500);
        const chunk = Buffer.alloc(1024 * 1024, "x");
        const more = (): void => {
          if (written >= 10) return void response.end();
          written += 1;
          response.write(chunk, more);
        };
        response.on("error", () => {});
        more();
      }),
    );
    const because = becauseOf(await send(hook(url)));
    expect(because.length).toBeLessThanOrEqual(300);
    expect(because).toMatch(/^127\.0\.0\.1 answered 500 Internal Server Error \(xxx/);
    expect(written).toBeLessThan(10);
  });

  it("resets the connection", async () => {
    const { url } = await keep(startSocket((socket) => socket.resetAndDestroy()));
    expect(becauseOf(await send(hook(url)))).toBe(
      "127.0.0.1 closed the connection before it answered",
    );
  });

  it.each([
    ["SSH-2.0-OpenSSH_9.2\r\n", "answers with something that is not HTTP"],
    [`HTTP/1.1 200 OK\r\nX: ${"a".repeat(100_000)}\r\n\r\n`, "answers with more header lines"],
    ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "closed the"],
    ["HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "answers with something that is not HTTP"],
  ])("answers %j", async (bytes, because) => {
    const { url } = await keep(
      startSocket((socket) => socket.once("data", () => socket.end(bytes))),
    );
    expect(becauseOf(await send(hook(url, { timeout: "5s" })))).toContain(because);
  });

  it("gives an HTML page as its reason, is quoted by its status alone", async () => {
    const page = answer(502, "<html><b>Bad</b></html>", { "content-type": "text/html" });
    const { url } = await keep(startReceiver(page));
    expect(becauseOf(await send(hook(url)))).toBe("127.0.0.1 answered 502 Bad Gateway");
  });

  it("says when to come again, is told so", async () => {
    const { url } = await keep(startReceiver(answer(503, "", { "retry-after": "17" })));
    expect(await send(hook(url))).toMatchObject({ ok: false, retryAfterMs: 17_000 });
  });
});

describe("the end of the program", () => {
  it("ends a try at once", async () => {
    const silent = await keep(startSocket(() => {}));
    const ending = new AbortController();
    const sending = send(hook(silent.url), message(), ending.signal);
    await expect.poll(() => silent.open()).toBe(1);
    ending.abort();
    expect(await sending).toEqual({ ok: false, because: "127.0.0.1 did not answer in time" });
    await expect.poll(() => silent.open()).toBe(0);
    expect(await send(hook(silent.url), message(), ending.signal)).toMatchObject({ ok: false });
  });
});

describe("Retry-After", () => {
  const now = Date.parse("2026-11-28T04:00:00Z");
  it.each([
    [undefined, undefined],
    ["30", 30_000],
    ["0.25", 250],
    [" 5 ", 5_000],
    ["Sat, 28 Nov 2026 04:02:00 GMT", 120_000],
    ["Sat, 28 Nov 2026 03:02:00 GMT", 0],
    ["soon", undefined],
    ["-5", undefined],
    ["99999999999999", 86_400_000],
  ])("%j", (value, expected) => {
    expect(retryAfter(value, now)).toBe(expected);
  });
});
