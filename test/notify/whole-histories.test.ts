/**
 * Histories of made-up inputs: each message that comes due in them, what the fold knows from time
 * to time, and each message's text, to the letter. The properties of alert-properties.test.ts say
 * what has to hold; here any other difference is seen.
 */
import { expect, it } from "vitest";
import { ALERT_KINDS, type Alert } from "../../src/core/alert.ts";
import type { NotifyDefinition } from "../../src/core/notify-settings.ts";
import { messageOf } from "../../src/notify/message-text.ts";
import type { NotifyInput } from "../../src/notify/notify-input.ts";
import { expectKept } from "../support/kept-text.ts";
import { bookOf, FoldRig } from "./fold-rig.ts";

const MINUTE = 60_000;

type Rules = NonNullable<NotifyDefinition["rules"]>;

/** Rules that need what a fold can do: groups, repeats, limits, quiet hours, tags, pipelines. */
const RULES: Readonly<Record<string, Rules>> = {
  plain: [{ to: ["ops"] }],
  patient: [
    { to: ["ops"], on: ["failed", "missed", "recovered"], after: 2, repeat: "30m" },
    { to: ["chat"], on: ["late", "queued", "overdue"], queued: "20m", late: "10m" },
    { to: ["ops"], on: ["late", "recovered"] },
    { to: ["boss"], on: ["failed"], pipelines: ["a"], after: 3 },
  ],
  gathering: [
    { to: ["ops", "chat"], group: "10m", quiet: { from: "14:00", to: "15:30" } },
    { to: ["boss"], tags: ["x"], on: ["failed", "invalid", "recovered", "disk_full"] },
    { to: ["boss"], on: ["damaged", "channel_broken", "restarted"], group: "1h" },
  ],
};
const CHANNELS = ["ops", "chat", "boss"];

/** Chance from a number: the same history each time. */
function chanceOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** The next input of a history, and how long after the one before it comes. */
function inputAfter(now: number, seq: number, chance: (below: number) => number): NotifyInput {
  const one = <T>(of: readonly T[]): T => of[chance(of.length)]!;
  const at = new Date(now).toISOString();
  const before = (minutes: number): string => new Date(now - minutes * MINUTE).toISOString();
  const pipeline = one(["a", "b", "c"]);
  const run = `${pipeline}@${one(["1", "2", "3"])}`;
  const because = one(["so", 'step "x" failed', "it is too old"]);
  const line = (type: string, members: object = {}): NotifyInput => ({
    type: "line",
    now,
    pipeline,
    file: `${pipeline}/pipeline.jsonl`,
    seq,
    line: { seq, at, type, ...members },
  });
  const ends = (status: string): NotifyInput => line("run.finished", { run, status, because });
  return one<() => NotifyInput>([
    ...["failed", "failed", "failed", "completed", "stopped", "cached"].map(
      (status) => () => ends(status),
    ),
    () => line("slot.missed", { slot: before(90), until: before(chance(90)), because }),
    () => line("slot.fired", { slot: before(1), run }),
    () => line("slot.caught_up", { slot: before(50), run, shadow: chance(2) === 0 }),
    () => line("slot.late", { run, because: "it is late" }),
    () => line("run.queued", { run, because: "another run is active" }),
    () => line("run.started", { run }),
    () => line("run.overdue", { run, because: "it takes long" }),
    () => line("pipeline.invalid", { errors: ["line 3: no", "line 4: neither"] }),
    () => line("pipeline.loaded", { tags: one([[], ["x"]]) }),
    () => line("pipeline.loaded", { notify: one<unknown>([false, { to: ["chat"], group: "5m" }]) }),
    () => line("pipeline.checkpoint", {}),
    () => line(one(["pipeline.paused", "pipeline.resumed", "pipeline.resumed"])),
    () => line("pipeline.silenced", { until: before(-chance(60)), because: "we know", by: "bob" }),
    () => line("pipeline.silenced", { because: "no more", by: "bob" }),
    () => line("pipeline.removed"),
    () => line("ledger.disturbed", { because: "somebody wrote to it", run }),
    () => ({ type: "disk", now, at, full: chance(2) === 0, because: "no room is left" }),
    () => ({ type: "restarted", now, at, epoch: 1 + chance(9), because: "its lock was free" }),
    () => {
      const file = one(["a/pipeline.jsonl", ".orchd/x.jsonl"]);
      const owner = file.startsWith("a/") ? "a" : undefined;
      const damaged = chance(3) > 0;
      return { type: "damage", now, at, file, pipeline: owner, damaged, because: "line 7" };
    },
    () => {
      const broken = chance(3) > 0;
      return { type: "channel", now, at, channel: one(CHANNELS), broken, because: "answered 500" };
    },
    () => {
      const silence = { until: before(-20), because: "known", by: "eve" };
      return { type: "pipeline", now, pipeline, tags: ["x"], paused: chance(4) === 0, silence };
    },
  ])();
}

/** Plays a history; `tell` hears what comes due. */
function play(rules: string, seed: number, tell: (text: string, due: readonly Alert[]) => void) {
  const rig = new FoldRig(RULES[rules], CHANNELS);
  const chance = chanceOf(seed);
  const stamp = (): string => new Date(rig.now).toISOString().slice(8, 19);
  for (let nth = 1; nth <= 150; nth += 1) {
    const wait = [0, 1_000, MINUTE, 7 * MINUTE, 45 * MINUTE][chance(5)]!;
    const passed = rig.pass(wait);
    if (passed.length > 0) tell(`${stamp()} time passed`, passed);
    const input = inputAfter(rig.now, nth, chance);
    const due = rig.take(input);
    const what =
      input.type === "line" ? `${input.pipeline} ${String(input.line["type"])}` : input.type;
    if (due.length > 0) tell(`${stamp()} ${what}`, due);
    if (nth % 40 === 0) {
      tell(`${stamp()} begins again with ${JSON.stringify(rig.fold.packed())}`, []);
      rig.restart(bookOf(RULES[rules], CHANNELS));
    }
  }
  tell("a day later", rig.pass(24 * 60 * MINUTE));
  tell(`it knows ${JSON.stringify(rig.fold.packed())}`, []);
}

it.each(Object.keys(RULES))("with %s rules", (rules) => {
  const texts: string[] = [];
  for (const seed of [1, 2])
    play(rules, seed, (text, due) =>
      texts.push(text, ...due.map((alert) => `  ${JSON.stringify(alert)}`)),
    );
  expectKept(`notify/history-${rules}.txt`, texts.join("\n"));
});

it("each kind of message as its text", () => {
  const shown = new Map<string, Alert>();
  for (const rules of Object.keys(RULES))
    for (const seed of [1, 2])
      play(rules, seed, (_, due) => {
        for (const alert of due) {
          const { kind, of, count, telling, others, run } = alert;
          const many = [count > 1, telling > 1, others === undefined, run === undefined];
          const key = [kind, of, ...many].join(" ");
          if (!shown.has(key)) shown.set(key, alert);
        }
      });
  const log = ["a", "b", "b"].map((step, n) => ({ step, line: `line ${n}` }));
  for (const kind of ALERT_KINDS)
    for (const nth of [0, 1, 2, 3]) {
      const alert = {
        key: "0".repeat(32),
        kind,
        ...(kind === "recovered" && { of: (["failed", "late", "queued", "missed"] as const)[nth] }),
        channel: "ops",
        ...(nth < 3 && { pipeline: "etl" }),
        ...(nth < 2 && { run: "etl@20261128T120000Z", status: "failed" }),
        because: nth === 2 ? "etl: it  had\u0007\n no room" : "it had no room",
        at: "2026-11-28T12:00:00.000Z",
        cause: "etl/pipeline.jsonl:7",
        count: nth % 2 === 0 ? 1 : 3,
        telling: 1 + (nth % 2),
      };
      shown.set(`made ${kind} ${nth}`, alert);
    }
  const texts = [...shown]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, alert], nth) => {
      const page = nth % 2 === 0 ? "https://orchd.example/base" : undefined;
      const parts = {
        page,
        test: nth % 7 === 6,
        ...(nth % 3 === 0 && { log: log.slice(nth % 2) }),
      };
      const { title, text, url } = messageOf(alert, parts);
      return `=== ${title}\n${url ?? "no page"}\n${text}`;
    });
  expect(texts.length).toBeGreaterThan(60);
  expectKept("notify/messages.txt", texts.join("\n"));
});
