/** Questions that go together: one message for all, and each has its own answer. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { BrokerSilence, type Broker, type Hear } from "../../../src/places/broker/broker.ts";
import { Seal } from "../../../src/places/broker/seal.ts";
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
