/** NATS as a broker, with a real server: what each engine must do, and what NATS alone has. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "vitest";
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { connect, nkeys } from "@nats-io/transport-node";
import { systemClock } from "../../../src/clock.ts";
import type { Broker } from "../../../src/places/broker/broker.ts";
import { NatsBroker } from "../../../src/places/broker/nats-broker.ts";
import { NatsServer, SKIP_NATS } from "../../support/nats-server.ts";
import { expect, onTestFinished } from "../../support/running-test.ts";
import { because, BrokerRig, bytes, describeBroker, until } from "./broker-suite.ts";
import type { BrokerEngine } from "./broker-suite.ts";

const NATS: BrokerEngine = {
  name: "NATS",
  scheme: "nats",
  secureScheme: "tls",
  users: "authorization { timeout: 20, users: [{ user: a, password: right }] }",
  refusal: /refuses the credentials: Authorization Violation$/i,
  noCredentials: /: the credentials are none of a NATS .*, an nkey's seed .* and USER:PASSWORD$/,
  tls: ({ ca, cert, key }) =>
    `tls { cert_file: "${cert}", key_file: "${key}", ca_file: "${ca}", verify: true }`,
  start: (more) => NatsServer.start(more),
  open: (options) => new NatsBroker(systemClock, options),
};

/** What docs/places.md says that a user of the server must be allowed. */
const ALLOWED = [
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

type KeyPair = ReturnType<typeof nkeys.createUser>;

const textOf = (content: Uint8Array): string => Buffer.from(content).toString();

/** What `nsc` writes: claims about a key, signed by another one. */
function jwt(by: KeyPair, about: KeyPair, nats: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const [sub, iss] = [about.getPublicKey(), by.getPublicKey()];
  const claims = { jti: sub, iat: Math.floor(Date.now() / 1_000), iss, name: "test", sub };
  const head = { typ: "JWT", alg: "ed25519-nkey" };
  const text = `${part(head)}.${part({ ...claims, nats: { version: 2, ...nats } })}`;
  return `${text}.${Buffer.from(by.sign(bytes(text))).toString("base64url")}`;
}

/** Lines of a server of an operator, whose accounts may keep what they like. */
function operatorOf(operator: KeyPair, accounts: readonly KeyPair[]): string {
  const all = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, conn: -1, leaf: -1 };
  const kept = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const system = nkeys.createAccount();
  const line = (one: KeyPair, limits: object): string =>
    `${one.getPublicKey()}: ${jwt(operator, one, { type: "account", limits })}`;
  const lines = [line(system, all), ...accounts.map((one) => line(one, { ...all, ...kept }))];
  return (
    `operator: ${jwt(operator, operator, { type: "operator" })}\n` +
    `system_account: ${system.getPublicKey()}\n` +
    `resolver: MEMORY\nresolver_preload: {\n${lines.join("\n")}\n}\n`
  );
}

/** A user's credentials file. */
function credentialsOf(account: KeyPair): string {
  const user = nkeys.createUser();
  const all = { subs: -1, data: -1, payload: -1 };
  return (
    `-----BEGIN NATS USER JWT-----\n${jwt(account, user, { type: "user", ...all })}\n` +
    `------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n` +
    `${textOf(user.getSeed())}\n------END USER NKEY SEED------\n`
  );
}

/** What a server keeps, as an administrator sees it. */
async function streamsOf(server: NatsServer): Promise<JetStreamManager["streams"]> {
  const connection = await connect({ servers: [server.url] });
  onTestFinished(() => connection.close());
  return (await jetstreamManager(connection)).streams;
}

describe.skipIf(SKIP_NATS)("with a nats-server", () => {
  describeBroker(NATS);

  describe.concurrent("NATS", () => {
    const rig = new BrokerRig(NATS);

    it("hides users that stand in an address", async () => {
      const server = await rig.served();
      const hidden = "nats://me:hidden@127.0.0.1:1";
      await until(rig.connected([hidden, server.url]), true);
      const text = because(await until(rig.connected([hidden]), false));
      expect(text).toMatch(
        /^the broker at nats:\/\/127\.0\.0\.1:1 does not answer: .*ECONNREFUSED/,
      );
      expect(text).not.toContain("hidden");
    });

    it("does not blame the credentials where there was no time to show them", async () => {
      const server = await rig.served("authorization { timeout: 0.000001, user: a, password: b }");
      const one = rig.connected([server.url], { credentials: "a:b" });
      expect(because(await until(one, false))).toMatch(/does not answer: Authentication Timeout/i);
    });

    it("needs no more rights than docs/places.md says", async () => {
      const server = await rig.served(
        `authorization { users: [{ user: a, password: b, permissions: { ` +
          `publish: { allow: ${JSON.stringify(ALLOWED)} }, ` +
          `subscribe: { allow: ["orchd.farm.>", "_INBOX.>"] } } }] }\n` +
          `jetstream { store_dir: "FOLDER/js" }`,
      );
      const one = rig.connected([server.url], { credentials: "a:b" });
      await until(one, true);
      one.listen("orchd.farm.x.hello", (message, _subject, answer) => answer(message));
      await sleep(50);
      expect((await one.ask("orchd.farm.x.hello", bytes("hi"), 1_000)).length).toBe(2);
      await expect(one.ask("orchd.other.x", bytes("hi"), 1_000)).rejects.toThrow("Permissions");
      await one.put("a", Buffer.alloc(300_000));
      expect((await one.get("a"))?.length).toBe(300_000);
      await one.remove(["a"]);
      expect(await one.get("a")).toBeUndefined();
    });

    it("shows an nkey, and is refused with another one", async () => {
      const [own, other] = [nkeys.createUser(), nkeys.createUser()];
      const server = await rig.served(
        `authorization { users: [{ nkey: ${own.getPublicKey()} }] }\n`,
      );
      const shown = (text: string): Broker => rig.connected([server.url], { credentials: text });
      const seed = textOf(own.getSeed());
      const file = `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`;
      for (const text of [seed, `${seed}\n`, file]) await until(shown(text), true);
      expect(because(await until(shown(textOf(other.getSeed())), false))).toMatch(NATS.refusal);
    });

    it("shows a credentials file, and is refused once its account does not know it", async () => {
      const operator = nkeys.createOperator();
      const [account, stranger] = [nkeys.createAccount(), nkeys.createAccount()];
      const server = await rig.served(operatorOf(operator, [account]));
      const shown = (by: KeyPair): Broker =>
        rig.connected([server.url], { credentials: credentialsOf(by) });
      const one = shown(account);
      await until(one, true);
      await one.put("a", bytes("kept"));
      expect(textOf((await one.get("a"))!)).toBe("kept");
      expect(because(await until(shown(stranger), false))).toMatch(NATS.refusal);
    });

    it("reads an object no further that is removed or replaced meanwhile", async () => {
      const { server, one, other } = await rig.pair();
      const streams = await streamsOf(server);
      for (const next of [undefined, "another"]) {
        await one.put("a", Buffer.alloc(300_000));
        // A reader that knows of it comes between the removal of it and of its parts.
        await streams.purge("OBJ_orchd-test", { filter: "$O.orchd-test.C.>" });
        const read = one.get("a");
        await sleep(100);
        await other.remove(["a"]);
        if (next !== undefined) await other.put("a", bytes(next));
        const content = await read;
        expect(content === undefined ? undefined : textOf(content)).toBe(next);
        await other.remove(["a"]);
      }
    });

    it("keeps one of two that are put at the same time, and nothing of the other", async () => {
      const { server, one, other } = await rig.pair();
      const streams = await streamsOf(server);
      const given = ["x", "y"].map((letter) => Buffer.alloc(300_000, letter));
      await Promise.all([one.put("a", given[0]!), other.put("a", given[1]!)]);
      const kept = Buffer.from((await one.get("a"))!);
      expect(given.some((content) => content.equals(kept))).toBe(true);
      // What it is, and its three parts.
      expect((await streams.info("OBJ_orchd-test")).state.messages).toBe(4);
    });

    it("says that JetStream is missing", async () => {
      const server = await rig.served("# without jetstream");
      expect(because(await until(rig.connected([server.url]), false))).toMatch(
        /: it keeps no objects \(.*\): start nats-server with --jetstream/,
      );
    });
  });
});
