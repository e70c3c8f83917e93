/** Kill -9 of the page and of the daemon in turn: no line is lost or twice for who streams. */
import { spawn, type ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { orchdProgram, startDaemon } from "../support/daemon.ts";
import { trials } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";
import { openEvents, type EventClient } from "./event-client.ts";

const ROUNDS = trials(2, 40);
const TOKEN = "a-token-of-this-test-alone";

interface Page {
  readonly child: ChildProcess;
  readonly port: number;
}

async function startPage(root: string, port: number): Promise<Page> {
  const words = [orchdProgram, "page", "--listen", `127.0.0.1:${port}`, "--json"];
  const child = spawn(process.execPath, words, {
    cwd: root,
    env: { ...process.env, ORCHD_ROOT: root, ORCHD_PAGE_TOKEN: TOKEN },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [line] = (
    await new Promise<string>((resolve, reject) => {
      let text = "";
      child.stdout.on("data", (part) => {
        text += String(part);
        if (text.includes("\n")) resolve(text);
      });
      child.on("exit", (code) => reject(new Error(`the page ended with ${code}`)));
    })
  ).split("\n");
  const { url } = JSON.parse(line!) as { url: string };
  return { child, port: Number(new URL(url).port) };
}

/** Every ledger below a runs folder: its path there, and its lines. */
function ledgers(runs: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const entry of readdirSync(runs, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(runs, path);
    if (!name.endsWith(".jsonl") || name.startsWith(".orchd")) continue;
    found.set(name, readFileSync(path, "utf8").split("\n").slice(0, -1));
  }
  return found;
}

it(`${ROUNDS} kills of each lose a streaming client no line, and give it none twice`, async () => {
  const { root, runs } = tempRoot({
    "schedules/tick.yaml":
      "schedule: { intervalSeconds: 1, startTime: 2026-01-01T00:00:00Z, catchUp: all }\n" +
      "overlap: allow\nmaxActiveRuns: 20\n" +
      "steps:\n  a: { run: 'true' }\n  b: { run: 'true', after: [a] }\n",
  });
  let daemon = await startDaemon({ root });
  let page = await startPage(root, 0);
  const taken: { readonly file: string; readonly data: string }[] = [];
  let last = "";
  let stream: EventClient | undefined;
  let isOver = false;
  /** As an EventSource does: comes back with the last id, as often as it takes. */
  const following = (async () => {
    while (!isOver) {
      try {
        stream = await openEvents(
          { port: page.port },
          `/api/v1/events${last === "" ? "?from=start" : ""}`,
          {
            authorization: `Bearer ${TOKEN}`,
            ...(last === "" ? {} : { "last-event-id": last }),
          },
        );
        expect(stream.status).toBe(200);
        await stream.ended;
        last = stream.lastId || last;
        for (const { id, data } of stream.events)
          taken.push({ file: id.slice(0, id.lastIndexOf(":", id.indexOf(";"))), data });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === undefined) throw error;
        await pause(50);
      }
    }
  })();
  for (let round = 0; round < ROUNDS; round += 1) {
    await pause(400 + ((round * 137) % 900));
    page.child.kill("SIGKILL");
    await new Promise((gone) => page.child.once("exit", gone));
    await pause(round % 2 === 0 ? 50 : 600);
    page = await startPage(root, page.port);
    await pause(300 + ((round * 211) % 700));
    await daemon.kill();
    daemon = await startDaemon({ root });
  }
  await pause(1_500);
  await daemon.end("SIGTERM");
  const written = ledgers(runs);
  const all = [...written.values()].reduce((sum, lines) => sum + lines.length, 0);
  await expect
    .poll(() => taken.length + (stream?.events.length ?? 0), { timeout: 15_000 })
    .toBeGreaterThanOrEqual(all);
  await pause(300);
  isOver = true;
  page.child.kill("SIGTERM");
  await following;
  const got = new Map<string, string[]>();
  for (const { file, data } of taken) got.set(file, [...(got.get(file) ?? []), data]);
  expect(got.size).toBeGreaterThan(3);
  // What the pipeline's ledger says of a run whose lines came twice tells how that came about.
  const twice = [...got].filter(([, lines]) => new Set(lines).size < lines.length);
  const told = twice.map(([file]) => {
    const run = file.slice(file.lastIndexOf("/") + 1, -".jsonl".length);
    return written.get("tick/pipeline.jsonl")!.filter((line) => line.includes(`"${run}"`));
  });
  expect(told).toEqual([]);
  expect(Object.fromEntries(got)).toEqual(Object.fromEntries(written));
}, 600_000);
