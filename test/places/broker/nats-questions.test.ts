/** Questions over a connection that a test plays: answers, silence, and who may not listen. */
import { describe, expect, it } from "vitest";
import { NatsQuestions } from "../../../src/places/broker/nats-questions.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

type Callback = (error: Error | null, message: unknown) => void;

function rig() {
  const clock = new VirtualClock();
  const sent: [subject: string, reply: string][] = [];
  const asks = { fails: undefined as Error | undefined };
  let listened = "";
  let hear: Callback = () => undefined;
  const connection = {
    subscribe(subject: string, { callback }: { callback: Callback }) {
      [listened, hear] = [subject, callback];
    },
    publish(subject: string, _message: Uint8Array, { reply }: { reply: string }) {
      if (asks.fails !== undefined) throw asks.fails;
      sent.push([subject, reply]);
    },
  };
  const questions = new NatsQuestions(clock, connection as never, "in.box");
  const told: string[] = [];
  const ask = (subject: string, timeoutMs = 1_000): void => {
    questions.ask(subject, Buffer.from("?"), timeoutMs).then(
      (answer) => void told.push(`${subject}: ${Buffer.from(answer).toString()}`),
      (error: Error & { reachedNobody: boolean }) =>
        void told.push(`${error.message}${error.reachedNobody ? " (nobody)" : ""}`),
    );
  };
  const answer = (nth: number, text: string, code?: number): void =>
    hear(null, { subject: sent[nth]![1], data: Buffer.from(text), headers: code && { code } });
  return { clock, sent, asks, questions, told, ask, answer, hear: () => hear, listened };
}

describe("a question", () => {
  it("is answered at a subject of its own, whichever answer comes first", async () => {
    const { clock, sent, told, ask, answer, listened } = rig();
    ask("a");
    ask("b");
    expect([listened, sent]).toEqual([
      "in.box.*",
      [
        ["a", "in.box.1"],
        ["b", "in.box.2"],
      ],
    ]);
    answer(1, "second");
    answer(0, "");
    answer(0, "again");
    await clock.settle();
    expect([told, clock.timers]).toEqual([["b: second", "a: "], 0]);
  });

  it("fails after its time, and not before", async () => {
    const { clock, told, ask, answer } = rig();
    ask("a", 500);
    await clock.advance(499);
    expect(told).toEqual([]);
    await clock.advance(1);
    answer(0, "late");
    await clock.settle();
    expect(told).toEqual(["a does not answer: timeout"]);
  });

  it.each([
    ["", 503, "a does not answer: nobody listens there (nobody)"],
    ["", 500, "a: "],
    ["x", 503, "a: x"],
  ])("that the engine answers with %j and %i is told as %s", async (text, code, sentence) => {
    const { clock, told, ask, answer } = rig();
    ask("a");
    answer(0, text, code);
    await clock.settle();
    expect([told, clock.timers]).toEqual([[sentence], 0]);
  });

  it("that cannot be sent fails at once, and leaves nothing", async () => {
    const { clock, asks, told, ask } = rig();
    asks.fails = new Error("the connection is closed");
    ask("a");
    await clock.settle();
    expect([told, clock.timers]).toEqual([["a does not answer: the connection is closed"], 0]);
  });
});

describe("a connection", () => {
  it("that ends fails what waits: all, or what waits at one subject", async () => {
    const { clock, questions, told, ask } = rig();
    for (const subject of ["a", "b", "a"]) ask(subject);
    questions.fail(new Error("no such subject"), "a");
    await clock.settle();
    expect(told).toEqual(Array(2).fill("a does not answer: no such subject"));
    questions.fail(new Error("closed"));
    await clock.settle();
    expect([told[2], clock.timers]).toEqual(["b does not answer: closed", 0]);
    ask("c");
    await clock.settle();
    expect([told.length, clock.timers]).toEqual([3, 1]);
  });

  it("whose user may not listen fails what waits, and all that is asked from then on", async () => {
    const { clock, sent, told, ask, hear } = rig();
    ask("a");
    hear()(new Error("permissions violation"), undefined);
    ask("b");
    await clock.settle();
    const because = "does not answer: permissions violation";
    expect(told).toEqual([`a ${because}`, `b ${because}`]);
    expect([sent.length, clock.timers]).toEqual([1, 0]);
  });
});
