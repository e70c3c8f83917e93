/**
 * A daemon that ended well leaves its ledgers so that the next one need not read them
 * (docs/adr/0073). Who reads a ledger at its start writes its last lines again: the file then has
 * another time of change.
 */
import { statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";

const PIPELINE = `schedule: "0 0 1 1 *"\nsteps: { a: { run: "true" } }\n`;

it("a start reads the ledgers that were touched, and all after a kill", async () => {
  const root = tempRoot({ "schedules/a.yaml": PIPELINE, "schedules/b.yaml": PIPELINE });
  const changed = (name: string): number =>
    statSync(join(root.runs, name, "pipeline.jsonl")).ctimeMs;
  /** What was changed by a start, of a and b. */
  const rewritten = async (): Promise<boolean[]> => {
    const before = [changed("a"), changed("b")];
    daemon = await startDaemon(root);
    return [changed("a"), changed("b")].map((time, index) => time !== before[index]);
  };
  let daemon = await startDaemon(root);
  // A change right before the end might not show later: then a ledger does not count as left.
  await expect.poll(() => Date.now() - changed("b")).toBeGreaterThan(200);
  await daemon.end();
  utimesSync(join(root.runs, "b", "pipeline.jsonl"), 1_700_000_000, 1_700_000_000);
  expect(await rewritten()).toEqual([false, true]);
  await daemon.kill();
  expect(await rewritten()).toEqual([true, true]);
});
