/** Ends that a thread tells by its ring, in a real runner: none is lost, late, or too early. */
import { expect, it } from "vitest";
import { PoolRig, type Started, type TaskParts } from "../support/pool-rig.ts";

const CODE = `export default ({ params: { n, does } }) => {
  if (does === "block") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  if (does === "exit") process.exit(3);
  if (does === "print") console.log("step " + n);
  return n;
};`;

type Params = NonNullable<TaskParts["params"]>;

/** A runner with one thread, which knows that steps of this code are brief. */
async function briefRig(): Promise<(params: Params) => Started> {
  const rig = new PoolRig({ threads: 1 });
  rig.module("brief", CODE);
  const start = (params: Params): Started => rig.start("brief", { params });
  // The first imports the code. The others show that it is brief.
  for (let n = 0; n < 20; n += 1) await start({ n }).ended;
  return start;
}

const results = (all: readonly Started[]): Promise<unknown[]> =>
  Promise.all(all.map(async ({ ended }) => (await ended).result));
const ok = (...values: number[]): unknown[] => values.map((value) => ({ ok: true, value }));

it("are told while the step behind them blocks the thread", async () => {
  const rig = new PoolRig({ threads: 1 });
  rig.module("brief", CODE);
  for (let n = 0; n < 20; n += 1) await rig.start("brief", { params: { n } }).ended;
  const before = [1, 2, 3].map((n) => rig.start("brief", { params: { n } }));
  const blocks = rig.start("brief", { params: { does: "block" } });
  expect(await results(before)).toEqual(ok(1, 2, 3));
  rig.pool.stop(blocks.id, "force", "enough");
  expect(await results([blocks])).toMatchObject([{ ok: false, outcome: "stopped" }]);
});

it("are told though the step behind them ends the thread", async () => {
  const start = await briefRig();
  const before = [1, 2, 3].map((n) => start({ n }));
  const exits = start({ does: "exit" });
  expect(await results(before)).toEqual(ok(1, 2, 3));
  expect(await results([exits])).toMatchObject([
    { ok: false, error: { code: "ORCHD_WORKER_EXIT" } },
  ]);
});

it("do not come before what the step printed", async () => {
  const start = await briefRig();
  const numbers = Array.from({ length: 60 }, (_, n) => n);
  const all = numbers.map((n) => start(n % 3 === 0 ? { n, does: "print" } : { n }));
  expect(await results(all)).toEqual(ok(...numbers));
  for (const [n, { ended }] of all.entries()) {
    const lines = (await ended).lines.map(({ line }) => line);
    expect(lines).toEqual(n % 3 === 0 ? [`step ${n}`] : []);
  }
});
