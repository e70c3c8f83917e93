/** How long a worker may go on, and what it remembers of tasks. */
import { expect, it } from "vitest";
import { KnownTasks } from "../../src/worker/known-tasks.ts";
import { Lease } from "../../src/worker/lease.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

it("a lease counts from when a beat was sent, by the clock that went further", async () => {
  const clock = new VirtualClock();
  let slept = 0;
  const lease = new Lease(clock, 1_000, () => clock.monotonic() + slept);
  expect([lease.holds, lease.left]).toEqual([false, 0]);
  const sent = lease.now();
  await clock.advance(400);
  lease.extend(sent);
  expect([lease.holds, lease.left]).toEqual([true, 600]);
  const later = lease.now();
  await clock.advance(100);
  lease.extend(later);
  expect(lease.left).toBe(900);
  // The answer to an earlier beat comes late.
  lease.extend(sent);
  expect(lease.left).toBe(900);
  slept = 800;
  expect(lease.left).toBe(100);
  await clock.advance(99);
  expect(lease.holds).toBe(true);
  await clock.advance(1);
  expect([lease.holds, lease.left]).toEqual([false, 0]);
  await clock.advance(5_000);
  expect(lease.left).toBe(0);
});

it("a task is heard of once, and has begun once it was let begin", () => {
  const known = new KnownTasks();
  expect([known.hear("a"), known.hear("a"), known.hasBegun("a")]).toEqual([true, false, false]);
  known.begins("a");
  expect([known.hasBegun("a"), known.hear("a"), known.hasBegun("a")]).toEqual([true, false, true]);
  known.begins("b");
  expect([known.hear("b"), known.hasBegun("b"), known.hasBegun("c")]).toEqual([false, true, false]);
});

it("of ten thousand tasks the oldest is forgotten first", () => {
  const known = new KnownTasks();
  for (let nth = 0; nth < 10_000; nth += 1) known.hear(`${nth}`);
  expect([known.hear("0"), known.hear("9999")]).toEqual([false, false]);
  known.hear("more");
  expect([known.hear("1"), known.hear("0")]).toEqual([false, true]);
});

it("of ten thousand tasks none is forgotten where one of them begins", () => {
  const known = new KnownTasks();
  for (let nth = 0; nth < 10_000; nth += 1) known.hear(`${nth}`);
  known.begins("9999");
  expect([known.hear("0"), known.hasBegun("9999")]).toEqual([false, true]);
});
