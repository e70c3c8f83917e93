/**
 * Plays a daemon: an epoch file names this process as the holder, and the test answers the
 * requests.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A request as it was left. */
export type LeftRequest = Readonly<Record<string, unknown>> & {
  readonly type: string;
  readonly by: string;
};

/** The requests that are in the folder. */
export function requestsIn(runs: string): LeftRequest[] {
  const folder = join(runs, ".orchd/requests");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as LeftRequest);
}

/** Names this process as the holder of the lock. */
export function holdEpoch(runs: string, more: Readonly<Record<string, unknown>> = {}): void {
  mkdirSync(join(runs, ".orchd/epoch"), { recursive: true });
  const stat = readFileSync("/proc/self/stat", "latin1");
  const holder = {
    epoch: 1,
    pid: process.pid,
    startTime: stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19],
    bootId: readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(),
    role: "daemon",
    since: "2026-11-23T00:00:00.000Z",
    version: "9.9.9",
    tz: "2026c",
    ready: true,
    ...more,
  };
  writeFileSync(join(runs, ".orchd/epoch/1"), JSON.stringify(holder));
}

/**
 * Holds the epoch and answers requests. `act` may write ledgers before it gives the answer; a
 * request without an answer stays.
 */
export function fakeDaemon(
  runs: string,
  act: (request: LeftRequest) => Readonly<Record<string, unknown>> | undefined,
): { readonly taken: LeftRequest[] } {
  holdEpoch(runs);
  const requests = join(runs, ".orchd/requests");
  const replies = join(runs, ".orchd/replies");
  mkdirSync(requests, { recursive: true });
  mkdirSync(replies, { recursive: true });
  const taken: LeftRequest[] = [];
  const timer = setInterval(() => {
    for (const name of readdirSync(requests).filter((one) => !one.startsWith("."))) {
      const request = JSON.parse(readFileSync(join(requests, name), "utf8")) as LeftRequest;
      const answer = act(request);
      if (answer === undefined) continue;
      taken.push(request);
      writeFileSync(join(replies, `.${name}`), JSON.stringify(answer));
      renameSync(join(replies, `.${name}`), join(replies, name));
      unlinkSync(join(requests, name));
    }
  }, 5);
  onTestFinished(() => clearInterval(timer));
  return { taken };
}
