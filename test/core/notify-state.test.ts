/** What `orchd notify` takes from a checkpoint, and why something was told to nobody. */
import { describe, expect, it } from "vitest";
import {
  emptyNotifyState,
  packNotifyState,
  unpackNotifyState,
  untoldOf,
  type Firing,
  type NotifyState,
  type Pending,
  type Wait,
} from "../../src/core/notify-state.ts";

const AT = "2026-11-28T02:00:00.000Z";
const FIRING: Firing = {
  kind: "failed",
  since: AT,
  cause: "etl/pipeline.jsonl:5",
  count: 2,
  at: AT,
  because: "it failed",
  told: { ops: { telling: 1, at: 7 } },
};
const WAIT: Wait = { cause: "etl/pipeline.jsonl:6", at: AT };
const ITEM = {
  kind: "failed",
  count: 1,
  pipeline: "etl",
  variant: "failed",
  cause: "etl/pipeline.jsonl:5",
  since: AT,
  at: AT,
  because: "it failed",
  telling: 1,
} as const;
const PENDING: Pending = {
  rule: "r",
  channel: "ops",
  kind: "failed",
  opened: 1,
  until: 100,
  count: 1,
  items: [ITEM],
};

const stateOf = (firing: unknown, wait: unknown, pending: unknown): NotifyState =>
  unpackNotifyState({
    pipelines: [{ name: "etl", firing: [["failed", firing]], waits: [["etl@1", wait]] }],
    daemon: [["restarted", firing]],
    pending: [pending],
  });

describe("a checkpoint", () => {
  it("says the same once it is read, and shares nothing with what it was made from", () => {
    const whole: NotifyState = {
      pipelines: new Map([
        [
          "etl",
          {
            tags: ["nightly"],
            notify: false,
            paused: true,
            silence: { until: 9, because: "we know", by: "alice" },
            firing: new Map([["failed", FIRING]]),
            waits: new Map([["etl@1", WAIT]]),
          },
        ],
        ["calm", { tags: ["x"], firing: new Map(), waits: new Map() }],
      ]),
      daemon: new Map([["restarted", { ...FIRING, kind: "restarted" }]]),
      pending: [PENDING],
      epoch: 4,
    };
    const packed = packNotifyState(whole);
    expect(JSON.parse(JSON.stringify(packed))).toEqual(packed);
    expect((packed as { pipelines: unknown[] }).pipelines[1]).toEqual({
      name: "calm",
      tags: ["x"],
    });
    const read = unpackNotifyState(packed);
    expect(read).toEqual(whole);
    read.pending[0]!.count = 99;
    expect(unpackNotifyState(packed)).toEqual(whole);
    expect(packNotifyState(emptyNotifyState())).toEqual({ pipelines: [], daemon: [], pending: [] });
  });

  it.each([
    undefined,
    null,
    [],
    "x",
    3,
    { pipelines: {}, daemon: 3, pending: "x", epoch: "4" },
    { pipelines: [3, null, [], {}, { name: 3 }], daemon: [3, [], ["x"], [3, FIRING]] },
    { pending: [null, 3, []] },
  ])("that is none is as if it had never been: %j", (given) => {
    expect(unpackNotifyState(given)).toEqual(emptyNotifyState());
  });

  const whole = stateOf(FIRING, WAIT, PENDING);
  const without = (part: object, key: string): object => ({ ...part, [key]: undefined });
  const wrong = (part: object, key: string): object => ({ ...part, [key]: { no: "value" } });

  it.each(["kind", "since", "cause", "at", "because", "count", "told"])(
    "leaves out what holds without a %s, or with a strange one",
    (key) => {
      expect(whole.pipelines.get("etl")!.firing.size).toBe(1);
      for (const bad of [
        without(FIRING, key),
        key === "told" ? { ...FIRING, told: [] } : wrong(FIRING, key),
      ]) {
        const { pipelines, daemon } = stateOf(bad, WAIT, PENDING);
        expect([pipelines.get("etl")!.firing.size, daemon.size]).toEqual([0, 0]);
        expect(pipelines.get("etl")!.waits.size).toBe(1);
      }
    },
  );

  it.each(["cause", "at"])("leaves out a wait without a %s, or with a strange one", (key) => {
    for (const bad of [without(WAIT, key), wrong(WAIT, key)]) {
      const { firing, waits } = stateOf(FIRING, bad, PENDING).pipelines.get("etl")!;
      expect([firing.size, waits.size]).toEqual([1, 0]);
    }
  });

  it.each(["rule", "channel", "kind", "opened", "until", "count", "items"])(
    "leaves out a message without a %s, or with a strange one",
    (key) => {
      expect(whole.pending).toEqual([PENDING]);
      for (const bad of [without(PENDING, key), wrong(PENDING, key)])
        expect(stateOf(FIRING, WAIT, bad).pending).toEqual([]);
    },
  );

  it("leaves out a message that says nothing", () => {
    expect(stateOf(FIRING, WAIT, { ...PENDING, items: [] }).pending).toEqual([]);
  });
});

describe("why something was told to nobody", () => {
  const told = (...channels: string[]): Firing => ({
    ...FIRING,
    told: Object.fromEntries(channels.map((name) => [name, { telling: 1, at: 7 }])),
  });
  const gathers = (more: Partial<Pending> = {}, item: object = {}): Pending => ({
    ...PENDING,
    ...more,
    items: [
      { ...ITEM, pipeline: "other" },
      { ...ITEM, ...item },
    ],
  });

  it.each<[string, Firing, Pending[], string | undefined]>([
    ["nobody has a rule for it", { ...told(), untold: undefined as never }, [], "no_rule"],
    ["it is silenced", { ...told(), untold: "silenced" }, [], "silenced"],
    ["it is out", told("ops"), [], undefined],
    ["it gathers", told("ops"), [gathers({ until: 51 })], "group"],
    ["quiet hours hold it", told("ops"), [gathers({ until: 50 })], "quiet"],
    [
      "one of two gathers still",
      told("ops", "chat"),
      [gathers({ until: 50 }), gathers({ until: 51, channel: "chat" })],
      "group",
    ],
    ["another channel has it", told("ops", "chat"), [gathers()], undefined],
    ["another pipeline's gathers", told("ops"), [gathers({}, { pipeline: "x" })], undefined],
    ["another kind's gathers", told("ops"), [gathers({}, { variant: "missed" })], undefined],
    ["a second telling gathers", told("ops"), [gathers({}, { telling: 2 })], undefined],
  ])("%s", (_what, firing, pending, why) => {
    const state = { ...emptyNotifyState(), pending };
    expect(untoldOf(state, "etl", "failed", firing, 50)).toBe(why);
  });
});
