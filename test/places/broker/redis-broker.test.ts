/** Redis as a broker, with a real server: what each engine must do, and what Redis alone has. */
import { describe, it } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { RedisBroker } from "../../../src/places/broker/redis-broker.ts";
import { RedisServer, SKIP_REDIS } from "../../support/redis-server.ts";
import { expect } from "../../support/running-test.ts";
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

  it("Redis takes a password without a user", async () => {
    const rig = new BrokerRig(REDIS);
    const server = await rig.served("port PORT\nrequirepass right");
    expect(await until(rig.connected([server.url], { credentials: ":right" }), true)).toEqual({
      up: true,
    });
  });
});
