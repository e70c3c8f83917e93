/**
 * A broker's place with a real server of each engine, and a real `orchd worker`.
 *
 * Its room is asked for by labels (`room`), and not by `capacity`. Tasks that are no steps run on
 * this machine alone, and an id is free again only once the end of its task is durable.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import { silentLog } from "../../../src/log.ts";
import { openBrokerPlace } from "../../../src/places/broker/open-broker-place.ts";
import type { FarPlace } from "../../../src/places/far-place.ts";
import { fullFigures } from "../../support/figures.ts";
import { NamedPlace } from "../../support/named-place.ts";
import { NatsServer, SKIP_NATS } from "../../support/nats-server.ts";
import { RedisServer, SKIP_REDIS } from "../../support/redis-server.ts";
import { expect, onTestFinished } from "../../support/running-test.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { placeOn, TEST_KEY, WorkerProcess } from "../../support/worker.ts";
import { describeShells } from "./shell-suite.ts";
import { describePlace, ROOM, type PlaceUnderTest } from "./suite.ts";

const LANE = "shell@farm";

interface Opened {
  readonly place: FarPlace;
  readonly folder: string;
  readonly worker: WorkerProcess;
}

async function opened(engine: "nats" | "redis"): Promise<Opened> {
  const server = await (engine === "nats" ? NatsServer.start() : RedisServer.start());
  onTestFinished(() => server.remove());
  const { root: folder } = tempRoot();
  const [bundles, artifacts] = [join(folder, "bundles"), join(folder, "artifacts")];
  for (const each of [bundles, artifacts]) mkdirSync(each);
  const place = openBrokerPlace({
    name: "farm",
    settings: { engine, urls: [server.url], key: { secret: "queue.key" }, labels: [] },
    clock: systemClock,
    log: silentLog,
    secrets: { get: () => TEST_KEY },
    root: folder,
    folder: join(folder, "places"),
    bundles,
    artifacts,
    token: "suite",
    // No daemon was before this one.
    since: systemClock.monotonic() - 60_000,
  });
  onTestFinished(() => place.close(true));
  const words = ["--threads", String(ROOM)];
  const worker = new WorkerProcess({ place: placeOn(engine, server.url), words });
  await worker.serves();
  await expect.poll(() => place.room("shell", ["farm"]), { timeout: 20_000 }).toBe(ROOM);
  return { place, folder, worker };
}

async function modulesOn(engine: "nats" | "redis"): Promise<PlaceUnderTest> {
  const { place, folder, worker } = await opened(engine);
  const named = new NamedPlace(place, folder);
  return {
    place: named,
    module: (name, text) => named.module(name, text),
    crash: () => {
      for (const pid of worker.runners()) process.kill(pid, "SIGKILL");
    },
  };
}

async function shellsOn(engine: "nats" | "redis"): Promise<{ readonly place: FarPlace }> {
  const { place } = await opened(engine);
  place.capacity = () => ({ [LANE]: place.room("shell", ["farm"]) });
  return { place };
}

const DECLARED = { lane: LANE, signalsAll: true, signalIsStatus: false, isShared: true } as const;

describe.skipIf(SKIP_NATS)("with NATS", () => {
  // In the quick form nats.test.ts has a worker in its own process.
  describe.runIf(fullFigures)("and modules", () => {
    describePlace("of workers on NATS", () => modulesOn("nats"), { calls: false });
  });
  describeShells("workers on NATS", DECLARED, () => shellsOn("nats"));
});

describe.skipIf(SKIP_REDIS)("with Redis", () => {
  describePlace("of workers on Redis", () => modulesOn("redis"), { calls: false });
  describeShells("workers on Redis", DECLARED, () => shellsOn("redis"));
});
