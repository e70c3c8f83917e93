/** Workers that NATS connects with the daemon: a real server, and real runners at a worker. */
import { afterAll, beforeAll, describe } from "vitest";
import { NatsRig } from "../../support/nats-rig.ts";
import { NatsServer, SKIP_NATS } from "../../support/nats-server.ts";
import { describeShells } from "./shell-suite.ts";
import { describePlace, ROOM } from "./suite.ts";

describe.skipIf(SKIP_NATS)("workers on NATS", () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.remove());

  describePlace(
    "on NATS",
    async () => {
      const rig = await NatsRig.open(server, ROOM);
      return {
        place: rig.place,
        module: (name, text) => rig.module(name, text),
        crash: () => rig.crash(),
      };
    },
    { calls: false },
  );

  describeShells(
    "workers on NATS",
    { lane: "shell", signalsAll: true, signalIsStatus: false, isShared: true },
    async () => ({ place: (await NatsRig.open(server, 2)).place }),
  );
});
