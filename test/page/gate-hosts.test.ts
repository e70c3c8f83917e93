/** Under which of the machine's addresses a page answers that listens on all of them. */
import type * as nodeOs from "node:os";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { Gate } from "../../src/page/server/gate.ts";

/** What eth0 has. */
const addresses = ["192.0.2.7", "FD00::9"];
vi.mock("node:os", async (original) => ({
  ...(await original<typeof nodeOs>()),
  hostname: () => "Server.Example",
  networkInterfaces: () => ({
    eth0: addresses.map((address) => ({ address })),
    lo: undefined,
  }),
}));

const gateOf = (listen: object): Gate =>
  new Gate({ listen, tokens: {}, requests: false, trustProxy: false } as never);
const asked = (gate: Gate, host: string): number | undefined =>
  gate.refuses({ method: "GET", headers: { host } } as never)?.status;
const status = (host: string, listen: object): number | undefined => asked(gateOf(listen), host);

const OWN = ["192.0.2.7:80", "[fd00::9]:80", "[FD00::9]", "server.example:4114", "localhost"];

describe.each(["0.0.0.0", "::"])("a page on %s", (host) => {
  const listen = { kind: "tcp", host, port: 80 };
  it.each(OWN)("answers under %s", (name) => {
    expect(status(name, listen)).toBeUndefined();
  });
  it.each(["192.0.2.8", "[fd00::8]", "fd00::9", "example"])("and not under %s", (name) => {
    expect(status(name, listen)).toBe(421);
  });

  it("answers under an address that the machine gets later, and not under one it had", () => {
    const before = addresses.splice(0);
    onTestFinished(() => void addresses.splice(0, addresses.length, ...before));
    addresses.push("192.0.2.7");
    const gate = gateOf(listen);
    expect(asked(gate, "192.0.2.20")).toBe(421);
    addresses.splice(0, 1, "192.0.2.20", "fd00::20");
    for (const name of ["192.0.2.20:80", "[fd00::20]:80", "localhost"])
      expect(asked(gate, name)).toBeUndefined();
    expect(asked(gate, "192.0.2.7")).toBe(421);
  });
});

it("one that listens elsewhere answers under none of them", () => {
  for (const listen of [
    { kind: "tcp", host: "127.0.0.1", port: 80 },
    { kind: "unix", path: "/s" },
    { kind: "tcp", host: "192.0.2.9", port: 80 },
  ])
    expect(OWN.map((name) => status(name, listen))).toEqual([421, 421, 421, 421, undefined]);
});
