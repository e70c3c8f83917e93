/** Whom the daemon answers at a broker: each hello, and answers of a session that is over. */
import { expect, it } from "vitest";
import { silentLog } from "../../../src/log.ts";
import { BROKER_PROTOCOL, type Hello } from "../../../src/places/broker/messages.ts";
import { ToldWorkers } from "../../../src/places/broker/told-workers.ts";
import { Workers } from "../../../src/places/broker/workers.ts";
import type { FarWorker } from "../../../src/places/broker/far-worker.ts";
import type { SealedBroker } from "../../../src/places/broker/sealed-broker.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const HELLO: Hello = {
  type: "hello",
  protocol: BROKER_PROTOCOL,
  version: "1.2.3",
  worker: "w1",
  incarnation: "i1",
  home: "h1",
};

function rig() {
  const clock = new VirtualClock();
  const changes: number[] = [];
  const workers = new Workers({
    place: "farm",
    clock,
    log: silentLog,
    root: "r1",
    gone: () => undefined,
    overdue: () => undefined,
    silent: () => undefined,
    renewed: () => undefined,
    changed: () => void changes.push(clock.monotonic()),
  });
  const enter = (hello: Hello = HELLO): FarWorker => {
    const answer = workers.hello(hello);
    const session = answer?.type === "welcome" ? answer.session : "";
    return workers.speaker({ worker: hello.worker, session } as never)!;
  };
  return { clock, workers, enter, changes };
}

it("a hello for any daemon, or for this one, is welcome; one for another is not answered", () => {
  const { workers } = rig();
  expect(workers.hello(HELLO)).toMatchObject({ type: "welcome", root: "r1" });
  expect(workers.hello({ ...HELLO, root: "r1" })).toMatchObject({ type: "welcome" });
  expect(workers.hello({ ...HELLO, root: "r2" })).toBeUndefined();
  // It is another daemon's matter: nothing is told of it here.
  expect(workers.hello({ ...HELLO, worker: "w2", root: "r2", protocol: 99 })).toBeUndefined();
  expect(workers.hosts([])).toEqual([]);
});

it.each<[string, Partial<Hello>, string]>([
  [
    "another protocol",
    { protocol: 99 },
    "it speaks protocol 99 (orchd 1.2.3), and the daemon speaks " +
      `${BROKER_PROTOCOL}: install the same release on both`,
  ],
  [
    "a name that is none",
    { worker: "a b" },
    "a worker's name has 1 to 64 letters, digits, dashes and underscores",
  ],
  [
    "the name of one that is here, from another folder",
    { home: "h2" },
    'another worker named "w1" serves this place: give each a name of its own',
  ],
])("%s is refused, and told for 30 s", async (_, more, because) => {
  const { workers, enter, clock, changes } = rig();
  if (more.home !== undefined) enter();
  const before = changes.length;
  expect(workers.hello({ ...HELLO, ...more })).toEqual({ type: "no", because });
  workers.hello({ ...HELLO, ...more });
  expect(changes.length).toBe(before + 1);
  if (more.home !== undefined) return;
  const name = more.worker ?? "w1";
  expect(workers.hosts(["gpu"])).toMatchObject([{ host: name, labels: ["gpu"], because }]);
  await clock.advance(29_999);
  expect(workers.hosts([])).toHaveLength(1);
  await clock.advance(1);
  expect(workers.hosts([])).toEqual([]);
});

it("the same folder takes the name of one that is here", () => {
  const { workers, enter } = rig();
  enter();
  expect(workers.hello({ ...HELLO, incarnation: "i2" })).toMatchObject({ type: "welcome" });
});

it("what a worker answers in a session that has ended meanwhile counts for nothing", async () => {
  const { enter, clock } = rig();
  const worker = enter();
  const session = worker.session!;
  const answered = { session, number: 4, answer: { type: "taken" } };
  const adopt = async (meanwhile: () => void): Promise<unknown> => {
    const ask = (): Promise<unknown> => {
      meanwhile();
      return Promise.resolve(answered);
    };
    const told = new ToldWorkers({ askTogether: ask } as unknown as SealedBroker, clock);
    return told.adopt(worker, "run#1", { heard: { stdout: 0, stderr: 0 } } as never);
  };
  expect(await adopt(() => undefined)).toEqual({ kind: "taken", number: 4 });
  expect(await adopt(() => (worker.session = "another"))).toEqual({ kind: "silent" });
  worker.session = session;
  expect(await adopt(() => worker.leave("gone"))).toEqual({ kind: "silent" });
});
