/** Questions that go together: one message for all, and each has its own answer. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { BrokerSilence, type Broker, type Hear } from "../../../src/places/broker/broker.ts";
import { Seal, SEAL_BYTES } from "../../../src/places/broker/seal.ts";
import { SealedBroker } from "../../../src/places/broker/sealed-broker.ts";
import { PlayedEngine } from "../../support/played-broker.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

interface Asked {
  readonly n: number;
}

function rig(faults: string[] = []) {
  const clock = new VirtualClock();
  const engine = new PlayedEngine(clock);
  const side = (): SealedBroker =>
    new SealedBroker(engine.connect(), new Seal("6f".repeat(32)), "t", clock, (fault) =>
      faults.push(fault),
    );
  const [asks, hears] = [side(), side()];
  /** What becomes of questions: an answer, or that there is none. */
  const ends = async (...messages: object[]): Promise<unknown[]> => {
    const all = Promise.allSettled(messages.map((one) => asks.askTogether("a", one, 1_000)));
    await clock.advance(2_000);
    return (await all).map((end) =>
      end.status === "fulfilled" ? end.value : (end.reason as Error).name,
    );
  };
  return { clock, engine, asks, hears, ends };
}

describe("questions of one turn", () => {
  it("are one message, which one message answers", async () => {
    const { engine, hears, ends } = rig();
    hears.listen("a", (asked) => ({ twice: 2 * (asked as Asked).n }));
    const twice = [1, 2, 3].map((n) => ({ twice: 2 * n }));
    expect(await ends({ n: 1 }, { n: 2 }, { n: 3 })).toEqual(twice);
    expect(engine.seen).toHaveLength(2);
    expect(await ends({ n: 1 })).toEqual([{ twice: 2 }]);
    expect(engine.seen).toHaveLength(4);
  });

  it("are told from one that came alone, which holds up no other", async () => {
    const { hears, ends, asks, clock } = rig();
    hears.listen("a", (_, isAlone) => ({ isAlone }));
    expect(await ends({ n: 1 }, { n: 2 })).toEqual([{ isAlone: false }, { isAlone: false }]);
    const one = asks.askTogether("a", { n: 1 }, 1_000);
    await clock.advance(10);
    expect(await one).toEqual({ isAlone: true });
  });

  it("hold up no other: what is not answered soon after the first is silence", async () => {
    const { clock, hears, asks } = rig();
    let lateOne: (answer: object) => void = () => undefined;
    hears.listen("a", (asked) => {
      const { n } = asked as Asked;
      if (n === 1) return new Promise<object>((resolve) => (lateOne = resolve));
      return n === 2 ? { n } : Promise.resolve({ n });
    });
    const ask = (n: number): Promise<unknown> => asks.askTogether("a", { n }, 60_000);
    const [one, two, three] = [ask(1), ask(2), ask(3)];
    const silent = one.catch((error: unknown) => error);
    await clock.advance(60);
    expect(await silent).toBeInstanceOf(BrokerSilence);
    expect([await two, await three]).toEqual([{ n: 2 }, { n: 3 }]);
    // It is asked again, alone, and waits as long as it takes.
    const again = ask(1);
    await clock.advance(5_000);
    lateOne({ n: "at last" });
    await clock.advance(10);
    expect(await again).toEqual({ n: "at last" });
  });

  it("are silent alone where they are wrong, or are answered by nothing", async () => {
    const faults: string[] = [];
    const { hears, ends, asks, clock } = rig(faults);
    hears.listen("a", (asked) => {
      const { n } = asked as Asked;
      if (n === 1) throw new Error("it is wrong");
      if (n === 2) return Promise.reject(new Error("it is wrong too"));
      return n === 3 ? undefined : { n };
    });
    const silent = "BrokerSilence";
    expect(await ends(...[1, 2, 3, 4].map((n) => ({ n })))).toEqual([
      silent,
      silent,
      silent,
      { n: 4 },
    ]);
    expect(faults).toEqual([
      "a message at t.a cannot be taken: it is wrong",
      "a message at t.a cannot be taken: it is wrong too",
    ]);
    const many = asks
      .ask(
        "a",
        Array.from({ length: 1_000 }, () => ({ n: 4 })),
        1_000,
      )
      .catch(() => "none");
    await clock.advance(2_000);
    expect(await many).toBe("none");
    expect(faults.at(-1)).toBe("a message at t.a cannot be taken: it asks 1000 things at once");
  });

  it("that are long go in several messages, and none is lost with another", async () => {
    const { engine, hears, ends, asks, clock } = rig();
    engine.messageLimit = 4_000;
    hears.listen("a", (asked) => ({ n: (asked as Asked).n }));
    const long = (n: number) => ({ n, text: "x".repeat(600) });
    expect(await ends(long(1), long(2), long(3))).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }]);
    expect(engine.seen).toHaveLength(6);
    const [fits, not] = [
      asks.askTogether("a", { n: 1 }, 1_000),
      asks.askTogether("a", { n: 2, text: "x".repeat(5_000) }, 1_000),
    ];
    const refused = not.catch((error: unknown) => String(error));
    await clock.advance(2_000);
    expect(await fits).toEqual({ n: 1 });
    expect(await refused).toContain("and 4000 are allowed");
    // What counts is the message as it is sent.
    const text = "x".repeat(3_990 - JSON.stringify({ n: 1, text: "" }).length);
    const nearly = asks.ask("a", { n: 1, text }, 1_000).catch((error: unknown) => String(error));
    await clock.advance(2_000);
    expect(await nearly).toContain(`has ${3_990 + SEAL_BYTES} bytes, and 4000 are allowed`);
  });
});

it("sends all of a turn in one write: questions, and answers that took a while", async () => {
  const writes: number[] = [];
  let waiting = 0;
  // As a client does: what is sent before it comes to its socket goes together.
  const send = (): void => {
    waiting += 1;
    if (waiting > 1) return;
    queueMicrotask(() => {
      writes.push(waiting);
      waiting = 0;
    });
  };
  let hear!: Hear;
  const broker = {
    messageLimit: 1_000_000,
    ask: () => (send(), new Promise(() => undefined)),
    listen: (_subject: string, heard: Hear) => ((hear = heard), () => undefined),
  };
  const seal = new Seal("6f".repeat(32));
  const sealed = new SealedBroker(
    broker as unknown as Broker,
    seal,
    "t",
    new VirtualClock(),
    expect.unreachable,
  );
  let answerLater!: (answer: object) => void;
  sealed.listen("a", (asked) =>
    (asked as Asked).n === 1 ? {} : new Promise((resolve) => (answerLater = resolve)),
  );
  const tell = (n: number): void =>
    hear(seal.seal(Buffer.from(JSON.stringify({ n })), "t.a"), "t.a", send);
  tell(1);
  expect(waiting).toBe(1);
  tell(2);
  await nextTurn();
  answerLater({});
  for (const at of ["b", "c"]) void sealed.askTogether(at, {}, 1_000);
  await nextTurn();
  expect(writes).toEqual([1, 3]);
});

it("sends the questions of a turn in the order in which they were asked", async () => {
  const { asks, hears, clock } = rig();
  const heard: string[] = [];
  for (const at of ["b", "c", "d"]) hears.listen(at, () => (heard.push(at), {}));
  await Promise.all([
    ...["b", "c", "d"].map((at) => asks.askTogether(at, {}, 1_000)),
    clock.advance(100),
  ]);
  expect(heard).toEqual(["b", "c", "d"]);
});

describe("questions together", () => {
  it("are 128 at most in one message, and more are not heard", async () => {
    for (const [count, messages] of [
      [128, 2],
      [129, 4],
    ] as const) {
      const { engine, hears, ends } = rig();
      hears.listen("a", () => ({}));
      const all = await ends(...Array.from({ length: count }, (_, n) => ({ n })));
      expect([all.length, engine.seen.length]).toEqual([count, messages]);
    }
    const faults: string[] = [];
    const { hears, asks, clock } = rig(faults);
    hears.listen("a", () => ({}));
    for (const count of [128, 129]) {
      const many = Array.from({ length: count }, (_, n) => ({ n }));
      asks.ask("a", many, 1_000).catch(() => undefined);
      await clock.advance(2_000);
    }
    expect(faults).toEqual(["a message at t.a cannot be taken: it asks 129 things at once"]);
  });

  it("have the time of the one that has least", async () => {
    const { asks, hears, clock } = rig();
    hears.listen("a", () => new Promise(() => undefined));
    const ends: number[] = [];
    for (const timeoutMs of [5_000, 500])
      void asks.askTogether("a", {}, timeoutMs).catch(() => void ends.push(clock.monotonic()));
    await clock.advance(499);
    expect(ends).toEqual([]);
    await clock.advance(5_000);
    expect(ends).toEqual([500, 500]);
  });

  it("are all silence where the answer is a list of another length, or none", async () => {
    for (const answer of [[{}], [{}, {}, {}], {}]) {
      const { asks, engine, clock } = rig();
      const seal = new Seal("6f".repeat(32));
      const other = new SealedBroker(engine.connect(), seal, "t", clock, () => undefined);
      // It takes the whole list for one question.
      const hear = other.broker.listen.bind(other.broker);
      hear("t.a", (sealed, _subject, respond) => {
        const about = `answer to ${Buffer.from(sealed.subarray(1, 25)).toString("base64")}`;
        respond(seal.seal(Buffer.from(JSON.stringify(answer)), about));
      });
      const both = [1, 2].map((n) =>
        asks.askTogether("a", { n }, 1_000).catch((error: Error) => error.message),
      );
      await clock.advance(10);
      const because = "t.a does not answer each question";
      expect(await Promise.all(both)).toEqual([because, because]);
    }
  });

  it("wait for each other as long as none has an answer, and then 50 ms", async () => {
    const { asks, hears, clock } = rig();
    const answers: ((answer: object) => void)[] = [];
    hears.listen("a", () => new Promise<object>((resolve) => answers.push(resolve)));
    const ends: string[] = [];
    for (const n of [1, 2])
      void asks.askTogether("a", { n }, 60_000).then(
        () => void ends.push(`${n} at ${clock.monotonic()}`),
        () => void ends.push(`${n} not by ${clock.monotonic()}`),
      );
    await clock.advance(10_000);
    expect(ends).toEqual([]);
    answers[1]!({});
    await clock.advance(1_000);
    // The way back takes a millisecond.
    expect(ends).toEqual(["1 not by 10051", "2 at 10051"]);
    expect(clock.timers).toBe(0);
  });

  it("leave no timer behind where the last answer comes in time", async () => {
    const { asks, hears, clock } = rig();
    hears.listen("a", (asked) => ((asked as Asked).n === 1 ? {} : Promise.resolve({})));
    const both = [1, 2].map((n) => asks.askTogether("a", { n }, 1_000));
    await clock.advance(10);
    await Promise.all(both);
    expect(clock.timers).toBe(0);
  });
});

it("a text fits with twice its length, and an answer with a quarter of a message", () => {
  const { asks, engine } = rig();
  engine.messageLimit = 100_000;
  const most = (100_000 - 8_192 - SEAL_BYTES) / 2;
  expect([Math.floor(most), Math.floor(most) + 1].map((bytes) => asks.fits(bytes))).toEqual([
    true,
    false,
  ]);
  engine.messageLimit = 100_003;
  expect(asks.answerLength).toBe(25_000);
});

it("trouble with objects is told as it comes and goes, if the engine is up", async () => {
  const faults: string[] = [];
  const clock = new VirtualClock();
  const engine = new PlayedEngine(clock);
  const broker = engine.connect();
  let because: string | undefined = "its disk is full";
  const put = broker.put.bind(broker);
  broker.put = (...given) =>
    because === undefined ? put(...given) : Promise.reject(new BrokerSilence(because));
  const seal = new Seal("6f".repeat(32));
  const sealed = new SealedBroker(broker, seal, "t", clock, (fault) => void faults.push(fault));
  const changes: (string | undefined)[] = [];
  const off = sealed.onTrouble(() => void changes.push(sealed.trouble));
  const tries = async (): Promise<unknown> => {
    const done = sealed.put("x", Buffer.from("y")).catch((error: Error) => error.message);
    await clock.advance(5);
    return done;
  };
  expect([await tries(), await tries()]).toEqual([because, because]);
  expect([changes, faults]).toEqual([[because], [because, because]]);
  broker.setDown("it is gone");
  expect(sealed.trouble).toBeUndefined();
  because = "another reason";
  await tries();
  expect([changes.length, faults.length]).toEqual([1, 2]);
  broker.setDown(undefined);
  expect(sealed.trouble).toBe("its disk is full");
  because = undefined;
  expect(await tries()).toBeUndefined();
  expect([changes.at(-1), changes.length, sealed.trouble]).toEqual([undefined, 2, undefined]);
  off();
  because = "its disk is full";
  await tries();
  expect(changes).toHaveLength(2);
});
