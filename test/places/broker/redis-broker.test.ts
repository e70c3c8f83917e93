/** Redis as a broker, with a real server: what each engine must do, and what Redis alone has. */
import { createClient } from "@redis/client";
import { describe, it } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { RedisBroker } from "../../../src/places/broker/redis-broker.ts";
import { RedisServer, SKIP_REDIS } from "../../support/redis-server.ts";
import { expect, onTestFinished } from "../../support/running-test.ts";
import { BrokerRig, describeBroker, until } from "./broker-suite.ts";
import type { BrokerEngine } from "./broker-suite.ts";

const REDIS: BrokerEngine = {
  name: "Redis",
  scheme: "redis",
  secureScheme: "rediss",
  users: "port PORT\nuser a on >right ~* &* +@all\nuser default off",
  refusal: /refuses the credentials: (?:WRONGPASS|NOAUTH|NOPERM)/,
  noCredentials: /: the credentials are not USER:PASSWORD \(:PASSWORD where there are no users\)$/,
  tls: ({ ca, cert, key }) =>
    `port 0\ntls-port PORT\n` +
    `tls-cert-file ${cert}\ntls-key-file ${key}\ntls-ca-cert-file ${ca}`,
  start: (more) => RedisServer.start(more),
  open: (options) => new RedisBroker(systemClock, options),
};

describe.skipIf(SKIP_REDIS)("with a redis-server", () => {
  describeBroker(REDIS);

  it("Redis that is a copy, is full, or gives no right to write is told of", async () => {
    const rig = new BrokerRig(REDIS);
    const server = await rig.served();
    const copy = await rig.served(`port PORT\nreplicaof 127.0.0.1 ${server.port}`);
    expect(await until(rig.connected([copy.url]), false)).toMatchObject({
      because: expect.stringMatching(
        /: it keeps no objects \(READONLY .*\): it is a copy of another server: name that one$/,
      ) as string,
    });
    const full = await rig.served("port PORT\nmaxmemory 1");
    expect(await until(rig.connected([full.url]), false)).toMatchObject({
      because: expect.stringMatching(
        /: it keeps no objects \(OOM .*\): its memory is full: raise its maxmemory$/,
      ) as string,
    });
    const users = "port PORT\nuser a on >right ~other:* &* +@all\nuser default off";
    const narrow = await rig.served(users);
    const guest = rig.connected([narrow.url], { credentials: "a:right" });
    expect(await until(guest, false)).toMatchObject({
      because: expect.stringMatching(
        /NOPERM .*: let this user write keys that begin with /,
      ) as string,
    });
  });

  it("Redis has no connection left of one that was closed, however early that was", async () => {
    const server = await new BrokerRig(REDIS).served();
    const watch = createClient({ url: server.url, name: "watch" });
    watch.on("error", () => undefined);
    await watch.connect();
    onTestFinished(() => watch.destroy());
    const clients = async (): Promise<string[]> =>
      [...(await watch.sendCommand<string>(["CLIENT", "LIST"])).matchAll(/ name=(\S*) /g)]
        .map(([, name]) => name!)
        .filter((name) => name !== "watch");
    const open = (): RedisBroker =>
      new RedisBroker(systemClock, { urls: [server.url], bucket: "b", name: "mine" });
    const [up, early] = [open(), open()];
    await early.close();
    await until(up, true);
    // One that asks, and one that hears.
    await expect.poll(clients).toEqual(["mine", "mine"]);
    const asked = up.ask("nobody.answers", new Uint8Array(1), 60_000);
    const failed = expect(asked).rejects.toThrow();
    await up.close();
    await failed;
    await expect.poll(clients).toEqual([]);
    expect(up.state).toEqual({
      up: false,
      because: `the connection to the broker at ${server.url} is closed`,
    });
    // Another that asks it hears that.
    await expect(up.ask("x", new Uint8Array(1), 1_000)).rejects.toThrow(/is closed$/);
  });

  it("Redis takes a password without a user", async () => {
    const rig = new BrokerRig(REDIS);
    const server = await rig.served("port PORT\nrequirepass right");
    expect(await until(rig.connected([server.url], { credentials: ":right" }), true)).toEqual({
      up: true,
    });
  });
});
