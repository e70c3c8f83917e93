/** NATS as a broker, with a real server: what each engine must do, and what NATS alone has. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { NatsBroker } from "../../../src/places/broker/nats-broker.ts";
import { NatsServer, SKIP_NATS } from "../../support/nats-server.ts";
import { expect } from "../../support/running-test.ts";
import { because, BrokerRig, bytes, describeBroker, until } from "./broker-suite.ts";
import type { BrokerEngine } from "./broker-suite.ts";

const NATS: BrokerEngine = {
  name: "NATS",
  scheme: "nats",
  secureScheme: "tls",
  users: "authorization { users: [{ user: a, password: right }] }",
  refusal: /refuses the credentials: Authorization Violation$/i,
  noCredentials: /: the credentials are neither a NATS credentials file nor USER:PASSWORD$/,
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

    it("needs no more rights than docs/places.md says", async () => {
      const server = await rig.served(
        `authorization { users: [{ user: a, password: b, permissions: { ` +
          `publish: { allow: ${JSON.stringify(ALLOWED)} }, ` +
          `subscribe: { allow: ["orchd.farm.>", "_INBOX.>"] } } }] }\n` +
          `jetstream { store_dir: "FOLDER/js" }`,
      );
      const one = rig.connected([server.url], { credentials: "a:b" });
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
      const server = await rig.served("# without jetstream");
      expect(because(await until(rig.connected([server.url]), false))).toMatch(
        /: it keeps no objects \(.*\): start nats-server with --jetstream/,
      );
    });
  });
});
