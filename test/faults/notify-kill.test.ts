/**
 * Promise 45: `orchd notify` is killed at a system call, again and again, while pipelines fail and
 * recover. A real receiver gets every alert, and one that it gets twice has one key.
 *
 * strace counts the calls of each thread apart, so libuv gets one thread.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { PipelineEvent } from "../../src/core/event.ts";
import { PipelineLedger } from "../../src/ledger/pipeline-ledger.ts";
import { readNotifications } from "../../src/ledger/notify-reading.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { verifyRoot } from "../../src/ledger/verify.ts";
import { orchdProgram } from "../support/daemon.ts";
import { hasProgram, reached, trials } from "../support/figures.ts";
import { killPoint, type KillSpan } from "../support/kill-point.ts";
import { tempRoot } from "../support/temp-root.ts";

/** The calls of a start that finds something to tell, and of sending it. */
const SPAN: KillSpan = {
  often: 5,
  calls: ["connect", "writev", "fsync", "close", "write"],
  seldom: 12,
};
/** How long a process has for its point; then it is killed where it is. */
const LONGEST_MS = 2_500;

interface Received {
  readonly key: string;
  readonly kind: string;
  readonly pipeline: string;
}

async function receiver(): Promise<{ readonly server: Server; readonly received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      const { kind, pipeline, key } = JSON.parse(body) as Received;
      expect(request.headers["idempotency-key"]).toBe(key);
      received.push({ key, kind, pipeline });
      response.end("ok");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { server, received };
}

/** Appends the end of a run to a pipeline's ledger, which is created where there is none. */
async function tell(runs: string, pipeline: string, nth: number, status: string): Promise<void> {
  const ledger = await PipelineLedger.open(runs, pipeline, {
    clock: systemClock,
    onFatal: (error) => {
      throw error;
    },
  });
  const run = `${pipeline}@20261128T00000${nth}Z`;
  const end = { type: "run.finished", run, status, durationMs: 1, because: `it ${status}` };
  await ledger.append([end as PipelineEvent]);
  await ledger.close();
}

function startNotify(root: string, through: readonly string[] = []): ChildProcess {
  const [program, ...words] = [...through, process.execPath, orchdProgram, "notify", "--json"];
  return spawn(program, [...words, "--root", root], {
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, UV_THREADPOOL_SIZE: "1", ORCHD_LOG_LEVEL: "silent" },
    detached: true,
  });
}

/** Kills a process and what it traces. */
function kill(child: ChildProcess): void {
  try {
    process.kill(-child.pid!, "SIGKILL");
  } catch {
    // It is gone.
  }
}

describe.runIf(hasProgram("strace"))("orchd notify", () => {
  it("loses no alert where it is killed", { timeout: 3_600_000 }, async () => {
    const { server, received } = await receiver();
    const { port } = server.address() as AddressInfo;
    const { root, runs } = tempRoot({
      "orchd.yaml":
        `notify: { channels: { hook: { kind: webhook, url: "http://127.0.0.1:${port}/" } }, ` +
        "rules: [{ on: [failed, recovered], to: [hook] }] }\n",
    });
    mkdirSync(join(root, "schedules"), { recursive: true });
    const store = new RunStore(runs);
    const first = startNotify(root);
    await once(first.stdout!, "data");
    await vi.waitFor(() => expect(readNotifications(store)?.checkpoint).toBeDefined(), {
      timeout: 20_000,
    });
    kill(first);
    const kills = trials(9, 300);
    let atPoint = 0;
    const expected: string[] = [];
    for (let trial = 0; trial < kills; trial += 1) {
      const pipeline = `p${trial}`;
      await tell(runs, pipeline, 1, "failed");
      expected.push(`failed ${pipeline}`);
      const inject = `inject=${killPoint(trial, SPAN)}`;
      const calls = "trace=pwrite64,fdatasync,connect,writev,fsync,close,write";
      const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", calls];
      const child = startNotify(root, [...strace, "-e", inject]);
      const ended = once(child, "exit").then(() => true);
      await Promise.race([once(child.stdout!, "data"), ended]);
      await wait(50);
      if (trial % 2 === 0) {
        await tell(runs, pipeline, 2, "completed");
        expected.push(`recovered ${pipeline}`);
      }
      const isAtPoint = await Promise.race([ended, wait(LONGEST_MS).then(() => false)]);
      if (isAtPoint) atPoint += 1;
      kill(child);
      await ended;
    }
    const last = startNotify(root);
    onTestFinished(() => kill(last));
    const missing = (): string[] => {
      const got = new Set(received.map(({ kind, pipeline: name }) => `${kind} ${name}`));
      return expected.filter((one) => !got.has(one));
    };
    await vi.waitFor(
      () => {
        expect(missing()).toEqual([]);
        expect(readNotifications(store)?.waiting).toEqual([]);
      },
      { timeout: 60_000, interval: 200 },
    );
    const keys = new Map<string, Set<string>>();
    for (const { kind, pipeline: name, key } of received) {
      const of = `${kind} ${name}`;
      keys.set(of, (keys.get(of) ?? new Set()).add(key));
    }
    expect([...keys].filter(([, own]) => own.size !== 1)).toEqual([]);
    expect(new Set(received.map(({ key }) => key)).size).toBe(expected.length);
    const doubles = received.length - expected.length;
    expect((await verifyRoot(runs)).faults.filter(({ file }) => file.includes("notify"))).toEqual(
      [],
    );
    reached(45, "kills of orchd notify without an alert lost or under two keys", kills, kills);
    process.stdout.write(
      `promise 45: ${atPoint} of ${kills} were killed at their point; ` +
        `${expected.length} alerts, ${doubles} of them received twice\n`,
    );
  });
});
