/** What is told of the root as a whole: daemons that were lost, the disk, damage; each once. */
import { expect, it } from "vitest";
import { emptyNotifyState } from "../../src/core/notify-state.ts";
import { silentLog } from "../../src/log.ts";
import { RootWatch, type DamagedLedger, type RootWatchPorts } from "../../src/notify/root-watch.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const at = (epoch: number): string => `2026-11-23T0${epoch}:00:00.000Z`;
const moment = (type: string, epoch: number): object => ({ type, epoch, at: at(epoch) });
const began = (epoch: number): object => moment("daemon.began", epoch);
const lost = (epoch: number): object => moment("daemon.lost", epoch);
const ended = (epoch: number): object => moment("daemon.ended", epoch);

async function rig(more: Partial<RootWatchPorts> = {}, epoch?: number) {
  const clock = new VirtualClock();
  const told: string[] = [];
  const state = { ...emptyNotifyState(), ...(epoch === undefined ? {} : { epoch }) };
  const watch = new RootWatch(state, {
    clock,
    log: silentLog,
    tell: (fact) =>
      void told.push(
        [fact.type, "full" in fact ? fact.full : "", "damaged" in fact ? fact.damaged : ""]
          .filter((part) => part !== "")
          .join(" ") + `: ${"because" in fact ? fact.because : ""}`,
      ),
    daemons: () => undefined,
    full: () => Promise.resolve(undefined),
    damaged: () => [],
    ...more,
  });
  await clock.settle();
  return { clock, told, watch };
}

const restart = (before: number, after: number): string =>
  `restarted: the daemon ended without being told to, and was last seen at ${at(before)}; ` +
  `a new one began at ${at(after)}`;

it.each<[string, object[], number | undefined, string[]]>([
  ["the first daemon", [began(1)], undefined, []],
  ["one that was told to end", [began(1), ended(1), began(2)], undefined, []],
  ["one that was lost", [began(1), lost(1), began(2)], undefined, [restart(1, 2)]],
  ["one that was lost, and is told already", [began(1), lost(1), began(2)], 2, []],
  ["one that was lost, and has no successor yet", [began(1), lost(1)], undefined, []],
  [
    "one that was lost, and one that was told to end",
    [began(1), lost(1), began(2), ended(2), began(3)],
    undefined,
    [restart(1, 2)],
  ],
  [
    "two that were lost",
    [began(1), lost(1), began(2), lost(2), began(3)],
    undefined,
    [restart(1, 2), restart(2, 3)],
  ],
])("of %s", async (_, lines, epoch, sentences) => {
  let isRead = false;
  const daemons = (): never => {
    const given = isRead ? undefined : lines;
    isRead = true;
    return given as never;
  };
  const { told, watch } = await rig({ daemons }, epoch);
  expect(told).toEqual(sentences);
  watch.close();
});

it("the same lines, read again with more, tell the new ones alone", async () => {
  const lines = [began(1), lost(1), began(2)];
  const { clock, told, watch } = await rig({ daemons: () => lines as never });
  await clock.advance(60_000);
  lines.push(lost(2), began(3));
  await clock.advance(60_000);
  expect(told).toEqual([restart(1, 2), restart(2, 3)]);
  watch.close();
  lines.push(lost(3), began(4));
  await clock.advance(600_000);
  expect(told).toHaveLength(2);
});

it("a full disk is told once, and its end once, but not while a write waits for room", async () => {
  let full: string | undefined = "the disk of /srv is full";
  const { clock, told, watch } = await rig({ full: () => Promise.resolve(full) });
  await clock.advance(600_000);
  full = undefined;
  watch.held(true);
  await clock.advance(600_000);
  expect(told).toEqual(["disk true: the disk of /srv is full"]);
  watch.held(false);
  await clock.advance(600_000);
  expect(told.slice(1)).toEqual(["disk false: there is room"]);
  watch.held(true);
  await clock.advance(600_000);
  expect(told.slice(2)).toEqual(["disk true: orchd notify found no room for its own ledger"]);
  watch.close();
});

it("damage is told once, and its end once", async () => {
  const found: DamagedLedger[] = [
    { file: "p/a.jsonl", pipeline: "p", because: "line 4", at: at(1) },
  ];
  const { clock, told, watch } = await rig({ damaged: () => found });
  await clock.advance(3_600_000);
  found.length = 0;
  await clock.advance(3_600_000);
  expect(told).toEqual([
    "damage true: line 4",
    "damage false: it was repaired, or the damaged file was removed",
  ]);
  watch.close();
});

it("what was told before this program began is over when it is", async () => {
  const firing = (variant: string) => new Map([[variant, {}]]) as never;
  const state = {
    ...emptyNotifyState(),
    daemon: new Map([
      ["disk_full", {}],
      ["damaged@daemon.jsonl", {}],
    ]) as never,
    pipelines: new Map([["p", { firing: firing("damaged@p/a.jsonl") }]]) as never,
  };
  const told: unknown[] = [];
  const clock = new VirtualClock();
  const watch = new RootWatch(state, {
    clock,
    log: silentLog,
    tell: (fact) => void told.push(fact),
    daemons: () => undefined,
    full: () => Promise.resolve(undefined),
    damaged: () => [],
  });
  await clock.settle();
  const over = { damaged: false, because: "it was repaired, or the damaged file was removed" };
  expect(told).toMatchObject([
    { type: "disk", full: false, at: "2026-11-23T02:00:00.000Z" },
    { type: "damage", file: "daemon.jsonl", ...over },
    { type: "damage", file: "p/a.jsonl", pipeline: "p", ...over },
  ]);
  watch.close();
});

it("the first look after a daemon began is a thorough one, and there is one a minute", async () => {
  const looks: boolean[] = [];
  let lines: object[] | undefined = [began(1)];
  const { clock, watch } = await rig({
    daemons: () => {
      const given = lines;
      lines = undefined;
      return given as never;
    },
    damaged: (isNew) => {
      looks.push(isNew);
      return [];
    },
  });
  expect(looks).toEqual([true]);
  await clock.advance(60_000);
  expect(looks).toEqual([true, false]);
  lines = [began(2)];
  await clock.advance(60_000);
  expect(looks).toEqual([true, false, true]);
  watch.close();
});
