/** The daemon's side of a farm, with the workers' own code, on an engine in memory. */
import { describe, expect, it } from "vitest";
import { BrokerSilence } from "../../../src/places/broker/broker.ts";
import { PATIENCE_MS } from "../../../src/places/broker/messages.ts";
import { plainShell } from "../../support/plain-shell.ts";
import { FarmWorld, type FarmWorker } from "./farm-world.ts";

function farm(workers = 1): FarmWorld {
  const world = new FarmWorld();
  world.beginDaemon();
  for (let at = 0; at < workers; at += 1) world.worker(`w${at}`);
  return world;
}

/** Until something runs. @returns how long that took, in milliseconds */
async function untilRunning(world: FarmWorld): Promise<number> {
  const from = world.clock.monotonic();
  await world.clock.until(() => world.running.size > 0);
  return world.clock.monotonic() - from;
}

describe("a place on a broker", () => {
  it("runs steps at its workers, each once, with their output", async () => {
    const world = farm(2);
    for (let at = 0; at < 10; at += 1) world.step({ ms: 50, lines: 3 });
    await world.clock.until(() => world.isDone);
    expect(world.steps.map(({ attempts }) => attempts)).toEqual(Array(10).fill(1));
    expect(world.wrongs).toEqual([]);
    await world.clock.advance(20_000);
    for (const { worker } of world.workers) expect(worker!.tasks).toEqual([]);
  });

  it("gives a step to a worker with all its labels, and tells the room of these", async () => {
    const world = farm(0);
    const [plain, gpu] = [world.worker("plain"), world.worker("gpu", ["gpu", "linux"])];
    await world.clock.until(() => world.place.room("shell", ["gpu"]) === 2);
    expect(world.place.room("shell", [])).toBe(4);
    expect(world.place.room("module", ["farm", "gpu", "linux"])).toBe(2);
    expect(world.place.room("shell", ["arm"])).toBe(0);
    expect([world.place.serves(["gpu"]), world.place.serves(["arm"])]).toEqual([true, false]);
    world.step({ ms: 10_000, lines: 0 }, ["gpu"]);
    world.place.promise("shell@gpu");
    await untilRunning(world);
    expect([...world.running.values()]).toEqual([gpu]);
    expect(world.place.room("shell", ["gpu"])).toBe(0);
    world.place.redeem("shell@gpu");
    expect(world.place.room("shell", ["gpu"])).toBe(1);
    expect(plain.running.size).toBe(0);
  });

  it("says where an attempt began, once, before it has ended", async () => {
    const world = farm(1);
    world.step({ ms: 100, lines: 0 });
    await untilRunning(world);
    await world.clock.advance(25);
    expect(world.placed).toEqual([{ id: "s0#1", place: "farm", host: "w0", ref: "home of w0 1" }]);
    await world.clock.until(() => world.isDone);
    expect(world.placed.length).toBe(1);
  });

  it("stops a step that may have begun, and one that has not for sure", async () => {
    const world = farm(1);
    await world.clock.advance(2_000);
    world.step({ ms: 60_000, lines: 0 });
    world.place.stop("s0#1", "force", "told to");
    await world.clock.until(() => world.isDone);
    expect(world.steps[0]!.how).toBe("stopped");
    await world.clock.advance(5_000);
    expect(world.running.size).toBe(0);
    // The grant is lost, and comes after it was stopped.
    world.engine.faults = { lose: 0, duplicate: 0, delay: 1, lateMs: 1_000 };
    world.step({ ms: 60_000, lines: 0 });
    await world.clock.settle();
    world.engine.faults = { lose: 0, duplicate: 0, delay: 0, lateMs: 0 };
    world.place.stop("s1#1", "force", "told to");
    await world.clock.until(() => world.isDone);
    expect(world.steps[1]!.how).toBe("stopped");
    await world.clock.advance(5_000);
    expect([world.running.size, world.wrongs]).toEqual([0, []]);
  });

  it("gives a granted step to nobody else while it may have begun", async () => {
    const world = farm(2);
    await world.clock.advance(2_000);
    world.engine.faults = { lose: 1, duplicate: 0, delay: 0, lateMs: 0 };
    world.step({ ms: 1_000, lines: 0 });
    await world.clock.settle();
    world.engine.faults = { lose: 0, duplicate: 0, delay: 0, lateMs: 0 };
    const asked = world.clock.monotonic();
    await untilRunning(world);
    // It is asked again after 2 s without an answer, and says that it has not begun.
    expect(world.clock.monotonic() - asked).toBeGreaterThan(2_000);
    expect(world.steps[0]!.attempts).toBe(1);
    await world.clock.until(() => world.isDone);
    expect([world.steps[0]!.attempts, world.wrongs]).toEqual([1, []]);
  });

  it("gives a granted step to another at once where nobody listens", async () => {
    const world = farm(2);
    await world.clock.advance(2_000);
    for (const one of world.workers) one.connection.setDown("its process has ended");
    world.workers[1]!.connection.setDown(undefined);
    world.step({ ms: 1_000, lines: 0 });
    expect(await untilRunning(world)).toBeLessThan(50);
    expect([...world.running.values()]).toEqual([world.workers[1]]);
    expect(world.steps[0]!.attempts).toBe(1);
  });

  it("says within 2 s that nobody listens as a worker, and waits for its leases", async () => {
    const world = farm(2);
    await world.clock.advance(2_000);
    world.step({ ms: 60_000, lines: 0 });
    await untilRunning(world);
    const [[, ill]] = [...world.running.entries()] as [[string, FarmWorker]];
    ill.kill();
    await world.clock.advance(2_100);
    const host = world.place.report().hosts.find(({ host: name }) => name === ill.name);
    expect(host!.because).toBe("nobody listens as it: its process or its connection has ended");
    await world.clock.advance(10_000);
    expect([world.running.size, world.steps[0]!.attempts]).toEqual([0, 1]);
    await world.clock.advance(PATIENCE_MS - 12_000);
    expect([world.running.size, world.steps[0]!.attempts]).toEqual([1, 2]);
  });

  it("calls a worker whose beat was lost, and hears it at once", async () => {
    const world = farm(1);
    await world.clock.advance(2_000);
    world.engine.faults = { lose: 1, duplicate: 0, delay: 0, lateMs: 0 };
    await world.clock.advance(1_500);
    world.engine.faults = { lose: 0, duplicate: 0, delay: 0, lateMs: 0 };
    const beats = (): number => world.engine.seen.length;
    const before = beats();
    await world.clock.advance(900);
    expect(beats()).toBeGreaterThan(before);
    expect(world.place.report().hosts[0]!.because).toBeUndefined();
  });

  it("runs a worker's steps elsewhere once its patience is over, and not before", async () => {
    const world = farm(1);
    const step = world.step({ ms: 60_000, lines: 0 });
    await untilRunning(world);
    world.workers[0]!.kill();
    world.worker("other");
    const waited = await untilRunning(world);
    expect(waited).toBeGreaterThan(PATIENCE_MS - 2_000);
    expect(waited).toBeLessThan(PATIENCE_MS + 2_000);
    expect(step.attempts).toBe(2);
    expect(world.wrongs).toEqual([]);
    expect(world.place.report().hosts[1]).toMatchObject({
      host: "w0",
      because: "it was silent for 15 s",
    });
  });

  it("runs them again at once when the worker itself is back, or says that it ended", async () => {
    const world = farm(1);
    const [first] = world.workers as [(typeof world.workers)[0]];
    world.step({ ms: 60_000, lines: 0 });
    await untilRunning(world);
    first.kill();
    first.begin();
    expect(await untilRunning(world)).toBeLessThan(2_500);
    world.worker("other");
    await world.clock.advance(2_000);
    void first.worker!.close();
    await world.clock.advance(100);
    expect([...world.running.values()].map(({ name }) => name)).toEqual(["other"]);
    expect(world.wrongs).toEqual([]);
  });

  it("gives a second worker of one name nothing while the first is there", async () => {
    const world = farm(1);
    world.step({ ms: 4_000, lines: 0 });
    await untilRunning(world);
    const second = world.worker("w0", [], "another home");
    await world.clock.until(() => world.isDone);
    expect(world.steps[0]!.attempts).toBe(1);
    world.workers[0]!.kill();
    await world.clock.advance(PATIENCE_MS + 3_000);
    world.step({ ms: 10, lines: 0 });
    expect(world.running.get("s1#1") ?? second).toBe(second);
    await world.clock.until(() => world.isDone);
    expect(world.wrongs).toEqual([]);
  });

  it("gives a worker of another protocol nothing, and says so", async () => {
    const world = farm(0);
    const answer = world.ask("hello", {
      type: "hello",
      protocol: 7,
      version: "9.0.0",
      worker: "new",
      incarnation: "i",
      home: "h",
      platform: "what another release says besides",
    });
    await world.clock.advance(10);
    const because =
      "it speaks protocol 7 (orchd 9.0.0), and the daemon speaks 5: " +
      "install the same release on both";
    expect(await answer).toEqual({ type: "no", because });
    expect(world.place.report().hosts).toEqual([
      { host: "new", labels: ["farm"], threads: 0, version: "9.0.0", protocol: 7, because },
    ]);
    expect(world.place.room("shell", [])).toBe(0);
  });

  it("has no room while the broker is down, says why, and takes what waited there", async () => {
    const world = farm(1);
    expect(world.place.report().because).toBe(
      "no worker has come yet: start one with `orchd worker --place farm`",
    );
    world.step({ ms: 3_000, lines: 2 });
    await untilRunning(world);
    world.engine.setDown("the broker at nats://x does not answer");
    expect(world.place.room("shell", [])).toBeLessThanOrEqual(0);
    expect(world.place.report().because).toBe("the broker at nats://x does not answer");
    await world.clock.advance(4_500);
    world.engine.setDown(undefined);
    await world.clock.until(() => world.isDone);
    expect(world.steps[0]!.attempts).toBe(1);
    expect(world.place.report().because).toBeUndefined();
    expect(world.wrongs).toEqual([]);
  });

  it("refuses a result that comes after the step was given up", async () => {
    const world = farm(1);
    const [worker] = world.workers as [(typeof world.workers)[0]];
    world.step({ ms: 1_000, lines: 0 });
    await untilRunning(world);
    worker.connection.setDown("cut");
    world.worker("other");
    await world.clock.until(() => world.isDone, { limitMilliseconds: 40_000 });
    worker.connection.setDown(undefined);
    await world.clock.advance(10_000);
    expect(world.refused).toEqual(["s0#1"]);
    expect(world.steps[0]).toMatchObject({ attempts: 2, ends: 1, how: "s0#2" });
    expect(worker.worker!.tasks).toEqual([]);
    expect(world.wrongs).toEqual([]);
  });

  it("lets a new daemon go on with what runs, and with what has ended meanwhile", async () => {
    const world = farm(1);
    world.step({ ms: 4_000, lines: 40 });
    world.step({ ms: 1_000, lines: 10 });
    await untilRunning(world);
    await world.clock.advance(900);
    world.killDaemon();
    await world.clock.advance(1_500);
    world.beginDaemon();
    await world.clock.until(() => world.isDone);
    expect(world.steps.map(({ attempts }) => attempts)).toEqual([1, 1]);
    expect(world.wrongs).toEqual([]);
  });

  it("keeps an end until it is durable: a daemon that dies before that gets it again", async () => {
    const world = farm(1);
    world.step({ ms: 500, lines: 1 });
    await untilRunning(world);
    await world.clock.until(() => world.dones > 0);
    expect(world.isDone).toBe(false);
    world.killDaemon();
    world.beginDaemon();
    await world.clock.until(() => world.isDone);
    expect(world.steps[0]).toMatchObject({ attempts: 1, ends: 1 });
    expect(world.wrongs).toEqual([]);
  });

  it("takes a brief end with one answer, and tells that it is durable once", async () => {
    const world = farm(1);
    await world.clock.advance(1_600);
    const before = world.engine.seen.length;
    for (let at = 0; at < 4; at += 1) {
      world.step({ ms: 5, lines: 0 });
      await world.clock.until(() => world.isDone);
    }
    // Each give is answered with the end, and says that the end before it is durable.
    expect(world.engine.seen.length - before).toBe(8);
    expect(world.workers[0]!.worker!.tasks).toEqual(["s3#1"]);
    await world.clock.advance(100);
    expect(world.workers[0]!.worker!.tasks).toEqual([]);
    expect(world.engine.seen.length - before).toBe(10);
    expect([world.dones, world.wrongs]).toEqual([4, []]);
  });

  it("hears a brief end again whose answer was lost, and drops one that it has", async () => {
    const world = farm(1);
    // From now on the daemon knows what it does not want.
    await world.clock.advance(PATIENCE_MS + 1_600);
    world.step({ ms: 5, lines: 0 });
    await untilRunning(world);
    world.engine.faults = { lose: 1, duplicate: 0, delay: 0, lateMs: 0 };
    await world.clock.advance(10);
    world.engine.faults = { lose: 0, duplicate: 0, delay: 0, lateMs: 0 };
    expect(world.dones).toBe(0);
    await world.clock.until(() => world.isDone);
    world.step({ ms: 5, lines: 0 });
    await world.clock.until(() => world.isDone);
    world.engine.faults = { lose: 1, duplicate: 0, delay: 0, lateMs: 0 };
    await world.clock.advance(200);
    world.engine.faults = { lose: 0, duplicate: 0, delay: 0, lateMs: 0 };
    expect(world.workers[0]!.worker!.tasks).toEqual(["s1#1"]);
    await world.clock.advance(3_000);
    expect(world.workers[0]!.worker!.tasks).toEqual([]);
    expect([world.dones, world.steps.map(({ attempts }) => attempts)]).toEqual([2, [1, 1]]);
    expect(world.wrongs).toEqual([]);
  });

  it("waits for workers that do not answer a new daemon until no lease can hold", async () => {
    const world = farm(1);
    world.step({ ms: 60_000, lines: 0 });
    await untilRunning(world);
    world.workers[0]!.connection.setDown("cut");
    world.killDaemon();
    world.beginDaemon();
    world.worker("other");
    await world.clock.advance(PATIENCE_MS - 500);
    expect(world.steps[0]!.attempts).toBe(1);
    await world.clock.advance(1_000);
    expect(world.steps[0]!.attempts).toBe(2);
    expect(world.wrongs).toEqual([]);
  });

  it("ends what a new daemon does not want", async () => {
    const world = farm(1);
    world.step({ ms: 60_000, lines: 0 });
    await untilRunning(world);
    world.killDaemon();
    world.forget();
    world.beginDaemon();
    await world.clock.advance(PATIENCE_MS + 3_000);
    expect(world.running.size).toBe(0);
    expect(world.workers[0]!.worker!.tasks).toEqual([]);
  });

  it("stops a step before its worker has claimed it, and after", async () => {
    const world = farm(1);
    await world.clock.advance(2_000);
    // Its beat is overdue: it has to claim what it is given.
    world.workers[0]!.freeze();
    await world.clock.advance(2_500);
    world.step({ ms: 60_000, lines: 0 });
    world.place.stop("s0#1", "graceful", "told to");
    await world.clock.until(() => world.isDone);
    expect(world.steps[0]!.how).toBe("stopped");
    world.workers[0]!.thaw();
    await world.clock.advance(5_000);
    expect(world.begun.size).toBe(0);
    world.step({ ms: 60_000, lines: 0 });
    await untilRunning(world);
    world.workers[0]!.connection.setDown("for a moment");
    world.place.stop("s1#1", "force", "told to");
    await world.clock.advance(2_500);
    world.workers[0]!.connection.setDown(undefined);
    await world.clock.until(() => world.isDone);
    expect(world.steps[1]).toMatchObject({ how: "stopped", attempts: 1 });
  });

  it("leaves steps for the next daemon when told to, and answers nothing of them", async () => {
    const world = farm(1);
    world.step({ ms: 3_000, lines: 3 });
    await untilRunning(world);
    expect(world.place.outlives("s0#1")).toBe(true);
    world.place.leave(["s0#1"]);
    await world.clock.advance(4_000);
    expect(world.workers[0]!.worker!.tasks).toEqual(["s0#1"]);
    world.killDaemon();
    world.beginDaemon();
    await world.clock.until(() => world.isDone);
    expect(world.steps[0]!.attempts).toBe(1);
    expect(world.wrongs).toEqual([]);
  });

  it("does not meet another daemon's workers on the same broker", async () => {
    const world = farm(1);
    const other = new FarmWorld(2, world);
    await world.clock.advance(2_000);
    other.beginDaemon("/another");
    other.worker("own");
    await world.clock.advance(3_000);
    const hosts = [world, other].map(({ place }) => place.report().hosts.map(({ host }) => host));
    expect(hosts.flat().toSorted()).toEqual(["own", "w0"]);
    expect(hosts[0]).toContain("w0");
  });

  it("shows the engine no text of a step", async () => {
    const world = farm(1);
    world.engine.messageLimit = 20_000;
    world.step({ ms: 50, lines: 2 }, ["farm"], "HIDDEN");
    world.step({ ms: 50, lines: 2 }, ["farm"], "HIDDEN".repeat(5_000));
    await world.clock.until(() => world.isDone);
    expect(world.steps.map(({ attempts }) => attempts)).toEqual([1, 1]);
    expect(world.engine.seen.length).toBeGreaterThan(10);
    for (const seen of [...world.engine.seen, ...world.put])
      expect(Buffer.from(seen).includes("HIDDEN")).toBe(false);
    await world.clock.advance(10);
    expect(world.put.length).toBe(1);
    expect(world.engine.objects.size).toBe(0);
  });

  it("puts a long task again that the broker did not take at first", async () => {
    const world = farm(1);
    await world.clock.advance(1_000);
    world.engine.messageLimit = 20_000;
    const { connection } = world;
    const put = connection.put.bind(connection);
    let refused = 0;
    connection.put = async (...given) => {
      refused += 1;
      if (refused === 1) throw new BrokerSilence("it has no room");
      return put(...given);
    };
    world.step({ ms: 50, lines: 2 }, ["farm"], "x".repeat(20_000));
    await world.clock.until(() => world.isDone);
    expect(refused).toBe(2);
    expect(world.steps[0]).toMatchObject({ how: "s0#1", attempts: 1 });
    await world.clock.advance(10);
    expect(world.engine.objects.size).toBe(0);
  });

  it("fails a step at once that needs more files than a message can name", async () => {
    const world = farm(1);
    await world.clock.advance(1_000);
    const start = (id: string, count: number): void => {
      const refs = Array.from({ length: count }, (_, at) => ({
        $artifact: at.toString(16).padStart(64, "0"),
        bytes: 70_000,
      }));
      const outputs = Object.fromEntries(refs.map((ref, at) => [`o${at}`, ref]));
      const stored = [{ step: "many", outputs, inputs: {} }];
      const task = plainShell("{}", { artifacts: "/artifacts", stored });
      world.place.start(id, task, { output: () => {}, done: () => {}, died: () => {} });
    };
    expect(() => start("a#1", 20_000)).toThrow(
      "the step needs 20000 files, and no message of the broker names so many: hand it fewer " +
        "large outputs, or run it on this machine",
    );
    start("b#1", 10_000);
    await world.clock.until(() => world.workers[0]!.worker!.tasks.length > 0);
    expect(world.workers[0]!.worker!.tasks).toEqual(["b#1"]);
    expect(world.faults).toEqual([]);
  });
});
