/**
 * Promise 45: the heartbeat of a real `orchd notify` stops at once where the daemon is dead, and
 * within two minutes where it is stopped, however seldom its pipelines are due.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { expect, it, onTestFinished, vi } from "vitest";
import { alertReceiver } from "../support/alert-receiver.ts";
import { orchdProgram, startDaemon } from "../support/daemon.ts";
import { fullFigures, reached } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";

const HOURLY = 'schedule: { cron: "0 * * * *" }\nsteps: { a: { run: "true" } }\n';

async function beating() {
  const receiver = await alertReceiver();
  const root = tempRoot({ "schedules/hourly.yaml": HOURLY });
  const daemon = await startDaemon({ root: root.root });
  writeFileSync(
    `${root.root}/orchd.yaml`,
    `notify: { heartbeat: { url: "${receiver.url}", every: 1s } }\n`,
  );
  const notify = spawn(process.execPath, [orchdProgram, "notify", "--root", root.root], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  onTestFinished(() => void notify.kill("SIGKILL"));
  await vi.waitFor(() => expect(receiver.beats.length).toBeGreaterThan(2), { timeout: 30_000 });
  return { receiver, daemon };
}

it("stops at once where the daemon is dead", { timeout: 60_000 }, async () => {
  const { receiver, daemon } = await beating();
  await daemon.kill();
  await wait(1_500);
  const count = receiver.beats.length;
  await wait(3_500);
  expect(receiver.beats.length).toBe(count);
  reached(45, "heartbeats that stop at once with the daemon", 1, 1);
});

it.runIf(fullFigures)("stops where the daemon is stopped", { timeout: 240_000 }, async () => {
  const { receiver, daemon } = await beating();
  process.kill(daemon.pid, "SIGSTOP");
  const stoppedAt = Date.now();
  await wait(75_000);
  const last = receiver.beats.at(-1)!;
  await wait(5_000);
  process.kill(daemon.pid, "SIGCONT");
  expect(receiver.beats.at(-1)).toBe(last);
  expect(last - stoppedAt).toBeLessThan(120_000);
  await vi.waitFor(() => expect(receiver.beats.at(-1)).toBeGreaterThan(last), { timeout: 30_000 });
  reached(45, `heartbeats that stop with a stopped daemon (${last - stoppedAt} ms)`, 1, 1);
});
