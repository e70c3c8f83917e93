/** When the daemon says that it is at work on requests, what it says, and how long that counts. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { WorkTeller } from "../../src/engine/work-teller.ts";
import { readWorkSign, SIGN_MS } from "../../src/ledger/work-sign.ts";
import { silentLog } from "../../src/log.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function teller() {
  const orchdDir = join(tempRoot().runs, ".orchd");
  mkdirSync(orchdDir);
  const clock = new VirtualClock();
  const warned: string[] = [];
  const log = { ...silentLog, warn: (_: object, message: string) => void warned.push(message) };
  return {
    clock,
    orchdDir,
    warned,
    work: new WorkTeller(orchdDir, { clock, log }),
    sign: (laterMs = 0) => readWorkSign(orchdDir, clock.now() + laterMs),
  };
}

it("there is a sign once there was work for five seconds, and each five after", async () => {
  const { clock, work, sign } = teller();
  work.tell(3, () => ["r1"]);
  await clock.advance(SIGN_MS - 1);
  work.tell(3, () => ["r1"]);
  expect(sign()).toBeUndefined();
  await clock.advance(1);
  work.tell(3, () => ["r1"]);
  const first = { at: "2026-11-23T02:00:05.000Z", waiting: 2, underWay: ["r1"] };
  expect(sign()).toEqual(first);
  await clock.advance(SIGN_MS - 1);
  work.tell(9, () => ["r2"]);
  expect(sign()).toEqual(first);
  await clock.advance(1);
  work.tell(9, () => Array.from({ length: 1_001 }, (_, nth) => `r${nth}`).slice(0, 9));
  expect(sign()).toMatchObject({ at: "2026-11-23T02:00:10.000Z", waiting: 0 });
});

it("names a thousand requests at most", async () => {
  const { clock, work, sign } = teller();
  const many = Array.from({ length: 1_001 }, (_, nth) => `r${nth}`);
  work.tell(2_000, () => many);
  await clock.advance(SIGN_MS);
  work.tell(2_000, () => many);
  expect(sign()).toMatchObject({ waiting: 999, underWay: many.slice(0, 1_000) });
});

it("the sign goes with the work, and a break begins anew", async () => {
  const { clock, work, sign } = teller();
  work.tell(1, () => []);
  await clock.advance(SIGN_MS);
  work.tell(1, () => []);
  expect(sign()).toBeDefined();
  work.tell(0, () => []);
  expect(sign()).toBeUndefined();
  await clock.advance(SIGN_MS);
  work.tell(1, () => []);
  expect(sign()).toBeUndefined();
  await clock.advance(SIGN_MS);
  work.tell(1, () => []);
  expect(sign()).toBeDefined();
  work.end();
  expect(sign()).toBeUndefined();
});

it("a sign counts for half a minute", async () => {
  const { clock, work, sign } = teller();
  work.tell(1, () => []);
  await clock.advance(SIGN_MS);
  work.tell(1, () => []);
  expect(sign(30_000)).toBeDefined();
  expect(sign(30_001)).toBeUndefined();
  expect(sign(-30_000)).toBeDefined();
  expect(sign(-30_001)).toBeUndefined();
});

it("a sign that cannot be written is told, and stops nothing", async () => {
  const clock = new VirtualClock();
  const warned: string[] = [];
  const log = { ...silentLog, warn: (_: object, message: string) => void warned.push(message) };
  const work = new WorkTeller(join(tempRoot().root, "no"), { clock, log });
  work.tell(1, () => []);
  await clock.advance(SIGN_MS);
  work.tell(1, () => []);
  work.end();
  expect(warned).toEqual(["the sign of work on requests cannot be written"]);
});
