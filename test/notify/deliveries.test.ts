import { describe, expect, it } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import type { NotifyOutcome } from "../../src/core/notify-fold.ts";
import type { Log } from "../../src/log.ts";
import type { Channel, Message, Sent } from "../../src/notify/channel.ts";
import { Deliveries, type ChannelFact } from "../../src/notify/deliveries.ts";
import { isGivenUp, nextWait, waitAfter } from "../../src/notify/delivery-schedule.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const START = Date.UTC(2026, 10, 23, 2);
const HOUR = 3_600_000;

interface Try {
  readonly channel: string;
  readonly key: string;
  /** Seconds from the start. */
  readonly at: number;
}

/** Deliveries on a virtual clock, with channels that do what a test says. */
function rig() {
  const clock = new VirtualClock({ start: START });
  const tries: Try[] = [];
  const outcomes: (NotifyOutcome & { readonly key: string; readonly channel: string })[] = [];
  const facts: ChannelFact[] = [];
  const answers = new Map<string, (alert: Alert, signal: AbortSignal) => Promise<Sent> | Sent>();
  const said: [level: string, sentence: string, fields: object][] = [];
  const says =
    (level: string) =>
    (fields: object, sentence: string): void =>
      void said.push([level, sentence, fields]);
  const log: Log = {
    debug: says("debug"),
    info: says("info"),
    warn: says("warn"),
    error: says("error"),
  };
  const fatal: Error[] = [];
  const closed: Channel[] = [];
  const ports = {
    tried: async (_outcome: NotifyOutcome): Promise<void> => undefined,
    compose: async (alert: Alert): Promise<Message> => ({ alert, title: "t", text: "x" }),
  };
  const deliveries = new Deliveries({
    clock,
    log,
    store: {
      async tried({ key, channel }, outcome) {
        outcomes.push({ key, channel, ...outcome });
        await ports.tried(outcome);
      },
    },
    compose: (alert) => ports.compose(alert),
    onChannel: (fact) => void facts.push(fact),
    onFatal: (error) => void fatal.push(error),
  });
  const channelOf = (name: string): Channel => {
    const channel: Channel = {
      name,
      async send({ alert }, signal) {
        tries.push({ channel: name, key: alert.key, at: (clock.now() - START) / 1_000 });
        return (await answers.get(name)?.(alert, signal)) ?? { ok: true };
      },
      close: () => void closed.push(channel),
    };
    return channel;
  };
  const names = ["mail", "chat"];
  const channels = (): Map<string, { channel: Channel; timeoutMs: number }> =>
    new Map(names.map((name) => [name, { channel: channelOf(name), timeoutMs: 30_000 }]));
  deliveries.setChannels(channels());
  let nth = 0;
  const add = (channel: string, more: Partial<Alert> = {}): string => {
    const key = `${channel}-${(nth += 1)}`;
    const alert: Alert = {
      key,
      kind: "failed",
      channel,
      pipeline: `p${nth}`,
      because: "b",
      at: new Date(START).toISOString(),
      count: 1,
      telling: 1,
      ...more,
    };
    deliveries.add({ alert, dueAt: new Date(clock.now()).toISOString(), attempts: 0 });
    return key;
  };
  const of = (key: string): NotifyOutcome[] => outcomes.filter((one) => one.key === key);
  const sent = { clock, tries, outcomes, facts, answers, deliveries, names, channels, add, of };
  return { ...sent, said, fatal, closed, ports };
}

const down: Sent = { ok: false, because: "connection refused" };

describe("the schedule of tries", () => {
  it("waits 10 s after the first failure, twice as long after each, an hour at most", () => {
    const waits = Array.from({ length: 11 }, (_, n) => waitAfter(n + 1) / 1_000);
    expect(waits).toEqual([10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]);
    expect(waitAfter(5_000)).toBe(HOUR);
  });

  it("has a try at the last moment of a day, and none after it", () => {
    expect(nextWait(0, 23.5 * HOUR, 99, undefined)).toBe(HOUR / 2);
    expect(nextWait(0, 30 * HOUR, 99, undefined)).toBe(0);
    expect([isGivenUp(0, 24 * HOUR - 1), isGivenUp(0, 24 * HOUR)]).toEqual([false, true]);
  });

  it("waits for as long as the receiver asks for, within that day", () => {
    expect(nextWait(0, 0, 1, 120_000)).toBe(120_000);
    expect(nextWait(0, 0, 5, 1_000)).toBe(160_000);
    expect(nextWait(0, 0, 1, 400 * 24 * HOUR)).toBe(24 * HOUR);
  });
});

describe("deliveries", () => {
  it("sends what is due, once, and says what the channel answered", async () => {
    const { clock, tries, deliveries, add, answers, of, facts } = rig();
    answers.set("mail", () => ({ ok: true, answer: "250 queued" }));
    const key = add("mail");
    await clock.advance(HOUR);
    expect(tries.length).toBe(1);
    expect(of(key)).toMatchObject([{ how: "sent", attempt: 1, answer: "250 queued" }]);
    expect([deliveries.size, clock.timers]).toEqual([0, 0]);
    expect(facts).toMatchObject([{ channel: "mail", broken: false }]);
  });

  it("gives up after a day in which the channel was down, after 33 tries", async () => {
    const { clock, tries, add, answers, of, facts, deliveries } = rig();
    answers.set("mail", () => down);
    const key = add("mail");
    await clock.advance(48 * HOUR);
    const outcomes = of(key);
    expect(outcomes.at(-1)).toEqual({
      key,
      channel: "mail",
      how: "gave_up",
      because: "connection refused (tried for a day)",
    });
    expect(tries.map(({ at }) => at).slice(0, 6)).toEqual([0, 10, 30, 70, 150, 310]);
    expect(tries.at(-1)!.at).toBe(24 * 3_600);
    expect(tries.length).toBe(33);
    expect(facts.map(({ broken, at }) => [broken, (at - START) / 1_000])).toEqual([[true, 310]]);
    expect(deliveries.size).toBe(0);
    answers.delete("mail");
    const next = add("mail");
    await clock.settle();
    expect(of(next)).toMatchObject([{ how: "sent", attempt: 1 }]);
    expect(facts.map(({ broken }) => broken)).toEqual([true, false]);
  });

  it("tries a channel that is down with one message at a time, and then sends all", async () => {
    const { clock, tries, add, answers, outcomes, deliveries } = rig();
    answers.set("mail", () => down);
    for (let n = 0; n < 500; n += 1) add("mail");
    await clock.advance(6 * HOUR);
    expect(tries.length).toBeLessThan(20);
    expect(new Set(tries.map(({ key }) => key)).size).toBe(tries.length);
    answers.delete("mail");
    await clock.advance(HOUR);
    expect(outcomes.filter(({ how }) => how === "sent").length).toBe(500);
    expect(deliveries.size).toBe(0);
  });

  it("gives up with the first what waited for as long", async () => {
    const { clock, add, answers, of, deliveries } = rig();
    answers.set("mail", () => down);
    const keys = Array.from({ length: 50 }, () => add("mail"));
    await clock.advance(12 * HOUR);
    const later = add("mail");
    await clock.advance(13.5 * HOUR);
    for (const key of keys) expect(of(key).at(-1)).toMatchObject({ how: "gave_up" });
    expect(of(later).every(({ how }) => how === "failed")).toBe(true);
    expect(deliveries.size).toBe(1);
  });

  it("does not let one message that is not taken hold up the others", async () => {
    const { clock, add, answers, of, tries } = rig();
    let bad = "";
    answers.set("mail", ({ key }) => (key === bad ? down : { ok: true }));
    bad = add("mail");
    await clock.settle();
    const good = add("mail");
    await clock.advance(10_000);
    expect(of(good)).toMatchObject([{ how: "sent" }]);
    for (let n = 0; n < 60; n += 1) {
      const key = add("mail");
      await clock.advance(60_000);
      expect(of(key)).toMatchObject([{ how: "sent", attempt: 1 }]);
    }
    expect(tries.filter(({ key }) => key === bad).length).toBeLessThan(12);
  });

  it("does not let a channel that never answers hold up another one", async () => {
    const { clock, add, answers, of, tries } = rig();
    answers.set("mail", () => new Promise<Sent>(() => undefined));
    const stuck = Array.from({ length: 40 }, () => add("mail"));
    const good = Array.from({ length: 40 }, () => add("chat"));
    await clock.settle();
    await clock.settle();
    for (const key of good) expect(of(key)).toMatchObject([{ how: "sent" }]);
    expect(tries.filter(({ channel }) => channel === "mail").length).toBe(4);
    await clock.advance(31_000);
    expect(of(stuck[0]!)).toMatchObject([{ how: "failed", because: "no answer within 30s" }]);
  });

  it("waits as long as the receiver asks for", async () => {
    const { clock, add, answers, tries } = rig();
    answers.set("chat", () => ({ ok: false, because: "429", retryAfterMs: 300_000 }));
    add("chat");
    await clock.advance(299_000);
    expect(tries.length).toBe(1);
    await clock.advance(2_000);
    expect(tries.length).toBe(2);
  });

  it("does not try again what is refused for good, and tells that it is broken", async () => {
    const { clock, add, answers, tries, of, facts } = rig();
    answers.set("chat", () => ({ ok: false, because: "no such user", final: true }));
    const key = add("chat");
    await clock.advance(2 * HOUR);
    expect(tries.length).toBe(1);
    expect(of(key)).toMatchObject([{ how: "gave_up", because: "no such user" }]);
    expect(facts).toMatchObject([{ channel: "chat", broken: true, because: "no such user" }]);
  });

  it("keeps the order of one pipeline's messages", async () => {
    const { clock, add, answers, tries } = rig();
    answers.set("mail", async () => {
      await new Promise<void>((resolve) => void clock.after(1_000, resolve));
      return { ok: true };
    });
    const keys = [1, 2, 3, 4].map(() => add("mail", { pipeline: "etl" }));
    add("mail", { pipeline: "other" });
    await clock.advance(10_000);
    expect(tries.map(({ key, at }) => [key, at])).toEqual([
      [keys[0], 0],
      ["mail-5", 0],
      [keys[1], 1],
      [keys[2], 2],
      [keys[3], 3],
    ]);
  });

  it("lets no recovery overtake its failure while that waits for another try", async () => {
    const { clock, add, answers, tries, outcomes, deliveries } = rig();
    answers.set("mail", () => down);
    const { at, because } = { at: new Date(START).toISOString(), because: "b" };
    const others = [{ kind: "failed", pipeline: "b", because, at, count: 1 }] as const;
    const first = add("mail", { pipeline: "a", others });
    await clock.settle();
    const overA = add("mail", { pipeline: "a", kind: "recovered", of: "failed" });
    const overB = add("mail", { pipeline: "b", kind: "recovered", of: "failed" });
    const full = add("mail", { pipeline: undefined as never, kind: "disk_full" });
    const room = add("mail", { pipeline: undefined as never, kind: "recovered", of: "disk_full" });
    await clock.advance(20 * 60_000);
    expect(new Set(tries.map(({ key }) => key))).toEqual(new Set([first, full]));
    answers.set("mail", ({ key }) => (key === first ? down : { ok: true }));
    await clock.advance(HOUR);
    const sent = (): string[] => outcomes.filter(({ how }) => how === "sent").map(({ key }) => key);
    expect(sent()).toEqual([full, room]);
    answers.delete("mail");
    await clock.advance(2 * HOUR);
    expect(sent()).toEqual([full, room, first, overA, overB]);
    expect([deliveries.size, clock.timers]).toEqual([0, 0]);
  });

  it("goes on with what an earlier process left, after the same wait", async () => {
    const { clock, deliveries, tries } = rig();
    const alert = { key: "k", kind: "failed", channel: "mail", because: "b", at: "" } as const;
    const retryAt = new Date(START + 60_000).toISOString();
    const dueAt = new Date(START - HOUR).toISOString();
    deliveries.add({
      alert: { ...alert, count: 1, telling: 1 },
      dueAt,
      attempts: 3,
      retryAt,
      fault: "x",
    });
    await clock.advance(59_000);
    expect(tries.length).toBe(0);
    await clock.advance(1_000);
    expect(tries).toEqual([{ channel: "mail", key: "k", at: 60 }]);
  });

  it("tries at least once what became too old while no process was up", async () => {
    const { clock, deliveries, of } = rig();
    const alert = { key: "k", kind: "failed", channel: "mail", because: "b", at: "" } as const;
    const dueAt = new Date(START - 90 * HOUR).toISOString();
    deliveries.add({ alert: { ...alert, count: 1, telling: 1 }, dueAt, attempts: 0 });
    await clock.settle();
    expect(of("k")).toMatchObject([{ how: "sent", attempt: 1 }]);
  });

  it("tries at once with new settings, and gives up what has no channel any more", async () => {
    const { clock, add, answers, of, names, channels, deliveries } = rig();
    answers.set("mail", () => down);
    const mail = add("mail");
    const chat = add("chat");
    await clock.advance(HOUR);
    names.splice(1);
    answers.delete("mail");
    answers.set("chat", () => down);
    const late = add("chat");
    await clock.settle();
    deliveries.setChannels(channels());
    await clock.settle();
    expect(of(mail).at(-1)).toMatchObject({ how: "sent" });
    expect(of(chat)).toMatchObject([{ how: "sent" }]);
    expect(of(late).at(-1)).toMatchObject({ because: "orchd.yaml has no channel chat" });
  });

  it("ends tries under way when it closes, without counting them", async () => {
    const { clock, add, answers, outcomes, deliveries } = rig();
    answers.set(
      "mail",
      (_alert, signal) =>
        new Promise<Sent>((resolve) => {
          signal.addEventListener("abort", () => resolve({ ok: false, because: "aborted" }));
        }),
    );
    add("mail");
    await clock.settle();
    const closed = deliveries.close(1_000);
    await clock.advance(1_000);
    await closed;
    await clock.settle();
    expect(outcomes).toEqual([]);
    expect(clock.timers).toBe(0);
  });

  it("gives up the oldest of more than 10,000 that wait for one channel", async () => {
    const { clock, add, answers, outcomes, deliveries } = rig();
    answers.set("mail", () => down);
    const keys = Array.from({ length: 10_200 }, () => add("mail"));
    await clock.settle();
    expect(deliveries.size).toBe(10_000);
    const gone = outcomes.filter(({ how }) => how === "gave_up").map(({ key }) => key);
    expect(gone.length).toBe(200);
    expect(keys.indexOf(gone.at(-1)!)).toBeLessThan(210);
  });
});

it("sends 32 messages at once over all channels, four over each", async () => {
  const { clock, tries, deliveries, names, channels, answers, add } = rig();
  names.splice(0, names.length, ...Array.from({ length: 9 }, (_, n) => `c${n}`));
  deliveries.setChannels(channels());
  let end = (): void => undefined;
  const held = new Promise<Sent>((resolve) => (end = () => resolve({ ok: true })));
  for (const name of names) answers.set(name, () => held);
  for (const name of names) for (let nth = 0; nth < 5; nth += 1) add(name);
  await clock.settle();
  expect(tries).toHaveLength(32);
  expect(Math.max(...names.map((name) => tries.filter((t) => t.channel === name).length))).toBe(4);
  end();
  for (let turn = 0; turn < 20; turn += 1) await clock.settle();
  expect(tries).toHaveLength(45);
  await deliveries.close(0);
});

describe("what the log says of a message", () => {
  const about = { channel: "mail", key: "mail-1", kind: "failed" };
  it.each<[string, Partial<Alert>, Sent, [string, string, object][]]>([
    [
      "that was taken",
      { pipeline: "etl" },
      { ok: true },
      [["info", "channel mail took a message: failed of etl", { ...about, pipeline: "etl" }]],
    ],
    [
      "that was taken, and says the same of several",
      { pipeline: "etl", count: 2 },
      { ok: true },
      [
        [
          "info",
          "channel mail took a message: failed of etl, 2 times",
          { ...about, pipeline: "etl" },
        ],
      ],
    ],
    [
      "of no pipeline",
      { pipeline: undefined as never, kind: "disk_full" },
      { ok: true },
      [
        [
          "info",
          "channel mail took a message: disk_full",
          { ...about, kind: "disk_full", pipeline: undefined },
        ],
      ],
    ],
    [
      "that was not taken",
      {},
      down,
      [
        [
          "warn",
          "channel mail did not take a message: connection refused. It is tried again in 10s",
          { channel: "mail", key: "mail-1", attempt: 1 },
        ],
      ],
    ],
    [
      "that is to wait for part of a second too",
      {},
      { ...down, retryAfterMs: 12_400 },
      [
        [
          "warn",
          "channel mail did not take a message: connection refused. It is tried again in 12s",
          { channel: "mail", key: "mail-1", attempt: 1 },
        ],
      ],
    ],
    [
      "that is refused",
      {},
      { ok: false, because: "no such user", final: true },
      [["error", "a message for channel mail is given up: no such user. It said: b", about]],
    ],
  ])("%s", async (_, alert, answer, sentences) => {
    const { clock, add, answers, said } = rig();
    answers.set("mail", () => answer);
    add("mail", alert);
    await clock.settle();
    expect(said).toEqual(sentences);
  });

  it("that waited a day for a channel that is down, with another one", async () => {
    const { clock, add, answers, said, of } = rig();
    answers.set("mail", () => down);
    const [one, two] = [add("mail"), add("mail")];
    await clock.advance(25 * HOUR);
    const ends = [of(one), of(two)].map((outcomes) => outcomes.at(-1)!);
    expect(
      ends.map((end) => ("because" in end ? end.because : "")).toSorted((a, b) => (a < b ? -1 : 1)),
    ).toEqual([
      "connection refused (tried for a day)",
      "the channel takes no messages: connection refused",
    ]);
    expect(said.filter(([level]) => level === "error")).toHaveLength(2);
  });
});

describe("a channel", () => {
  it.each([
    [299_999, []],
    [300_000, [300]],
  ])("that takes nothing for %i ms is told to be broken: %j", async (wait, told) => {
    const { clock, add, answers, facts } = rig();
    answers.set("mail", () => ({ ...down, retryAfterMs: wait }));
    add("mail");
    await clock.advance(wait);
    await clock.settle();
    expect(facts.map(({ at }) => (at - START) / 1_000)).toEqual(told);
  });

  it("that takes a message between two that fail begins its five minutes again", async () => {
    const { clock, add, answers, facts } = rig();
    let bad = "";
    answers.set("mail", ({ key }) => (key === bad ? down : { ok: true }));
    bad = add("mail");
    await clock.settle();
    for (let minute = 0; minute < 8; minute += 1) {
      await clock.advance(60_000);
      add("mail");
      await clock.advance(60_000);
    }
    expect(facts.filter(({ broken }) => broken)).toEqual([]);
  });

  it("is told to work with its first message, and again only after it was broken", async () => {
    const { clock, add, answers, facts } = rig();
    for (const final of [false, false, true, true, false, false]) {
      answers.set("mail", () => (final ? { ok: false, because: "gone", final } : { ok: true }));
      add("mail");
      await clock.advance(60_000);
    }
    expect(facts).toEqual([
      { channel: "mail", broken: false, because: "it takes messages", at: START },
      { channel: "mail", broken: true, because: "gone", at: START + 120_000 },
      { channel: "mail", broken: false, because: "it takes messages", at: START + 240_000 },
    ]);
  });

  it("that was broken, and is removed, begins as another one under its name", async () => {
    const { deliveries, channels, clock, add, answers, facts } = rig();
    let hung: ((sent: Sent) => void) | undefined;
    const refused = { ok: false, because: "gone", final: true } as const;
    answers.set("mail", () => refused);
    add("mail");
    await clock.settle();
    answers.set("mail", () => new Promise((resolve) => (hung = resolve)));
    add("mail");
    await clock.settle();
    const without = channels();
    without.delete("mail");
    deliveries.setChannels(without);
    hung!(refused);
    await clock.settle();
    expect(facts.map(({ because }) => because)).toEqual(["gone"]);
    deliveries.setChannels(channels());
    answers.set("mail", () => ({ ...refused, because: "gone again" }));
    add("mail");
    await clock.settle();
    expect(facts.map(({ because }) => because)).toEqual(["gone", "gone again"]);
  });

  it("that new settings leave as it is stays open; another, or none, closes it", async () => {
    const { deliveries, channels, closed } = rig();
    const first = channels();
    deliveries.setChannels(first);
    closed.splice(0);
    const mail = first.get("mail")!;
    const second = new Map([...channels(), ["mail", mail] as const]);
    deliveries.setChannels(second);
    expect(closed).toEqual([first.get("chat")!.channel]);
    deliveries.setChannels(new Map([["mail", mail]]));
    expect(closed).toEqual([first.get("chat")!.channel, second.get("chat")!.channel]);
    await deliveries.close(0);
    expect(closed.at(-1)).toBe(mail.channel);
  });

  it("heeds the end of its time, and says more, or is not waited for a second later", async () => {
    const { clock, add, answers, of } = rig();
    const aborted: number[] = [];
    answers.set(
      "mail",
      (_alert, signal) =>
        new Promise<Sent>((resolve) => {
          signal.addEventListener("abort", () => {
            aborted.push(clock.now() - START);
            resolve({ ok: false, because: "no answer to the greeting" });
          });
        }),
    );
    answers.set("chat", () => new Promise<Sent>(() => undefined));
    const [heeds, deaf] = [add("mail"), add("chat")];
    await clock.advance(30_999);
    expect(aborted).toEqual([30_000]);
    expect(of(heeds)).toMatchObject([{ how: "failed", because: "no answer to the greeting" }]);
    expect(of(deaf)).toEqual([]);
    await clock.advance(1);
    await clock.settle();
    expect(of(deaf)).toMatchObject([{ how: "failed", because: "no answer within 30s" }]);
  });
});

describe("a try", () => {
  it("says when it is tried again, and counts those of an earlier process", async () => {
    const { clock, deliveries, answers, of } = rig();
    answers.set("mail", () => down);
    const at = new Date(START).toISOString();
    const alert = { key: "k", kind: "failed", channel: "mail", because: "b", at } as const;
    deliveries.add({ alert: { ...alert, count: 1, telling: 1 }, dueAt: at, attempts: 3 });
    await clock.settle();
    const retryAt = new Date(START + 80_000).toISOString();
    const outcome = { how: "failed", attempt: 4, because: "connection refused", retryAt };
    expect(of("k")).toEqual([{ key: "k", channel: "mail", ...outcome }]);
  });

  it("whose message cannot be made fails, and is tried again", async () => {
    const { clock, add, ports, of, tries } = rig();
    ports.compose = () => Promise.reject(new Error("its run's ledger is damaged"));
    const key = add("mail");
    await clock.settle();
    const because = "it could not be made: its run's ledger is damaged";
    expect(of(key)).toMatchObject([{ how: "failed", because }]);
    ports.compose = async (alert) => ({ alert, title: "t", text: "x" });
    await clock.advance(10_000);
    expect([of(key).length, tries.length]).toEqual([2, 1]);
    expect(of(key)[1]).toMatchObject({ how: "sent", attempt: 2 });
  });

  it("of which the ledger takes nothing is told as the end of this program", async () => {
    const { clock, add, ports, fatal } = rig();
    const broken = new Error("the ledger is damaged");
    ports.tried = () => Promise.reject(broken);
    add("mail");
    await clock.settle();
    expect(fatal).toEqual([broken]);
  });
});

describe("an end of deliveries", () => {
  it("waits for tries and for their lines, and begins no other", async () => {
    const { clock, add, answers, ports, deliveries, tries, outcomes } = rig();
    const ends: (() => void)[] = [];
    answers.set("mail", () => new Promise((done) => ends.push(() => done({ ok: true }))));
    const lines: (() => void)[] = [];
    ports.tried = () => new Promise((done) => lines.push(done));
    add("mail", { pipeline: "etl" });
    add("mail", { pipeline: "etl" });
    let isClosed = false;
    const closed = deliveries.close(60_000).then(() => (isClosed = true));
    await clock.settle();
    ends[0]!();
    await clock.settle();
    expect([isClosed, outcomes.length, tries.length]).toEqual([false, 1, 1]);
    lines[0]!();
    await closed;
    expect([tries.length, clock.timers]).toEqual([1, 0]);
  });

  it("leaves a line that found no room until then, and that is no trouble", async () => {
    const { clock, deliveries, add, ports, fatal } = rig();
    let refuse!: (error: Error) => void;
    ports.tried = () => new Promise((_, reject) => (refuse = reject));
    add("mail");
    await clock.settle();
    const closed = deliveries.close(1_000);
    await clock.advance(1_000);
    await closed;
    refuse(new Error("the ledger is closed"));
    await clock.settle();
    expect(fatal).toEqual([]);
  });

  it("takes no longer than it may, though a line is not written", async () => {
    const { clock, add, ports, deliveries } = rig();
    ports.tried = () => new Promise<void>(() => undefined);
    add("mail");
    await clock.settle();
    const isClosed: boolean[] = [];
    const closed = deliveries.close(5_000).then(() => isClosed.push(true));
    await clock.advance(4_999);
    expect(isClosed).toEqual([]);
    await clock.advance(1);
    await closed;
  });
});
