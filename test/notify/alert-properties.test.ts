/** Histories by chance: the fold against a naive one, crashes at any checkpoint, and groups. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import { resolveNotify, type NotifyDefinition } from "../../src/core/notify-settings.ts";
import { AlertFold } from "../../src/notify/alert-fold.ts";
import type { NotifyInput } from "../../src/notify/notify-input.ts";
import { bookOf, START } from "./fold-rig.ts";
import { NaiveAlerts, type Happening } from "./naive-alerts.ts";

const CHANNELS = ["ops", "chat", "boss"];
const MINUTE = 60_000;
const kinds = fc.subarray(["failed", "invalid", "overdue", "recovered"] as const, { minLength: 1 });
const to = fc.subarray(CHANNELS, { minLength: 1 });
const after = fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined });
const repeat = fc.option(fc.constantFrom("10m", "1h"), { nil: undefined });

type Rules = NonNullable<NotifyDefinition["rules"]>;
const clean = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
const rule = fc
  .record({
    on: kinds,
    to,
    after,
    repeat,
    tags: fc.option(fc.constant<string[]>(["x"]), { nil: undefined }),
    pipelines: fc.option(fc.constant<string[]>(["a"]), { nil: undefined }),
  })
  .map((one): Rules[number] => clean(one));
const rules: fc.Arbitrary<Rules> = fc.array(rule, { minLength: 1, maxLength: 4 });
const own = fc.oneof(
  fc.constant(undefined),
  fc.constant(false),
  fc.record({ on: kinds, to, after, repeat }).map(clean),
);

interface Event {
  /** Milliseconds since the one before. */
  readonly wait: number;
  readonly happening: Happening;
}

const run = fc.constantFrom("r1", "r2");
const members: fc.Arbitrary<[string, Record<string, unknown>]> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({ run, status: fc.constantFrom("failed", "completed") })
      .map((of): [string, Record<string, unknown>] => ["run.finished", { ...of, because: "so" }]),
  },
  fc.constant<[string, Record<string, unknown>]>([
    "run.finished",
    { run: "r1", status: "stopped" },
  ]),
  fc.constant<[string, Record<string, unknown>]>(["pipeline.invalid", { errors: ["bad"] }]),
  fc
    .record({ tags: fc.constantFrom([], ["x"]), notify: own })
    .map((of): [string, Record<string, unknown>] => ["pipeline.loaded", clean(of)]),
  run.map((one): [string, Record<string, unknown>] => [
    "run.overdue",
    { run: one, because: "long" },
  ]),
  fc
    .constantFrom("pipeline.paused", "pipeline.resumed", "pipeline.removed", "run.started")
    .map((type): [string, Record<string, unknown>] => [type, {}]),
  fc
    .constantFrom(null, 5, 90)
    .map((end): [string, Record<string, unknown>] => [
      "pipeline.silenced",
      { until: end === null ? null : end },
    ]),
);
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Happening>({ what: "tick" }) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.constantFrom("a", "b", "c"), members)
      .map(([pipeline, [type, of]]): Happening => ({ what: "line", pipeline, type, members: of })),
  },
);
const events = fc.array(
  fc.record({ wait: fc.constantFrom(0, 1_000, MINUTE, 20 * MINUTE, 3 * 60 * MINUTE), happening }),
  { maxLength: 60 },
);

/** The inputs of events, with times and numbers of lines. Minutes of silences become times. */
function inputsOf(list: readonly Event[]): { input: NotifyInput; happening: Happening }[] {
  const seqs = new Map<string, number>();
  let now = START;
  return list.map(({ wait, happening: one }) => {
    now += wait;
    if (one.what === "tick") return { input: { type: "tick", now }, happening: one };
    const { pipeline, type } = one;
    const seq = (seqs.get(pipeline) ?? 0) + 1;
    seqs.set(pipeline, seq);
    const { until } = one.members;
    const said =
      typeof until === "number"
        ? { ...one.members, until: new Date(now + until * MINUTE).toISOString() }
        : one.members;
    const line = { seq, at: new Date(now).toISOString(), type, ...said };
    const file = `${pipeline}/pipeline.jsonl`;
    return {
      input: { type: "line", now, pipeline, file, seq, line },
      happening: { ...one, members: said },
    };
  });
}

const toldText = ({ kind, of, pipeline, channel, cause, telling }: Alert): string =>
  [kind, of ?? "", pipeline, channel, cause, telling].join("|");

const packedOf = (fold: AlertFold): unknown => JSON.parse(JSON.stringify(fold.packed())) as unknown;

describe("any history", () => {
  it("is told as a naive second implementation tells it, whatever restarts come between", () => {
    fc.assert(
      fc.property(rules, events, fc.integer({ min: 2, max: 9 }), (written, list, often) => {
        const { rules: resolved } = resolveNotify({ rules: written }, "UTC");
        const naive = new NaiveAlerts(resolved, CHANNELS);
        let fold = new AlertFold({ book: bookOf(written, CHANNELS) });
        const told: Alert[] = [];
        for (const [index, { input, happening: one }] of inputsOf(list).entries()) {
          if (index % often === 0)
            fold = new AlertFold({ packed: packedOf(fold), book: bookOf(written, CHANNELS) });
          naive.take(one, input.now);
          told.push(...fold.take(input).due);
          expect(told.map(toldText).sort()).toEqual([...naive.told].sort());
        }
        expect(new Set(told.map(({ key }) => key)).size).toBe(told.length);
      }),
      { numRuns: 1_000 },
    );
  }, 120_000);

  it("loses nothing and tells nothing under two keys when it crashes anywhere", () => {
    fc.assert(
      fc.property(
        rules,
        events,
        fc.array(fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 8 }), fc.nat({ max: 600 }))),
        fc.boolean(),
        (written, list, crashes, groups) => {
          const grouped = groups ? written.map((one) => ({ ...one, group: "5m" })) : written;
          const book = bookOf(grouped, CHANNELS);
          const plain = inputsOf(list);
          let fold = new AlertFold({ book });
          let saved = { packed: packedOf(fold), at: 0 };
          let late = 0;
          const durable: Alert[] = [];
          const dropped = new Set<string>();
          const accepted: NotifyInput[] = [];
          let undurable: { due: Alert[]; inputs: NotifyInput[] } = { due: [], inputs: [] };
          const plan = new Map(crashes.map(([at, stretch, later]) => [at, { stretch, later }]));
          for (let at = 0; at < plain.length; at += 1) {
            const input = { ...plain[at]!.input, now: plain[at]!.input.now + late };
            undurable.inputs.push(input);
            undurable.due.push(...fold.take(input).due);
            const crash = plan.get(at);
            if (crash !== undefined) {
              plan.delete(at);
              for (const { key } of undurable.due) dropped.add(key);
              fold = new AlertFold({ packed: saved.packed, book });
              late += crash.later * 1_000;
              at = saved.at - 1;
            } else if (at % 3 === 0) {
              durable.push(...undurable.due);
              accepted.push(...undurable.inputs);
              saved = { packed: packedOf(fold), at: at + 1 };
            } else continue;
            undurable = { due: [], inputs: [] };
          }
          durable.push(...undurable.due);
          accepted.push(...undurable.inputs);
          const calm = new AlertFold({ book });
          const expected = accepted.flatMap((input) => [...calm.take(input).due]);
          expect(durable).toEqual(expected);
          const keys = durable.map(({ key }) => key);
          expect(new Set(keys).size).toBe(keys.length);
          const isPlain = !groups && written.every((one) => one.repeat === undefined);
          const hasSilence = list.some(
            (one) => one.happening.what === "line" && one.happening.type === "pipeline.silenced",
          );
          // Whether a message gathers, is repeated or comes after a silence depends on when.
          if (isPlain && !hasSilence) for (const key of dropped) expect(keys).toContain(key);
        },
      ),
      { numRuns: 1_000 },
    );
  }, 120_000);

  it("is told whole in groups and after quiet hours", () => {
    const quiet = { from: "12:30", to: "15:00" };
    fc.assert(
      fc.property(rules, events, fc.constantFrom("5m", "2h", undefined), (written, list, group) => {
        const once = written.map((one) => clean({ ...one, repeat: undefined }));
        const gathers = once.map((one) => clean({ ...one, group, quiet }));
        const inputs = inputsOf(list).map(({ input }) => input);
        // After all of it, and not in quiet hours.
        const end = Date.UTC(2027, 0, 1, 16);
        const toldBy = (of: Rules): Map<string, number> => {
          const fold = new AlertFold({ book: bookOf(of, CHANNELS) });
          const sums = new Map<string, number>();
          // What a silence held back gathers only then.
          const ends = [0, 3, 6].map((late): NotifyInput => ({
            type: "tick",
            now: end + late * 60 * MINUTE,
          }));
          const all: NotifyInput[] = [...inputs, ...ends];
          for (const alert of all.flatMap((input) => [...fold.take(input).due]))
            for (const item of [alert, ...(alert.others ?? [])]) {
              const key = [alert.channel, alert.kind, alert.of, item.pipeline].join("|");
              sums.set(key, (sums.get(key) ?? 0) + 1);
            }
          expect(fold.state.pending).toEqual([]);
          return sums;
        };
        const alone = toldBy(once);
        const together = toldBy(gathers);
        expect([...together.keys()].sort()).toEqual([...alone.keys()].sort());
        for (const [key, sum] of together) expect(sum).toBeLessThanOrEqual(alone.get(key)!);
      }),
      { numRuns: 500 },
    );
  }, 120_000);
});
