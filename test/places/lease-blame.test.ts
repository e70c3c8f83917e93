/**
 * A runner that ended itself, since it heard nothing of who started it, blames none of its tasks.
 */
import { expect, it } from "vitest";
import { PoolRig } from "../support/pool-rig.ts";

it("blames no task where the process that started the runner stood still", async () => {
  const leaseMs = 800;
  const rig = new PoolRig({ threads: 1, leaseMs });
  const { ended, firstLine } = rig.startShell("echo up; sleep 60");
  await firstLine;
  // This process stands still: no other timer runs, and nothing is sent.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * leaseMs);
  const { death } = await ended;
  expect(death).toMatchObject({ blameless: "lost", code: "ORCHD_PLACE" });
  expect(death!.because).toBe("the runner ended itself: it heard nothing from its worker");
});
