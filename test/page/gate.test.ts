/** Who comes in: hosts, origins, tokens, methods, and how much a client may send. */
import { once } from "node:events";
import { chmodSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startPage } from "../../src/page/server/page-server.ts";
import { NO_SETUP } from "../../src/views/alerts-reading.ts";
import { idOf } from "../support/made-up-root.ts";
import { tempRoot } from "../support/temp-root.ts";
import { pageRig, type Asked, type Got, type PageRig } from "./page-rig.ts";

const STATUS = "/api/v1/status";
const PAUSE: Asked = { method: "POST", body: JSON.stringify({ type: "pause", pipeline: "etl" }) };
const READ = "read-token-0123456789";
const OPERATE = "operate-token-0123456789";

function tokenFile(mode = 0o600, text = `# ours\nread ${READ}\n\noperate ${OPERATE}\n`): string {
  const path = join(tempRoot().root, "tokens");
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const statusOf = async (got: Promise<Got>): Promise<number> => (await got).status;
const requestsOf = ({ root }: PageRig): string[] => {
  try {
    return readdirSync(join(root.runs, ".orchd/requests"));
  } catch {
    return [];
  }
};

describe("a host", () => {
  it("is answered only where it is the page's own", async () => {
    const rig = await pageRig();
    const under = (host: string): Promise<number> =>
      statusOf(rig.ask(STATUS, { headers: { host } }));
    for (const own of ["127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:4114"])
      expect([own, await under(own)]).toEqual([own, 200]);
    for (const foreign of [
      "evil.example",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "evil.example:4114",
      "127.0.0.1@evil.example",
      "0x7f000001",
      "192.168.0.1",
      "localhost:x",
    ])
      expect([foreign, await under(foreign)]).toEqual([foreign, 421]);
    // Even what needs no token, and with a token.
    expect(await statusOf(rig.ask("/", { headers: { host: "evil.example" } }))).toBe(421);
  });

  it("is the proxy's word only where the proxy is trusted", async () => {
    const headers = { host: "127.0.0.1", "x-forwarded-host": "orchd.example" };
    const origin = { ...headers, origin: "https://orchd.example" };
    const trusting = await pageRig({ trustProxy: true, allowRequests: true });
    expect(await statusOf(trusting.ask(STATUS, { headers: { host: "orchd.example" } }))).toBe(200);
    expect(await statusOf(trusting.ask("/api/v1/requests", { ...PAUSE, headers: origin }))).toBe(
      202,
    );
    const plain = await pageRig({ allowRequests: true });
    expect(await statusOf(plain.ask("/api/v1/requests", { ...PAUSE, headers: origin }))).toBe(403);
  });
});

describe("a token", () => {
  it("is needed for all that tells of the root, and for nothing else", async () => {
    const rig = await pageRig();
    for (const path of [STATUS, "/api/v1/events", "/api", "/metrics", "/openapi.json", "/api/x"])
      expect([path, await statusOf(rig.ask(path, { token: null }))]).toEqual([path, 401]);
    for (const path of ["/healthz", "/readyz"])
      expect([path, await statusOf(rig.ask(path, { token: null }))]).toEqual([path, 200]);
    const refused = await rig.ask(STATUS, { token: null });
    expect(refused.headers["www-authenticate"]).toBe('Bearer realm="orchd"');
    expect(refused.headers["content-type"]).toBe("application/problem+json");
    expect(refused.json()).toMatchObject({ status: 401, title: "Unauthorized", exitCode: 5 });
  });

  it("is needed however the path is spelt", async () => {
    const rig = await pageRig({ base: "/b", allowRequests: true });
    for (const path of [
      "/x/../api/v1/status",
      "/./api/v1/status",
      "/%61pi/v1/status",
      "/x/%2e%2e/api/v1/status",
      "/x/.%2E/api/v1/status",
      "/b/../api/v1/status",
      "/b/b/../api/v1/status",
      "/b/x/../../api/v1/status",
      "//api/v1/status",
      "/b//api/v1/status",
      "/api//v1/status",
      "/API/v1/status",
      "/api/v1/status/",
      "/api;x/v1/status",
      "/\\api/v1/status",
      "/x\\..\\api/v1/status",
      "/api/v1/%73tatus",
      "/%6detrics",
      "/x/../metrics",
      "http://127.0.0.1/api/v1/status",
      "/x?/../api/v1/status",
      "/x#/../api/v1/status",
      "/api/v1/status%00",
      "/api%2fv1%2fstatus",
    ]) {
      const got = await rig.ask(path, { token: null });
      expect([path, got.status]).toSatisfy(([, status]: [string, number]) =>
        [400, 401, 404].includes(status),
      );
      expect(got.text).not.toMatch(/"pipelines"|orchd_up/);
    }
    const posted = await rig.ask("/x/../api/v1/requests", { ...PAUSE, token: null });
    expect([posted.status, requestsOf(rig)]).toEqual([401, []]);
  });

  it("is whole, or none", async () => {
    const rig = await pageRig();
    const { token } = rig.page;
    for (const wrong of [
      "",
      " ",
      token!.slice(1),
      `${token}x`,
      token!.toUpperCase(),
      "x".repeat(600),
    ])
      expect(await statusOf(rig.ask(STATUS, { token: wrong }))).toBe(401);
    const basic = Buffer.from(`orchd:${token}`).toString("base64");
    expect(
      await statusOf(
        rig.ask(STATUS, { token: null, headers: { authorization: `Basic ${basic}` } }),
      ),
    ).toBe(401);
    // A query ends up in logs and histories, so it holds none.
    expect(await statusOf(rig.ask(`${STATUS}?token=${token}`, { token: null }))).toBe(401);
    expect(rig.page.url).toBe(`http://127.0.0.1:${rig.port}/#token=${token}`);
  });

  it("that may read may not ask", async () => {
    const rig = await pageRig({ tokenFile: tokenFile(), allowRequests: true });
    expect(rig.page.token).toBeNull();
    expect(rig.page.url).not.toContain("#");
    expect(await statusOf(rig.ask(STATUS, { token: READ }))).toBe(200);
    expect(await statusOf(rig.ask(STATUS, { token: OPERATE }))).toBe(200);
    const post = (token: string | null): Promise<number> =>
      statusOf(rig.ask("/api/v1/requests", { ...PAUSE, token }));
    expect([await post(null), await post("wrong"), await post(READ)]).toEqual([401, 401, 403]);
    expect(requestsOf(rig)).toEqual([]);
    expect(await post(OPERATE)).toBe(202);
    expect(requestsOf(rig)).toHaveLength(1);
  });

  it.each([
    ["others may read it", 0o604, undefined, /every user of this machine may open it/],
    ["others may write it", 0o602, undefined, /every user of this machine/],
    ["it holds none", 0o600, "# nothing\n", /holds no token/],
    ["a line is none", 0o600, `read ${READ}\nwrite ${OPERATE}\n`, /line 2: write `read TOKEN`/],
    ["a token can be guessed", 0o600, "read hunter2\n", /line 1: the token is too short/],
  ])("file is refused where %s", async (_why, mode, text, sentence) => {
    const refused = await pageRig({ tokenFile: tokenFile(mode, text) }).catch(
      (error: Error) => error.message,
    );
    expect(refused).toMatch(sentence);
    expect(refused).not.toMatch(/hunter2|0123456789/);
  });
});

describe("a request", () => {
  it("is refused where the page only shows", async () => {
    const rig = await pageRig();
    const got = await rig.ask("/api/v1/requests", PAUSE);
    expect([got.status, got.headers["allow"]]).toEqual([405, "GET, HEAD"]);
    for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
      expect([method, await statusOf(rig.ask(STATUS, { method }))]).toEqual([method, 405]);
    expect(requestsOf(rig)).toEqual([]);
  });

  it("goes to its own address alone, and what is only read says so", async () => {
    const rig = await pageRig({ allowRequests: true });
    for (const path of [STATUS, "/api/v1/runs/a@b/log", "/api/v1/here", "/api/v1/events"]) {
      const got = await rig.ask(path, PAUSE);
      expect([path, got.status, got.headers["allow"]]).toEqual([path, 405, "GET, HEAD"]);
      expect(got.text).toContain(`${path} takes GET; requests go to /api/v1/requests.`);
    }
    expect((await rig.ask("/api/v1/runs/a/b/c", PAUSE)).status).toBe(404);
    expect(requestsOf(rig)).toEqual([]);
  });

  it("of another origin's page is refused, whatever it carries", async () => {
    const rig = await pageRig({ allowRequests: true });
    const from = (headers: Record<string, string>): Promise<number> =>
      statusOf(rig.ask("/api/v1/requests", { ...PAUSE, headers }));
    const host = `127.0.0.1:${rig.port}`;
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { origin: "" },
      { origin: `http://${host}.evil.example` },
      { origin: `http://evil.example#${host}` },
      { origin: `http://evil.example@${host}` },
      { origin: `http://${host}/` },
      { origin: `file://${host}` },
      { origin: "http://127.0.0.1:1" },
      { origin: "http://localhost" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { origin: "https://evil.example", "content-type": "application/json" },
      { origin: "https://evil.example", "content-type": "text/plain" },
    ])
      expect([headers, await from({ host, ...headers })]).toEqual([headers, 403]);
    expect(requestsOf(rig)).toEqual([]);
    expect(await from({ host, origin: `http://${host}`, "sec-fetch-site": "same-origin" })).toBe(
      202,
    );
    expect(requestsOf(rig)).toHaveLength(1);
  });

  it("of another origin is refused as foreign before anything else is", async () => {
    const rig = await pageRig();
    const headers = { origin: "https://evil.example" };
    expect(await statusOf(rig.ask("/api/v1/requests", { ...PAUSE, headers }))).toBe(403);
    expect(await statusOf(rig.ask("/api/v1/requests", { ...PAUSE, headers, token: null }))).toBe(
      403,
    );
  });
});

it("every answer forbids what the page does not need", async () => {
  const rig = await pageRig();
  const answers = [
    await rig.ask(STATUS),
    await rig.ask("/api/v1/runs/nope"),
    await rig.ask("/"),
    await rig.ask("/healthz"),
    await rig.ask(STATUS, { token: null }),
    await rig.ask(STATUS, { headers: { host: "evil.example" } }),
  ];
  for (const { headers } of answers) {
    const policy = headers["content-security-policy"] as string;
    expect(policy).toContain("default-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["referrer-policy"]).toBe("no-referrer");
    expect(headers["set-cookie"]).toBeUndefined();
    expect(headers["access-control-allow-origin"]).toBeUndefined();
  }
  expect(answers[0]!.headers["cache-control"]).toBe("no-store");
});

describe("no path leads out", () => {
  const BITS = [
    "..",
    "%2e%2e",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "..%5c..%5cetc",
    "....//....//etc/passwd",
    "%252e%252e%252fetc",
    "etl%00",
    "etl%2fpipeline.jsonl",
    ".orchd",
    ".orchd%2fdaemon.lock",
    "%c0%ae%c0%ae%c0%af",
    "%",
    "%zz",
    "/etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "etl@..%2f..%2f20261123T020000Z",
    "etl@20261123T020000Z%2f..%2f..",
    "..%2fetl@20261123T020000Z",
    "%0d%0aset-cookie:x",
  ];
  const run = encodeURIComponent(idOf("etl", 2));
  const ROUTES = [
    (bit: string) => `/api/v1/runs/${bit}`,
    (bit: string) => `/api/v1/runs/${bit}/ledger`,
    (bit: string) => `/api/v1/runs/${bit}/log`,
    (bit: string) => `/api/v1/runs/${bit}/graph`,
    (bit: string) => `/api/v1/pipelines/${bit}/slots`,
    (bit: string) => `/api/v1/pipelines/${bit}/why`,
    (bit: string) => `/api/v1/runs?pipeline=${bit}`,
    (bit: string) => `/api/v1/diff?a=${run}&b=${bit}`,
    (bit: string) => `/api/v1/requests/${bit}`,
    (bit: string) => `/api/v1/schema/${bit}`,
    (bit: string) => `/api/v1/next?pipeline=${bit}`,
    (bit: string) => `/api/v1/events?run=${bit}`,
    (bit: string) => `/${bit}`,
  ];

  it(`by ${BITS.length * ROUTES.length} payloads, in every parameter`, async () => {
    const rig = await pageRig();
    for (const route of ROUTES)
      for (const bit of BITS) {
        const got = await rig.ask(route(bit));
        // Dots alone lead to another address of the page.
        if (!route(bit).includes("/../") && !/%2e%2e(?:$|\/)/.test(route(bit)))
          expect([route(bit), got.status]).toSatisfy(
            ([, status]: [string, number]) => status === 400 || status === 404,
          );
        expect(got.text).not.toMatch(/root:|"epoch"|at .*\.ts:\d/);
        expect(got.headers["set-cookie"]).toBeUndefined();
      }
  });
});

describe("a client that sends too much, or too slowly", () => {
  it("is told so, and harms nobody", async () => {
    const rig = await pageRig({ allowRequests: true });
    const big = await rig.ask(STATUS, { headers: { "x-big": "x".repeat(20_000) } });
    expect([big.status, big.json()["status"]]).toEqual([431, 431]);
    const declared = await rig
      .ask("/api/v1/requests", { ...PAUSE, headers: { "content-length": "2000000" } })
      .catch((error: NodeJS.ErrnoException) => error);
    expect(declared).toSatisfy((it: Got | Error) => it instanceof Error || it.status === 413);
    const long = await rig
      .ask("/api/v1/requests", { method: "POST", body: "x".repeat(1_100_000) })
      .catch((error: NodeJS.ErrnoException) => error);
    expect(long).toSatisfy((it: Got | Error) => it instanceof Error || it.status === 413);
    expect(requestsOf(rig)).toEqual([]);
    expect(await statusOf(rig.ask(STATUS))).toBe(200);
  });

  it("does not keep others waiting, a hundred of them", async () => {
    const rig = await pageRig();
    let ended = 0;
    const slow = Array.from({ length: 100 }, () => {
      const socket = connect(rig.port, "127.0.0.1");
      socket.on("error", () => undefined).on("close", () => (ended += 1));
      socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nX-");
      return socket;
    });
    await Promise.all(slow.map((socket) => once(socket, "connect")));
    expect(await statusOf(rig.ask(STATUS))).toBe(200);
    // The answer waited for the end of none of them.
    expect(ended).toBe(0);
    for (const socket of slow) socket.destroy();
  });

  it("gets no answer but a refusal where it speaks no HTTP", async () => {
    const rig = await pageRig();
    const said = await new Promise<string>((resolve) => {
      let text = "";
      const socket = connect(rig.port, "127.0.0.1", () => socket.write("\0\0hello\r\n\r\n"));
      socket.on("data", (part) => (text += part.toString())).on("close", () => resolve(text));
    });
    expect(said).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
    expect(said).toContain("this is no HTTP request");
  });
});

describe("a place to listen", () => {
  const start = (more: object) =>
    pageRig(more as never).then(
      ({ page }) => page.url,
      (error: Error) => error.message,
    );

  it("beyond this machine needs tokens, or a proxy that knows its users", async () => {
    const listen = { kind: "tcp", host: "0.0.0.0", port: 0 } as const;
    expect(await start({ listen })).toMatch(/can be reached from other machines/);
    expect(await start({ listen, tokenFile: tokenFile() })).toMatch(/^http:\/\/0\.0\.0\.0:\d+\/$/);
    expect(await start({ listen, trustProxy: true })).toMatch(/^http:\/\/0\.0\.0\.0:\d+\/$/);
  });

  it("behind such a proxy asks for no token: the proxy's users have none", async () => {
    const listen = { kind: "tcp", host: "0.0.0.0", port: 0 } as const;
    const rig = await pageRig({ listen, trustProxy: true });
    expect(rig.page.token).toBeNull();
    const headers = { host: "orchd.example" };
    expect(await statusOf(rig.ask(STATUS, { token: null, headers }))).toBe(200);
  });

  it("that is taken is said to be", async () => {
    const rig = await pageRig();
    const listen = { kind: "tcp", host: "127.0.0.1", port: rig.port } as const;
    expect(await start({ listen })).toMatch(/the port is in use, perhaps by another page/);
  });

  it("may be a socket for its owner and group; one that is left over is replaced", async () => {
    const root = tempRoot();
    const path = join(root.runs, ".orchd/page.sock");
    const listen = { kind: "unix", path } as const;
    const rig = await pageRig({ listen }, root);
    expect([rig.page.url, rig.page.token]).toEqual([`unix:${path}`, null]);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect(await statusOf(rig.ask(STATUS))).toBe(200);
    expect(await statusOf(rig.ask(STATUS, { headers: { host: "evil.example" } }))).toBe(421);
    // Another page on it is refused, and the first one goes on.
    expect(await start({ listen })).toMatch(/a page serves on .* already; end it first/);
    expect(await statusOf(rig.ask(STATUS))).toBe(200);
  });

  it("is not taken from a file that is no socket", async () => {
    const path = join(tempRoot().root, "page.sock");
    writeFileSync(path, "mine");
    expect(await start({ listen: { kind: "unix", path } })).toMatch(/is there and is no socket/);
  });

  it("is given back when the page ends", async () => {
    const root = tempRoot();
    const path = join(root.runs, ".orchd/page.sock");
    const settings = { listen: { kind: "unix", path } as const };
    const rig = await pageRig(settings, root);
    await rig.page.close();
    expect(readdirSync(join(root.runs, ".orchd"))).toEqual([]);
    expect(await start(settings)).toBe(`unix:${path}`);
  });
});

it("a page below a path answers there, with and without a proxy that takes it away", async () => {
  const rig = await pageRig({ base: "/orchd", allowRequests: true });
  expect(rig.page.url).toMatch(/\/orchd\/#token=/);
  expect(await statusOf(rig.ask(`/orchd${STATUS}`))).toBe(200);
  expect(await statusOf(rig.ask(STATUS))).toBe(200);
  expect(await statusOf(rig.ask(`/orchd${STATUS}`, { token: null }))).toBe(401);
  expect(await statusOf(rig.ask("/orchdx/api/v1/status"))).toBe(404);
  const { headers } = await rig.ask("/orchd/api/v1/requests", PAUSE);
  expect(headers["location"]).toMatch(/^\/orchd\/api\/v1\/requests\/\S+$/);
});

it("a page of a root that cannot be read says so, and lives", async () => {
  const started = await startPage({
    root: "/proc/self/nothing",
    schedules: "/proc/self/nothing/schedules",
    runs: "/proc/self/fdinfo/nothing",
    listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
    allowRequests: false,
    tokenFile: undefined,
    token: undefined,
    trustProxy: false,
    base: "",
    assets: "/nowhere",
    now: () => 0,
    cacheSettings: () => Promise.resolve({ project: "default", enableCache: true }),
    notifySetup: () => Promise.resolve(NO_SETUP),
  });
  expect(started.ok).toBe(true);
  if (started.ok) await started.page.close();
});
