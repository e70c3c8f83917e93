/** What is set aside, since when and why: in the log, for `orchd status`, for those who wait. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SetAside } from "../../src/engine/set-aside.ts";
import { readSetAside } from "../../src/ledger/set-aside-file.ts";
import { silentLog } from "../../src/log.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const START = Date.UTC(2026, 10, 23, 2);
const iso = (ms: number): string => new Date(ms).toISOString();

function made() {
  const orchdDir = join(tempRoot().runs, ".orchd");
  mkdirSync(orchdDir, { recursive: true });
  const clock = new VirtualClock({ start: START });
  const said: string[] = [];
  const log = {
    ...silentLog,
    error: (_: object, text: string) => void said.push(`error ${text}`),
    info: (_: object, text: string) => void said.push(`info ${text}`),
    warn: (_: object, text: string) => void said.push(`warn ${text}`),
  };
  const aside = new SetAside({ clock, log, orchdDir });
  return { aside, clock, said, orchdDir, told: () => Object.fromEntries(readSetAside(orchdDir)) };
}

it("is said once for each reason, and told since the first", async () => {
  const { aside, clock, said, told } = made();
  expect(told()).toEqual({});
  aside.add("p", "runs", "Its folder is gone.");
  await clock.advance(1_000);
  aside.add("p", "runs", "Its folder is gone.");
  expect(said).toEqual([
    "error pipeline p is set aside: Its folder is gone. " +
      "The others go on, and it comes back by itself once that is mended.",
  ]);
  aside.add("p", "runs", "Its folder is a file.");
  expect(said).toHaveLength(2);
  expect(told()).toEqual({ p: { since: iso(START), because: "Its folder is a file." } });
  aside.add("p", "run p@1", "Run p@1 cannot go on.");
  aside.add("q", "ledger", "Its ledger is a folder.");
  expect(told()).toEqual({
    p: { since: iso(START), because: "Its folder is a file. Run p@1 cannot go on." },
    q: { since: iso(START + 1_000), because: "Its ledger is a folder." },
  });
  expect([aside.all("runs"), aside.all("ledger"), aside.all("run p@1")]).toEqual([
    ["p"],
    ["q"],
    ["p"],
  ]);
});

it("only a ledger keeps slots undecided, and its end is a period with the reason", async () => {
  const { aside, clock, said, told } = made();
  aside.add("p", "runs", "No folder.");
  expect(aside.because("p")).toBeUndefined();
  aside.remove("p", "runs");
  aside.add("p", "run p@1", "Run p@1 cannot go on.");
  aside.remove("p", "run p@1");
  expect(aside.lastPeriod("p")).toBeUndefined();
  aside.add("p", "ledger", "Its ledger is a folder.");
  expect(aside.because("p")).toBe("Its ledger is a folder.");
  await clock.advance(5_000);
  said.length = 0;
  aside.remove("p", "ledger");
  expect(said).toEqual(["info pipeline p is no longer set aside"]);
  aside.remove("p", "ledger");
  aside.remove("q", "ledger");
  expect(said).toHaveLength(1);
  expect([aside.because("p"), told(), aside.all("ledger")]).toEqual([undefined, {}, []]);
  expect(aside.lastPeriod("p")).toEqual({
    until: START + 5_000,
    because: `set aside since ${iso(START)}: Its ledger is a folder`,
  });
  // The second time is a time of its own.
  aside.add("p", "ledger", "Again.");
  await clock.advance(1_000);
  aside.remove("p", "ledger");
  expect(aside.lastPeriod("p")).toEqual({
    until: START + 6_000,
    because: `set aside since ${iso(START + 5_000)}: Again`,
  });
});

it("nothing of an earlier daemon is told once this one is up", () => {
  const { aside, clock, orchdDir, told } = made();
  aside.add("p", "runs", "No folder.");
  expect(Object.keys(told())).toEqual(["p"]);
  expect(new SetAside({ clock, log: silentLog, orchdDir }).all("runs")).toEqual([]);
  expect(told()).toEqual({});
});

it("what is left of several stays told", () => {
  const { aside, told } = made();
  aside.add("p", "ledger", "One.");
  aside.add("p", "runs", "Two.");
  aside.remove("p", "ledger");
  expect(told()).toEqual({ p: { since: iso(START), because: "Two." } });
});

it("nobody waits for work on a pipeline that is set aside, or comes to be", async () => {
  const { aside } = made();
  const never = new Promise<void>(() => undefined);
  const done: string[] = [];
  const wait = (name: string, work: Promise<void>): Promise<void> =>
    aside.unlessAside(name, work).then(() => void done.push(name));
  const turns = async (): Promise<void> => {
    for (let n = 0; n < 5; n += 1) await Promise.resolve();
  };
  let finish: () => void = () => undefined;
  const work = new Promise<void>((resolve) => (finish = resolve));
  const all = [wait("p", never), wait("p", never), wait("q", work)];
  void wait("r", never);
  await turns();
  expect(done).toEqual([]);
  aside.add("r", "runs", "No folder.");
  aside.add("p", "ledger", "Gone.");
  await Promise.all(all.slice(0, 2));
  expect(done).toEqual(["p", "p"]);
  await wait("p", never);
  finish();
  await all[2];
  expect(done).toEqual(["p", "p", "p", "q"]);
  await expect(aside.unlessAside("q", Promise.reject(new Error("no")))).rejects.toThrow("no");
});

it("where `orchd status` cannot be told, the log says so, and it is set aside still", () => {
  const { aside, said, orchdDir } = made();
  rmSync(orchdDir, { recursive: true });
  writeFileSync(orchdDir, "");
  aside.add("p", "ledger", "Gone.");
  expect(said.at(-1)).toBe("warn `orchd status` cannot be told what is set aside");
  expect(aside.because("p")).toBe("Gone.");
});
