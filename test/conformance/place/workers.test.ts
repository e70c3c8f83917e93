/**
 * The shells of a broker's place: a real server of each engine, and a real `orchd worker`.
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
import { NatsServer, SKIP_NATS } from "../../support/nats-server.ts";
import { RedisServer, SKIP_REDIS } from "../../support/redis-server.ts";
import { expect, onTestFinished } from "../../support/running-test.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { natsPlace, TEST_KEY, WorkerProcess } from "../../support/worker.ts";
import { describeShells } from "./shell-suite.ts";

const THREADS = 2;
const LANE = "shell@farm";

async function opened(engine: "nats" | "redis"): Promise<{ readonly place: FarPlace }> {
  const server = await (engine === "nats" ? NatsServer.start() : RedisServer.start());
  onTestFinished(() => server.remove());
  const { root } = tempRoot();
  const [bundles, artifacts] = [join(root, "bundles"), join(root, "artifacts")];
  for (const folder of [bundles, artifacts]) mkdirSync(folder);
  const place = openBrokerPlace({
    name: "farm",
    settings: { engine, urls: [server.url], key: { secret: "queue.key" }, labels: [] },
    clock: systemClock,
    log: silentLog,
    secrets: { get: () => TEST_KEY },
    root,
    folder: join(root, "places"),
    bundles,
    artifacts,
    token: "suite",
    since: systemClock.monotonic(),
  });
  onTestFinished(() => place.close(true));
  const room = (): number => place.room("shell", ["farm"]);
  place.capacity = () => ({ [LANE]: room() });
  const settings = natsPlace(server.url).replace("engine: nats", `engine: ${engine}`);
  const words = ["--threads", String(THREADS)];
  await new WorkerProcess({ place: settings, words }).serves();
  await expect.poll(room, { timeout: 20_000 }).toBe(THREADS);
  return { place };
}

const DECLARED = { lane: LANE, signalsAll: true, signalIsStatus: false, isShared: true } as const;

describe.skipIf(SKIP_NATS)("with NATS", () => {
  describeShells("workers on NATS", DECLARED, () => opened("nats"));
});

describe.skipIf(SKIP_REDIS)("with Redis", () => {
  describeShells("workers on Redis", DECLARED, () => opened("redis"));
});
