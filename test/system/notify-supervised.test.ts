/** `orchd notify` beside a real daemon, with a real receiver. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { alertReceiver, type AlertReceiver } from "../support/alert-receiver.ts";
import { orchd, orchdProgram, startDaemon, type Daemon } from "../support/daemon.ts";
import { canMount } from "../support/figures.ts";
import { awaitEnd, endedWithTest } from "../support/process-end.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const FAILING = 'schedule: { cron: "* * * * * *" }\nsteps: { a: { run: "echo why; exit 3" } }\n';
const settingsFor = (url: string, more = ""): string =>
  `notify:\n  channels: { hook: { kind: webhook, url: "${url}" } }\n` +
  `  rules: [{ to: [hook], on: [failed, recovered, invalid, restarted]${more} }]\n`;

const until = <T>(look: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(look, { timeout: 30_000, interval: 50 });

/** Who holds the lock. A holder writes that once it has the lock: before, the file is empty. */
const notifyPid = (root: TempRoot): Promise<number> =>
  until(() => {
    const holder = readFileSync(join(root.runs, ".orchd/notify.lock"), "utf8");
    return (JSON.parse(holder) as { pid: number }).pid;
  });

const told = (daemon: Daemon): string[] => daemon.log().map(({ msg }) => String(msg));

/** A message that came twice under one key counts once: a kill may come before it is recorded. */
const kinds = ({ alerts }: AlertReceiver): string[] =>
  [...new Map(alerts.map((one) => [one.key, one])).values()].map(({ kind, of, pipeline }) =>
    [kind, of, pipeline].filter((part) => part !== null).join(" "),
  );

it(
  "tells a failure once, over a kill of its own and of the daemon, and its end",
  {
    timeout: 120_000,
  },
  async () => {
    const receiver = await alertReceiver();
    const root = tempRoot({ "orchd.yaml": settingsFor(receiver.url) });
    const daemon = await startDaemon({ root: root.root });
    await until(() => expect(told(daemon).join("\n")).toContain("orchd notify tells people"));
    writeFileSync(join(root.root, "schedules/etl.yaml"), FAILING);
    await until(() => expect(kinds(receiver)).toEqual(["failed etl"]));
    expect(receiver.alerts[0]).toMatchObject({ header: receiver.alerts[0]!.key, count: 1 });
    const first = await notifyPid(root);
    process.kill(first, "SIGKILL");
    await until(async () => expect(await notifyPid(root)).not.toBe(first));
    // It empties its lock as it ends with its daemon.
    const next = await notifyPid(root);
    process.kill(daemon.pid, "SIGKILL");
    await daemon.ended;
    await awaitEnd(next);
    const again = await startDaemon({ root: root.root });
    await until(() => expect(kinds(receiver)).toEqual(["failed etl", "restarted"]));
    writeFileSync(join(root.root, "schedules/etl.yaml"), FAILING.replace("exit 3", "exit 0"));
    await until(() =>
      expect(kinds(receiver)).toEqual(["failed etl", "restarted", "recovered failed etl"]),
    );
    const second = await orchd(root.root, "notify");
    expect(second).toMatchObject({ status: 1, stdout: "" });
    expect(second.stderr).toContain("orchd notify runs already");
    const pid = await notifyPid(root);
    await again.end();
    await awaitEnd(pid);
  },
);

it(
  "goes by other settings after SIGHUP, and by the last good ones after a wrong one",
  {
    timeout: 120_000,
  },
  async () => {
    const [one, two] = [await alertReceiver(), await alertReceiver()];
    const root = tempRoot({ "orchd.yaml": settingsFor(one.url) });
    const daemon = await startDaemon({ root: root.root });
    await until(() => expect(told(daemon).join("\n")).toContain("orchd notify tells people"));
    const file = join(root.root, "orchd.yaml");
    writeFileSync(file, settingsFor(two.url).replace("to: [hook]", "to: [hok]"));
    process.kill(daemon.pid, "SIGHUP");
    await until(() => expect(told(daemon).join("\n")).toContain("names the channel hok"));
    writeFileSync(join(root.root, "schedules/bad.yaml"), "steps: 1\n");
    await until(() => expect(kinds(one)).toEqual(["invalid bad"]));
    writeFileSync(file, settingsFor(two.url));
    process.kill(daemon.pid, "SIGHUP");
    await until(() =>
      expect(told(daemon).filter((line) => line.includes("orchd notify tells people")).length).toBe(
        2,
      ),
    );
    writeFileSync(join(root.root, "schedules/worse.yaml"), "steps: 2\n");
    await until(() => expect(kinds(two)).toEqual(["invalid worse"]));
    writeFileSync(file, "");
    const pid = await notifyPid(root);
    process.kill(daemon.pid, "SIGHUP");
    await awaitEnd(pid);
    await daemon.end();
  },
);

it("tries a channel, and shows what a run's end tells", { timeout: 120_000 }, async () => {
  const receiver = await alertReceiver();
  const quiet = ", quiet: { from: '00:00', to: '23:59' }";
  const root = tempRoot({ "orchd.yaml": settingsFor(receiver.url, quiet) });
  const { status, stdout } = await orchd(root.root, "notify", "--test", "hook");
  expect([status, stdout.split("\n")[0]]).toEqual([0, "Sent to hook: 200 OK"]);
  receiver.status = 500;
  const failed = await orchd(root.root, "notify", "--test", "hook", "--json");
  expect(failed.status).toBe(1);
  expect(failed.json()).toMatchObject([{ channel: "hook", sent: false }]);
  expect(failed.stderr).toContain("Channel hook did not take the message");
  receiver.status = 200;
  const unknown = await orchd(root.root, "notify", "--test", "hok");
  expect(unknown).toMatchObject({ status: 2 });
  expect(unknown.stderr).toContain('did you mean "hook"?');
  const daemon = await startDaemon({ root: root.root });
  const file = join(root.root, "schedules/etl.yaml");
  writeFileSync(file, 'steps: { a: { run: "echo why; exit 3" } }\n');
  await until(async () => {
    const { status: ran } = await orchd(root.root, "run", "etl", "--wait");
    expect(ran).toBe(1);
  });
  const runs = await orchd(root.root, "runs", "etl", "--json");
  const [{ run }] = runs.json<[{ run: string }]>();
  const before = receiver.alerts.length;
  const shown = await orchd(root.root, "notify", "--replay", run, "--dry-run");
  expect(shown).toMatchObject({ status: 0 });
  expect(shown.stdout).toContain("To hook");
  expect(shown.stdout).toContain("why");
  expect(receiver.alerts.length).toBe(before);
  const sent = await orchd(root.root, "notify", "--replay", run);
  expect(sent.status).toBe(0);
  expect(receiver.alerts.at(-1)).toMatchObject({ kind: "failed", pipeline: "etl", run });
  const none = await orchd(root.root, "notify", "--replay", "etl@20200101T000000Z");
  expect(none.status).toBe(3);
  await daemon.end();
});

it("says what is missing where orchd.yaml has no notify", async () => {
  const root = tempRoot({});
  const { status, stderr } = await orchd(root.root, "notify");
  expect(status).toBe(2);
  expect(stderr).toContain("orchd.yaml has no `notify`");
});

it("ends on SIGTERM while orchd.yaml is read again", { timeout: 60_000 }, async () => {
  const { url } = await alertReceiver();
  const names = Array.from({ length: 12 }, (_, nth) => `m${nth}`);
  const uses = names.map((name) => `  ${name}: { uses: ./${name}.ts }\n`).join("");
  const module = (name: string): string =>
    'import { BaseOrchestrator } from "orchd";\n' +
    `export default class ${name} extends BaseOrchestrator {}\n`;
  const beating = `  heartbeat: { url: "${url}", every: 1h }\n`;
  const root = tempRoot({
    "orchd.yaml": `${settingsFor(url)}${beating}orchestrators:\n${uses}`,
    ...Object.fromEntries(names.map((name) => [`${name}.ts`, module("Before")])),
  });
  const words = ["notify", "--json", "--root", root.root];
  const notify = endedWithTest(
    spawn(process.execPath, [orchdProgram, ...words], { stdio: ["ignore", "pipe", "ignore"] }),
  );
  await once(notify.stdout, "data");
  // Modules that are bundled again take a moment: the end comes first.
  for (const name of names) root.write(`${name}.ts`, module("After"));
  notify.kill("SIGHUP");
  notify.kill("SIGTERM");
  expect(await once(notify, "exit")).toEqual([0, null]);
});

it.runIf(canMount())("ends on SIGTERM while its disk is full", { timeout: 60_000 }, async () => {
  const receiver = await alertReceiver();
  const rules = settingsFor(receiver.url).replace("on: [", "on: [disk_full, ");
  const root = tempRoot({ "orchd.yaml": rules });
  const runs = join(root.root, "small");
  mkdirSync(runs);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", runs]);
  onTestFinished(() => void execFileSync("umount", ["-l", runs]));
  const words = ["notify", "--json", "--root", root.root, "--runs", runs];
  const notify = endedWithTest(
    spawn(process.execPath, [orchdProgram, ...words], { stdio: ["ignore", "pipe", "ignore"] }),
  );
  await once(notify.stdout, "data");
  const fill = join(runs, "fill");
  for (const size of [1 << 16, 1 << 12, 1])
    expect(() => {
      for (;;) appendFileSync(fill, Buffer.alloc(size));
    }).toThrow("ENOSPC");
  await until(() => expect(kinds(receiver)).toEqual(["disk_full"]));
  notify.kill("SIGTERM");
  expect(await once(notify, "exit")).toEqual([0, null]);
});
