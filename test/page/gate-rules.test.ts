/** Each rule of the gate by itself, where the page's own tests go through all of them. */
import type { IncomingHttpHeaders } from "node:http";
import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import { Gate, type GateRules } from "../../src/page/server/gate.ts";
import { Tokens } from "../../src/page/server/tokens.ts";

const READ = "read-token-0123456789";
const OPERATE = "operate-token-0123456789";
const BOTH = "both-token-0123456789";
const tokens = new Tokens([
  { right: "read", token: READ },
  { right: "operate", token: OPERATE },
  { right: "operate", token: BOTH },
  { right: "read", token: BOTH },
]);
const gate = (rules: Partial<GateRules> = {}): Gate =>
  new Gate({
    listen: { kind: "tcp", host: "127.0.0.1", port: 4114 },
    tokens,
    allowRequests: true,
    trustProxy: false,
    ...rules,
  });
const asked = (headers: IncomingHttpHeaders, method = "GET"): never =>
  ({ method, headers: { host: "localhost:4114", ...headers } }) as never;
const bearer = (token: string, scheme = "Bearer"): IncomingHttpHeaders => ({
  authorization: `${scheme} ${token}`,
});

describe("a host", () => {
  const refused = (host: string, rules: Partial<GateRules> = {}): number | undefined =>
    gate(rules).refuses(asked({ host }))?.status;
  const tcp = (host: string): Partial<GateRules> => ({ listen: { kind: "tcp", host, port: 1 } });

  it.each(["localhost", "LOCALHOST:80", "127.0.0.1:65535", "[::1]:4114"])("%s is own", (host) => {
    expect(refused(host)).toBeUndefined();
    expect(refused(host, { listen: { kind: "unix", path: "/s" } })).toBeUndefined();
  });

  it.each(["", "evil.example", "localhost.evil.example", "localhost:1:2", "127.0.0.1 x", "[::2]"])(
    "%j is not",
    (host) => {
      expect(refused(host)).toBe(421);
      expect(refused(host, tcp("0.0.0.0"))).toBe(421);
    },
  );

  it("of this machine is own where the page listens on it, or on all", () => {
    expect(refused("127.0.0.7")).toBe(421);
    expect(refused("127.0.0.7", tcp("127.0.0.7"))).toBeUndefined();
    expect(refused("10.9.8.7", tcp("10.9.8.7"))).toBeUndefined();
    expect(refused("[fd00::7]:80", tcp("FD00::7"))).toBeUndefined();
    expect(refused(hostname())).toBe(hostname() === "localhost" ? undefined : 421);
    expect(refused(hostname(), tcp("0.0.0.0"))).toBeUndefined();
    expect(refused(hostname(), tcp("::"))).toBeUndefined();
  });

  it("is what a trusted proxy says, the first of several", () => {
    const headers = { host: "inner", "x-forwarded-host": "outer.example, other" };
    const origin = { origin: "https://outer.example" };
    expect(gate().refuses(asked(headers))?.status).toBe(421);
    const trusted = gate({ trustProxy: true });
    expect(trusted.refuses(asked(headers))).toBeUndefined();
    expect(trusted.refuses(asked({ ...headers, ...origin }, "POST"))).toBeUndefined();
    const inner = { ...headers, origin: "https://inner" };
    expect(trusted.refuses(asked(inner, "POST"))?.status).toBe(403);
    expect(trusted.refuses(asked({ host: "not a host" }))?.status).toBe(421);
  });
});

describe("a method", () => {
  it.each([
    ["GET", undefined],
    ["HEAD", undefined],
    ["POST", undefined],
    ["PUT", 405],
    ["DELETE", 405],
    ["OPTIONS", 405],
  ])("%s gives %s", (method, status) => {
    expect(gate().refuses(asked({}, method))?.status).toBe(status);
  });

  it("that is refused is told in few characters", () => {
    expect(gate().refuses(asked({}, "X".repeat(90)))?.detail).toBe(
      `the page takes GET and POST, and no ${"X".repeat(20)}.`,
    );
  });
});

describe("a POST", () => {
  const refused = (headers: IncomingHttpHeaders): number | undefined =>
    gate().refuses(asked(headers, "POST"))?.status;

  it.each<[string, IncomingHttpHeaders, number | undefined]>([
    ["no browser", {}, undefined],
    ["the page itself", { origin: "http://localhost:4114" }, undefined],
    ["the page in capitals", { origin: "HTTP://LOCALHOST:4114" }, undefined],
    ["the page, as its browser says", { "sec-fetch-site": "same-origin" }, undefined],
    ["another port", { origin: "http://localhost:4115" }, 403],
    ["another host", { origin: "http://evil.example" }, 403],
    ["an origin that is hidden", { origin: "null" }, 403],
    ["a longer host", { origin: "http://localhost:4114.evil.example" }, 403],
    ["another site without an origin", { "sec-fetch-site": "cross-site" }, 403],
    ["another host of the site", { "sec-fetch-site": "same-site" }, 403],
  ])("of %s gives %s", (_, headers, status) => {
    expect(refused(headers)).toBe(status);
  });

  it("alone is asked for its origin", () => {
    expect(gate().refuses(asked({ origin: "http://evil.example" }))).toBeUndefined();
  });
});

interface Asking {
  readonly path?: string;
  readonly method?: string;
  readonly rules?: Partial<GateRules>;
}

describe("a token", () => {
  const forbidden = (
    headers: IncomingHttpHeaders,
    { path = "/api/v1/status", method = "GET", rules = {} }: Asking = {},
  ): number | undefined => gate(rules).forbids(asked(headers, method), path)?.status;

  it.each(["/api", "/api/v1/status", "/api?x", "/metrics", "/openapi.json", "/openapi.json/x"])(
    "is needed for %s",
    (path) => {
      expect(forbidden({}, { path })).toBe(401);
      expect(forbidden(bearer(READ), { path })).toBeUndefined();
      expect(forbidden({}, { path, rules: { tokens: undefined } })).toBeUndefined();
    },
  );

  it.each(["/", "/healthz", "/runs/api", "/apix", "/metrics.css", "/main.js"])(
    "is not needed for %s, but for a POST there",
    (path) => {
      expect(forbidden({}, { path })).toBeUndefined();
      expect(forbidden({}, { path, method: "POST" })).toBe(401);
    },
  );

  it.each([
    [bearer("wrong"), 401],
    [bearer(READ.slice(0, -1)), 401],
    [bearer(`${READ}x`), 401],
    [bearer(READ, "Basic"), 401],
    [bearer(READ, "bearer"), undefined],
    [bearer(` ${READ}`), undefined],
    [{ authorization: READ }, 401],
  ])("%j gives %s", (headers, status) => {
    expect(forbidden(headers)).toBe(status);
  });

  it("that may read may not ask; one that may ask may read; the stronger of two counts", () => {
    const method = "POST";
    expect(forbidden(bearer(READ), { method })).toBe(403);
    expect(forbidden(bearer(OPERATE), { method })).toBeUndefined();
    expect(forbidden(bearer(OPERATE))).toBeUndefined();
    expect(forbidden(bearer(BOTH), { method })).toBeUndefined();
    expect(forbidden({}, { method, rules: { tokens: undefined } })).toBeUndefined();
  });

  it("asks for nothing of a page that only shows, and is told so after the token", () => {
    const rules = { allowRequests: false };
    expect(forbidden(bearer(OPERATE), { method: "POST", rules })).toBe(405);
    expect(forbidden(bearer("wrong"), { method: "POST", rules })).toBe(401);
  });

  it("says what who asks may do", () => {
    expect(gate().may(asked(bearer(OPERATE)))).toBe("operate");
    expect(gate().may(asked(bearer(READ)))).toBe("read");
    expect(gate().may(asked({}))).toBe("read");
    expect(gate({ tokens: undefined }).may(asked({}))).toBe("operate");
    expect(gate({ allowRequests: false }).may(asked(bearer(OPERATE)))).toBe("read");
  });
});
