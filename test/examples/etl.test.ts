/** The example etl: what the cache answers, also across slots, and a shell step's secret. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { hasProgram } from "../support/figures.ts";
import { outcomeOf, runsOf, type PlainRun } from "../support/ledgers.ts";
import { ended, submit } from "../support/request.ts";
import {
  edit,
  exampleRoot,
  filesWith,
  linesOfType,
  listen,
  outputsOf,
  stepsWith,
  withSecret,
} from "./example-root.ts";

const TOKEN = "a-token-that-nobody-may-see";

/** Why each step of a run ran. */
const reasons = (run: PlainRun): Record<string, string> =>
  Object.fromEntries(
    linesOfType(run, "step.started").map(({ step, because }) => [
      step,
      String(because).split("; ").at(-1),
    ]),
  );

it.runIf(hasProgram("curl"))("the ETL does again what has changed, and nothing else", async () => {
  const root = exampleRoot("etl");
  const store = await listen(() => 200);
  edit(root, "schedules/etl.yaml", "file:///tmp/orders-by-country.json", `${store.url}orders`);
  const env = withSecret(root, "store-token", TOKEN);
  // Its own slots would come between the runs of this test.
  await orchd(root.root, "pause", "etl");
  const daemon = await startDaemon({ root: root.root, env });
  const run = async (): Promise<PlainRun> => {
    const done = await ended(root.runs, await submit(root.runs, "etl"));
    expect(outcomeOf(done)).toBe("completed");
    return done;
  };

  const first = await run();
  expect(Object.keys(reasons(first)).sort()).toEqual(["complain", "extract", "load", "transform"]);
  expect(outputsOf(first, "extract")).toMatchObject({
    rejected: [{ line: 5, text: "2026-11-24,IT," }],
  });
  const table = [
    { country: "DE", orders: 3, amount: 147.74 },
    { country: "FR", orders: 2, amount: 122.1 },
  ];
  expect(store.heard).toEqual([
    { method: "PUT", path: "/orders", authorization: `Bearer ${TOKEN}`, body: expect.any(String) },
  ]);
  expect(JSON.parse(store.heard[0]!.body)).toEqual(table);
  expect(linesOf(first.path.replace(/jsonl$/, "log"))).toMatchObject([
    { step: "complain", line: expect.stringContaining("line 5 is no order: 2026-11-24,IT,") },
  ]);

  const second = await run();
  expect(reasons(second)).toEqual({});
  expect(stepsWith(second, "step.cached").sort()).toEqual([
    "complain",
    "extract",
    "load",
    "transform",
  ]);

  appendFileSync(join(root.root, "incoming/orders.csv"), "2026-11-25,DE,1.00\n");
  expect(reasons(await run())).toEqual({
    extract: 'file "../incoming/orders.csv" changed',
    transform: 'input "orders" changed',
    load: 'input "table" changed',
  });
  expect(JSON.parse(store.heard[1]!.body)).toEqual([
    { country: "DE", orders: 4, amount: 148.74 },
    table[1],
  ]);

  // Two slots of the past: only `complain` has the slot in its key.
  const hours = ["--from", "2026-11-26T00:00:00Z", "--to", "2026-11-26T02:00:00Z", "--all"];
  expect((await orchd(root.root, "backfill", "etl", ...hours)).status).toBe(0);
  const past = await awaitSight(
    root.runs,
    () => {
      const runs = runsOf(root.runs, "etl").filter(({ run }) => run.endsWith("-b1"));
      return runs.filter(outcomeOf).length === 2 ? runs : undefined;
    },
    "the ends of two runs for past slots",
  );
  for (const one of past) {
    expect(stepsWith(one, "step.cached").sort()).toEqual(["extract", "load", "transform"]);
    expect(reasons(one)).toEqual({ complain: "slot changed" });
  }

  edit(root, "schedules/etl.yaml", "expiresAfter: 1d", "expiresAfter: 1ms");
  expect(reasons(await run())).toEqual({ load: "expired" });
  expect(store.heard).toHaveLength(3);

  await daemon.end();
  expect(filesWith(root, TOKEN)).toEqual([]);
  expect(filesWith(root, "store-token")).not.toEqual([]);
});
