/** NATS as a broker, with a real server. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { BrokerSilence } from "../../../src/places/broker/broker.ts";
import type { BrokerOptions, BrokerState } from "../../../src/places/broker/broker.ts";
import { NatsBroker } from "../../../src/places/broker/nats-broker.ts";
import { Authority } from "../../support/certificates.ts";
import { NatsServer, SKIP_NATS } from "../../support/nats-server.ts";
import { tempRoot } from "../../support/temp-root.ts";

async function served(more?: string): Promise<NatsServer> {
  const server = await NatsServer.start(more);
  onTestFinished(() => server.remove());
  return server;
}

function connected(urls: readonly string[], more: Partial<BrokerOptions> = {}): NatsBroker {
  const broker = new NatsBroker(systemClock, { urls, bucket: "orchd-test", name: "test", ...more });
  onTestFinished(() => broker.close());
  return broker;
}

/** The next state that is like this. */
async function until(broker: NatsBroker, up: boolean): Promise<BrokerState> {
  if (broker.state.up === up && !/not reached yet/.test(because(broker.state))) return broker.state;
  return new Promise((resolve) => {
    const off = broker.onState((state) => {
      if (state.up !== up) return;
      off();
      resolve(state);
    });
  });
}

const because = (state: BrokerState): string => (state.up ? "" : state.because);
const bytes = (text: string): Uint8Array => Buffer.from(text);

describe.skipIf(SKIP_NATS)("NATS as a broker", () => {
  it("carries messages, questions and answers, and says when nobody listens", async () => {
    const server = await served();
    const [one, other] = [connected([server.url]), connected([server.url])];
    await Promise.all([until(one, true), until(other, true)]);
    const heard: string[] = [];
    const off = other.listen("t.a", (message, subject) => {
      heard.push(`${subject} ${Buffer.from(message).toString()}`);
      return heard.length === 1 ? bytes("at once") : Promise.resolve(bytes("later"));
    });
    await sleep(50);
    expect(Buffer.from(await one.ask("t.a", bytes("1"), 2_000)).toString()).toBe("at once");
    expect(Buffer.from(await one.ask("t.a", bytes("2"), 2_000)).toString()).toBe("later");
    one.send("t.a", bytes("3"));
    await expect(one.ask("t.none", bytes("4"), 2_000)).rejects.toThrow(BrokerSilence);
    other.listen("t.quiet", () => undefined);
    await sleep(50);
    await expect(one.ask("t.quiet", bytes("5"), 100)).rejects.toThrow(BrokerSilence);
    expect(heard).toEqual(["t.a 1", "t.a 2", "t.a 3"]);
    off();
    expect(one.messageLimit).toBeGreaterThan(1_000_000);
  });

  it("keeps objects, the first of a name, until they are removed", async () => {
    const server = await served();
    const [one, other] = [connected([server.url]), connected([server.url])];
    await Promise.all([until(one, true), until(other, true)]);
    const large = Buffer.alloc(5_000_000, "x");
    await one.put("a", large);
    await other.put("a", bytes("another"));
    expect(Buffer.from((await other.get("a"))!).equals(large)).toBe(true);
    expect(await other.get("b")).toBeUndefined();
    await one.remove(["a", "b"]);
    expect(await other.get("a")).toBeUndefined();
    await one.put("a", bytes("again"));
    expect(Buffer.from((await other.get("a"))!).toString()).toBe("again");
  });

  it("is down while the server is, says so, and comes back with its listeners", async () => {
    const server = await served();
    const [one, other] = [connected([server.url]), connected([server.url])];
    await Promise.all([until(one, true), until(other, true)]);
    other.listen("t.a", () => bytes("here"));
    const asked = one.ask("t.silent", bytes("?"), 20_000).catch((error: unknown) => error);
    one.listen("t.silent", () => undefined);
    await server.kill();
    expect(because(await until(one, false))).toMatch(
      /^the broker at nats:\/\/127\.0\.0\.1:\d+ does not answer: /,
    );
    expect(await asked).toBeInstanceOf(BrokerSilence);
    one.send("t.a", bytes("lost"));
    await expect(one.ask("t.a", bytes("?"), 1_000)).rejects.toThrow("does not answer");
    await expect(one.put("a", bytes("?"))).rejects.toThrow(BrokerSilence);
    await server.begin();
    await Promise.all([until(one, true), until(other, true)]);
    await sleep(50);
    expect(Buffer.from(await one.ask("t.a", bytes("?"), 1_000)).toString()).toBe("here");
  });

  it("notices a server that stands still", { timeout: 30_000 }, async () => {
    const server = await served();
    const one = connected([server.url]);
    await until(one, true);
    server.freeze();
    await until(one, false);
    server.thaw();
    expect(await until(one, true)).toEqual({ up: true });
  });

  it("waits for a server that is not there yet", async () => {
    const server = await served();
    await server.kill();
    const one = connected([server.url]);
    expect(because(await until(one, false))).toContain("ECONNREFUSED");
    await server.begin();
    await until(one, true);
  });

  it("tries each address, and hides users that stand in one", async () => {
    const server = await served();
    const one = connected(["nats://me:hidden@127.0.0.1:1", server.url]);
    await until(one, true);
    const two = connected(["nats://me:hidden@127.0.0.1:1"]);
    const text = because(await until(two, false));
    expect(text).toMatch(/^the broker at nats:\/\/127\.0\.0\.1:1 does not answer: .*ECONNREFUSED/);
    expect(text).not.toContain("hidden");
  });

  it("says that credentials are refused, or are none", async () => {
    const server = await served("authorization { users: [{ user: a, password: right }] }");
    await until(connected([server.url], { credentials: "a:right\n" }), true);
    for (const credentials of ["a:wrong", undefined]) {
      const state = await until(connected([server.url], { credentials }), false);
      expect(because(state)).toMatch(/refuses the credentials: Authorization Violation$/i);
      expect(because(state)).not.toContain("wrong");
    }
    expect(because(await until(connected([server.url], { credentials: "what" }), false))).toMatch(
      /: the credentials are neither a NATS credentials file nor USER:PASSWORD$/,
    );
  });

  it("needs no more rights than docs/places.md says", async () => {
    const allowed = [
      "orchd.farm.>",
      "_INBOX.>",
      "$JS.API.INFO",
      "$JS.API.STREAM.*.OBJ_orchd-test",
      "$JS.API.STREAM.*.*.OBJ_orchd-test",
      "$JS.API.DIRECT.GET.OBJ_orchd-test.>",
      "$JS.API.CONSUMER.*.OBJ_orchd-test",
      "$JS.API.CONSUMER.*.OBJ_orchd-test.>",
      "$JS.FC.>",
      "$O.orchd-test.>",
    ];
    const server = await served(
      `authorization { users: [{ user: a, password: b, permissions: { ` +
        `publish: { allow: ${JSON.stringify(allowed)} }, ` +
        `subscribe: { allow: ["orchd.farm.>", "_INBOX.>"] } } }] }\n` +
        `jetstream { store_dir: "FOLDER/js" }`,
    );
    const one = connected([server.url], { credentials: "a:b" });
    await until(one, true);
    one.listen("orchd.farm.x.hello", (message) => message);
    await sleep(50);
    expect((await one.ask("orchd.farm.x.hello", bytes("hi"), 1_000)).length).toBe(2);
    await expect(one.ask("orchd.other.x", bytes("hi"), 1_000)).rejects.toThrow("Permissions");
    await one.put("a", Buffer.alloc(300_000));
    expect((await one.get("a"))?.length).toBe(300_000);
    await one.remove(["a"]);
    expect(await one.get("a")).toBeUndefined();
  });

  it("says that JetStream is missing", async () => {
    const server = await served("# without jetstream");
    expect(because(await until(connected([server.url]), false))).toMatch(
      /: it keeps no objects \(.*\): start nats-server with --jetstream/,
    );
  });

  it("speaks TLS, with an authority and a certificate of its own", async () => {
    const authority = new Authority();
    onTestFinished(() => authority.remove());
    const { root } = tempRoot();
    const file = (name: string, text: string): string => {
      writeFileSync(join(root, name), text);
      return join(root, name);
    };
    const [its, own] = [authority.sign(["IP:127.0.0.1"]), authority.sign(["DNS:orchd"])];
    const server = await served(
      `tls { cert_file: "${file("s.pem", its.cert)}", key_file: "${file("s.key", its.key)}", ` +
        `ca_file: "${authority.file}", verify: true }`,
    );
    const url = server.url.replace("nats:", "tls:");
    const tls = {
      ca: authority.file,
      cert: file("c.pem", own.cert),
      key: file("c.key", own.key),
    };
    await until(connected([url], { tls }), true);
    const stranger = connected([url], { tls: { cert: tls.cert, key: tls.key } });
    expect(because(await until(stranger, false))).toMatch(/does not answer: .*certificate/i);
    const nobody = connected([url], { tls: { ca: authority.file } });
    expect(because(await until(nobody, false))).toMatch(/does not answer: /);
    const lost = connected([url], { tls: { ...tls, ca: join(root, "none.pem") } });
    expect(because(await until(lost, false))).toMatch(/none\.pem|does not exist|ENOENT/);
  });
});
