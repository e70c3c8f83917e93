/** `runs/.orchd/daemon.jsonl`: from when to when a daemon was up, and what `orchd why` says. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { awaitLine } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { pipelineLedger } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

it("a time without a daemon has a beginning and an end", async () => {
  const root = tempRoot({
    "schedules/p.yaml": `schedule: { cron: "* * * * * *", catchUp: none }
steps: { a: { run: "true" } }
`,
  });
  const ledger = join(root.runs, "p", "pipeline.jsonl");
  const missed = (count: number) =>
    pipelineLedger(root.runs, "p").filter(({ type }) => type === "slot.missed").length >= count;
  const why = async (): Promise<string> => {
    const line = pipelineLedger(root.runs, "p").findLast(({ type }) => type === "slot.missed")!;
    return (await orchd(root.root, "why", "p", String(line["slot"]))).stdout;
  };
  const first = await startDaemon(root);
  await awaitLine(ledger, ({ type }) => type === "slot.fired");
  await first.end();
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  const second = await startDaemon(root);
  await awaitLine(ledger, ({ type }) => type === "slot.missed");
  expect(await why()).toMatch(/no daemon was up until \S+Z.*\(the one before ended at \S+Z\)/);
  await second.kill();
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  const before = pipelineLedger(root.runs, "p").filter(({ type }) => type === "slot.missed").length;
  const third = await startDaemon(root);
  await awaitLine(ledger, () => missed(before + 1));
  expect(await why()).toMatch(/until \S+Z.*\(the one before was last seen at \S+Z, and ended/);
  await third.end();
  const lines = readFileSync(join(root.runs, ".orchd", "daemon.jsonl"), "utf8")
    .trim()
    .split("\n");
  const began = "daemon.began";
  expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual([
    began,
    "daemon.ended",
    began,
    "daemon.lost",
    began,
    "daemon.ended",
  ]);
});
