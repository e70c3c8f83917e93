/** The programs beside the daemon that cannot start: what each says, and its exit status. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { runNotify } from "../../daemon/notify.ts";
import { exportTraces } from "../../daemon/otlp.ts";
import { runWorker } from "../../daemon/place-worker.ts";
import type { ExportOptions, NotifyOptions, WorkerOptions } from "../../src/cli/command.ts";
import { systemClock } from "../../src/clock.ts";
import { takeExportLock } from "../../src/ledger/export-position.ts";
import { takeNotifyLock } from "../../src/ledger/notify-lock.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";
import { natsPlace, secretsFolder } from "../support/worker.ts";

const NOBODY = "nats://127.0.0.1:1";

/** What a program said, and how it ended. */
async function ended<T extends object>(
  run: (options: T) => Promise<number>,
  yaml: string,
  more: Partial<T> = {},
): Promise<{ status: number; told: string[]; root: string; runs: string }> {
  const { root, runs, schedules } = tempRoot({ "orchd.yaml": yaml });
  const told: string[] = [];
  const options = {
    root,
    runs,
    schedules,
    isTerminal: false,
    tell: (sentence: string) => void told.push(sentence),
    ...more,
  };
  return { status: await run(options as unknown as T), told, root, runs };
}

describe("a worker", () => {
  const asked = { place: "farm", name: "one", labels: [], threads: undefined };
  const farm = `places: { farm: ${natsPlace(NOBODY)} }\n`;
  const worker = (yaml: string, more: Partial<WorkerOptions> = {}) =>
    ended<WorkerOptions>(runWorker, yaml, { ...asked, ...more });
  const given = (secrets: Readonly<Record<string, string>> = {}): void => {
    vi.stubEnv("CREDENTIALS_DIRECTORY", secretsFolder(secrets));
    onTestFinished(() => void vi.unstubAllEnvs());
  };

  it.each<[string, string, Partial<WorkerOptions>, number, string]>([
    ["a bad file", "places: 1\n", {}, 2, "places must be a map"],
    ["no such place", farm, { place: "frm" }, 2, 'has no place "frm"; did you mean "farm"?'],
    ["a place that is a member of all", farm, { place: "toString" }, 2, 'no place "toString"'],
    [
      "a place over SSH",
      "places: { farm: { engine: ssh, host: h } }\n",
      {},
      2,
      "The place farm is reached over SSH and needs no worker: orchd place prepare farm.",
    ],
    [
      "a bad name",
      farm,
      { name: "a.b" },
      2,
      '--name: "a.b" is no worker\'s name: 1 to 63 letters, digits, - and _.',
    ],
    ["a long name", farm, { name: "a".repeat(64) }, 2, "is no worker's name"],
    ["a name that begins with -", farm, { name: "-a" }, 2, "is no worker's name"],
    [
      "a label that means this machine",
      farm,
      { labels: ["gpu", "local"] },
      2,
      '--labels: "local" is no label: 1 to 64 letters, digits, ., - and _, ' +
        "beginning with a letter or a digit, and not local.",
    ],
    ["a bad label", farm, { labels: ["a b"] }, 2, '--labels: "a b" is no label'],
  ])("%s", async (_, yaml, more, status, sentence) => {
    given();
    const end = await worker(yaml, more);
    expect(end.status).toBe(status);
    expect(end.told).toHaveLength(1);
    expect(end.told[0]).toContain(sentence);
  });

  it("without the secrets of its place, or with a key that is none", async () => {
    given({ "queue.key": "short" });
    const short = await worker(farm);
    expect([short.status, short.told.length]).toEqual([1, 1]);
    expect(short.told[0]).toMatch(/^The secret queue\.key: .*\.$/);
    const folder = secretsFolder();
    vi.stubEnv("CREDENTIALS_DIRECTORY", folder);
    const shown = await worker(
      `places: { farm: ${natsPlace(NOBODY, ", credentials: { secret: shown }")} }\n`,
    );
    expect(shown.status).toBe(1);
    expect(shown.told[0]).toContain("The secret shown is not there");
    rmSync(join(folder, "queue.key"));
    const none = await worker(farm);
    expect(none.told[0]).toContain("The secret queue.key is not there");
  });

  it("whose folder cannot be made, or whose name another one has here", async () => {
    given();
    const { root, runs, schedules } = tempRoot({ "orchd.yaml": farm });
    const told: string[] = [];
    const tell = (sentence: string): void => void told.push(sentence);
    const options = { root, runs, schedules, isTerminal: false, tell, ...asked };
    const serves = (): void => expect.unreachable();
    const folder = join(new RunStore(runs).orchdDir, "workers/farm/one");
    mkdirSync(join(folder, ".."), { recursive: true });
    writeFileSync(folder, "");
    expect(await runWorker({ ...options, serves })).toBe(1);
    expect(told.pop()).toMatch(
      /^\/.*one cannot be made: .*\. Give a folder that it may write: --runs DIR\.$/,
    );
    rmSync(folder);
    mkdirSync(folder);
    const machine = existsSync("/etc/machine-id")
      ? readFileSync("/etc/machine-id", "utf8").trim()
      : hostname();
    const home = createHash("sha256").update(`${machine}\n${folder}`).digest("hex").slice(0, 16);
    const other = createServer().listen({ path: `\0orchd-worker-${home}` });
    await once(other, "listening");
    onTestFinished(() => void other.close());
    // By whatever path it comes to the folder.
    const link = join(tempRoot().root, "link");
    symlinkSync(runs, link);
    for (const path of [runs, link]) {
      expect(await runWorker({ ...options, runs: path, serves })).toBe(1);
      expect(told.splice(0)).toEqual([
        "A worker one serves farm already on this machine: give this one another --name.",
      ]);
    }
  });
});

describe("orchd notify", () => {
  const notify = "notify: { channels: { it: { kind: command, run: [cat] } }, rules: [] }\n";
  const tells = (yaml: string, more: Partial<NotifyOptions> = {}) =>
    ended<NotifyOptions>(runNotify, yaml, more);

  it.each([
    ["a bad file", "notify: 1\n", "notify must be a map"],
    [
      "nobody to tell",
      "",
      "orchd.yaml has no `notify`, so there is nobody to tell: give it channels and rules, as " +
        "docs/alerts.md shows.",
    ],
  ])("%s", async (_, yaml, sentence) => {
    const { status, told } = await tells(yaml);
    expect(status).toBe(2);
    expect(told.join("\n")).toContain(sentence);
  });

  it("a channel to try that is not there, and a run to tell again that is not", async () => {
    const none = await tells(notify, { test: "its" });
    expect(none.status).toBe(2);
    expect(none.told[0]).toMatch(/no channel "its"; did you mean "it"\?/);
    for (const replay of ["p@20261123T020000Z", "nothing"]) {
      const { status, told } = await tells(notify, { replay });
      expect([status, told]).toEqual([
        3,
        [`There is no run "${replay}"; \`orchd runs\` lists them.`],
      ]);
    }
  });

  it("a runs folder that cannot be one, or another that tells already", async () => {
    const { root, runs, schedules } = tempRoot({ "orchd.yaml": notify });
    const store = new RunStore(runs);
    const told: string[] = [];
    const tell = (sentence: string): void => void told.push(sentence);
    const options = { root, runs, schedules, isTerminal: false, tell } as NotifyOptions;
    writeFileSync(store.orchdDir, "");
    expect(await runNotify(options)).toBe(1);
    rmSync(store.orchdDir);
    mkdirSync(store.orchdDir);
    const taken = takeNotifyLock(store, { clock: systemClock, version: "1" });
    if (!taken.ok) throw new Error(taken.because);
    expect(await runNotify(options)).toBe(1);
    taken.lock.release();
    expect(told).toHaveLength(2);
    expect(told[0]).toContain(store.orchdDir);
    expect(told[1]).toContain(String(process.pid));
  });

  it("an unknown level of its log", async () => {
    vi.stubEnv("ORCHD_LOG_LEVEL", "loud");
    onTestFinished(() => void vi.unstubAllEnvs());
    for (const end of [await tells(notify), await ended<WorkerOptions>(runWorker, "")]) {
      expect(end.status).toBe(2);
      expect(end.told[0]).toContain("loud");
    }
  });
});

describe("orchd export otlp", () => {
  it("a collector that is none, a secret that is not there, and two at once", async () => {
    const exports = (yaml: string, more: Partial<ExportOptions> = {}) =>
      ended<ExportOptions>(exportTraces, yaml, { once: true, ...more });
    const none = await exports("", { endpoint: "ftp://x" });
    expect([none.status, none.told.length]).toEqual([2, 1]);
    const yaml = "telemetry: { endpoint: 'http://127.0.0.1:1', headers: { a: { secret: k } } }\n";
    const secret = await exports(yaml);
    expect(secret.status).toBe(2);
    expect(secret.told[0]).toContain("The secret k is not there");
    // Headers belong to the collector that they were written for: here no secret is read.
    const { root, runs, schedules } = tempRoot({ "orchd.yaml": yaml });
    const store = new RunStore(runs);
    mkdirSync(store.orchdDir, { recursive: true });
    const taken = takeExportLock(store, { clock: systemClock, version: "1" });
    if (!taken.ok) throw new Error(taken.because);
    const told: string[] = [];
    const status = await exportTraces({
      root,
      runs,
      schedules,
      endpoint: "http://127.0.0.1:2",
      from: undefined,
      once: true,
      lines: undefined,
      begins: () => expect.unreachable(),
      ends: () => expect.unreachable(),
      tell: (sentence) => void told.push(sentence),
    });
    taken.lock.release();
    expect([status, told.length]).toEqual([1, 1]);
    expect(told[0]).toContain(String(process.pid));
  });
});
