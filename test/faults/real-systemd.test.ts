/**
 * The unit under a real systemd: pid 1 of namespaces of its own, over a throw-away copy of this
 * machine's root, with the package as `npm pack` makes it (real-systemd.sh). It needs root and
 * FAULTS=1; where it cannot run, the reason is printed.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { canMount, fullFigures, hasProgram } from "../support/figures.ts";
import { processesWith } from "../support/ledgers.ts";
import { projectRoot, tempRoot } from "../support/temp-root.ts";

const WATCHDOG_S = 6;
const DROP_IN = `[Service]
ExecStart=
ExecStart=/usr/lib/orchd/node /usr/lib/orchd/node_modules/.bin/orchd start \\
  --root /var/lib/orchd --schedules /etc/orchd/schedules
WatchdogSec=${WATCHDOG_S}
`;
const ORCHD = "/usr/lib/orchd/node /usr/lib/orchd/node_modules/.bin/orchd";
const PAGE_DROP_IN = `[Service]
ExecStart=
ExecStart=${ORCHD} page --root /var/lib/orchd --schedules /etc/orchd/schedules \
  $ORCHD_PAGE_OPTIONS
Environment="ORCHD_PAGE_OPTIONS=--listen unix:/run/orchd-page/page.sock --allow-requests"
`;
const NOTIFY_DROP_IN = `[Service]
ExecStart=
ExecStart=${ORCHD} notify --root /var/lib/orchd --schedules /etc/orchd/schedules
LoadCredential=WORD:/etc/hostname
`;
const NOTIFY_YAML = `notify:
  channels: { me: { kind: command, run: [cat], env: { WORD: { secret: WORD } } } }
  rules: [{ to: [me] }]
`;
const SECRETS = "/etc/orchd/secrets";
const CREDENTIALS = `[Service]
LoadCredential=nats.login:${SECRETS}/nats.login
LoadCredential=queue.key:${SECRETS}/queue.key
`;
const WORKER_DROP_IN = `${CREDENTIALS}ExecStart=
ExecStart=${ORCHD} worker --root /etc/orchd --runs /var/cache/orchd-worker $ORCHD_WORKER_OPTIONS
Environment="ORCHD_WORKER_OPTIONS=--place farm --labels gpu"
`;
const FARM_YAML = `places:
  farm:
    engine: nats
    url: nats://127.0.0.1:4222
    credentials: { secret: nats.login }
    key: { secret: queue.key }
`;
const NATS_CONF = `listen: 127.0.0.1:4222
jetstream { store_dir: /tmp/nats }
authorization { users: [{ user: worker, password: word }] }
`;
/** Who it is, and whether it may write where a daemon of this machine has its ledgers. */
const FAR_YAML = `enableCache: false
steps:
  far:
    on: gpu
    run: |
      sleep 2
      touch /var/lib/orchd/x 2>/dev/null && exit 1
      printf '"%s"' "$(id -un)" > "$ORCHD_OUTPUT"
`;
const TARGET = "[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\nAllowIsolate=yes\n";

function whyNot(): string | undefined {
  if (!fullFigures) return "it is for FAULTS=1";
  if (!canMount()) return "this process may not mount";
  if (!existsSync("/lib/systemd/systemd")) return "there is no /lib/systemd/systemd";
  if (!hasProgram("nsenter") || !hasProgram("pivot_root"))
    return "nsenter or pivot_root is missing";
  return undefined;
}

const reason = whyNot();
if (reason !== undefined) process.stdout.write(`a real systemd is not tried: ${reason}\n`);

it.runIf(reason === undefined)(
  "the unit comes up, is restarted when killed or stuck, and drains",
  { timeout: 300_000 },
  async () => {
    const { root: folder } = tempRoot();
    const files = join(folder, "files");
    const units = join(files, "etc/systemd/system");
    const own = join(files, "usr/lib/orchd");
    for (const path of [
      join(units, "orchd.service.d"),
      join(units, "orchd-page.service.d"),
      join(units, "orchd-notify.service.d"),
      join(units, "orchd-worker.service.d"),
      join(files, SECRETS),
      join(files, "etc/orchd/schedules"),
      join(files, "usr/lib/sysusers.d"),
      own,
    ])
      mkdirSync(path, { recursive: true });
    copyFileSync(join(projectRoot, "systemd/orchd.service"), join(units, "orchd.service"));
    copyFileSync(
      join(projectRoot, "systemd/orchd.sysusers"),
      join(files, "usr/lib/sysusers.d/orchd.conf"),
    );
    mkdirSync(join(files, "usr/lib/tmpfiles.d"));
    copyFileSync(
      join(projectRoot, "systemd/orchd.tmpfiles"),
      join(files, "usr/lib/tmpfiles.d/orchd.conf"),
    );
    writeFileSync(join(units, "orchd.service.d/test.conf"), DROP_IN);
    copyFileSync(
      join(projectRoot, "systemd/orchd-page.service"),
      join(units, "orchd-page.service"),
    );
    writeFileSync(join(units, "orchd-page.service.d/test.conf"), PAGE_DROP_IN);
    copyFileSync(
      join(projectRoot, "systemd/orchd-notify.service"),
      join(units, "orchd-notify.service"),
    );
    writeFileSync(join(units, "orchd-notify.service.d/test.conf"), NOTIFY_DROP_IN);
    writeFileSync(join(files, "etc/orchd/orchd.yaml"), NOTIFY_YAML);
    copyFileSync(
      join(projectRoot, "systemd/orchd-worker.service"),
      join(units, "orchd-worker.service"),
    );
    writeFileSync(join(units, "orchd-worker.service.d/test.conf"), WORKER_DROP_IN);
    writeFileSync(join(units, "orchd.service.d/secrets.conf"), CREDENTIALS);
    writeFileSync(join(files, SECRETS, "nats.login"), "worker:word\n", { mode: 0o600 });
    writeFileSync(join(files, SECRETS, "queue.key"), `${randomBytes(32).toString("base64")}\n`, {
      mode: 0o600,
    });
    writeFileSync(join(files, "etc/nats-test.conf"), NATS_CONF);
    writeFileSync(join(files, "etc/orchd/farm.yaml"), FARM_YAML);
    writeFileSync(join(files, "etc/orchd/far.yaml"), FAR_YAML);
    writeFileSync(join(units, "orchd-test.target"), TARGET);
    writeFileSync(
      join(files, "etc/orchd/schedules/p.yaml"),
      'schedule: { cron: "* * * * * *" }\noverlap: allow\nsteps: { a: { run: sleep 2 } }\n',
    );
    cpSync(process.execPath, join(own, "node"), { dereference: true });
    const npm = (cwd: string, ...words: string[]) =>
      execFileSync("npm", [...words, "--no-audit", "--no-fund", "--loglevel=error"], {
        cwd,
        encoding: "utf8",
      });
    const packed = npm(
      projectRoot,
      "pack",
      "--silent",
      "--ignore-scripts",
      "--pack-destination",
      folder,
    ).trim();
    npm(own, "install", "--prefer-offline", join(folder, packed));

    const outer = spawn("bash", [join(projectRoot, "test/faults/real-systemd.sh"), folder], {
      stdio: "ignore",
    });
    onTestFinished(async () => {
      outer.kill("SIGKILL");
      await removeCgroups(`orchd-test-${outer.pid!}`);
    });
    const first = await awaitSight(folder, () => pidOfSystemd(outer.pid!), "systemd as pid 1");
    const inside = (...words: string[]) =>
      spawnSync(
        "nsenter",
        [
          "-t",
          String(first),
          "-m",
          "-u",
          "-i",
          "-n",
          "-p",
          "-C",
          "-r",
          "-w",
          "env",
          "-i",
          "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
          ...words,
        ],
        { encoding: "utf8", timeout: 60_000 },
      );
    const shown = (): Record<string, string> =>
      Object.fromEntries(
        inside(
          "systemctl",
          "show",
          "orchd",
          "-p",
          "MainPID,NRestarts,ActiveState,SubState,StatusText,Result",
        )
          .stdout.trim()
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
      );
    const until = (what: string, holds: (state: Record<string, string>) => boolean) =>
      awaitSight(
        folder,
        () => (holds(shown()) ? shown() : undefined),
        () => {
          const log = inside("journalctl", "-u", "orchd", "-n", "20", "--no-pager").stdout;
          return `${what}: ${JSON.stringify(shown())}\n${log}`;
        },
        60_000,
      );

    await awaitSight(
      folder,
      () =>
        inside("systemctl", "is-system-running").stdout.trim() === "running" ? true : undefined,
      () => readFileSync(join(folder, "console"), "utf8"),
      30_000,
    );
    expect(inside("systemd-sysusers").status).toBe(0);
    // Behind its walls the daemon cannot make a folder that gives files its group.
    expect(inside("systemd-tmpfiles", "--create", "orchd.conf").status).toBe(0);

    // `systemctl start` returns when systemd has heard READY=1.
    expect(inside("systemctl", "start", "orchd")).toMatchObject({ status: 0 });
    expect(inside("systemctl", "is-active", "orchd").stdout).toBe("active\n");
    const up = shown();
    expect(up["StatusText"]).toBe("ready: 1 pipeline, 0 runs taken over");

    inside("kill", "-9", up["MainPID"]!);
    const killed = await until(
      "after kill -9",
      (state) => state["NRestarts"] === "1" && state["ActiveState"] === "active",
    );
    expect(killed["MainPID"]).not.toBe(up["MainPID"]);

    inside("kill", "-STOP", killed["MainPID"]!);
    const stuck = await until(
      "after SIGSTOP",
      (state) => state["NRestarts"] === "2" && state["ActiveState"] === "active",
    );
    expect(stuck["MainPID"]).not.toBe(killed["MainPID"]);

    await pageServes(inside, folder, stuck["MainPID"]!);

    expect(inside("systemctl", "stop", "orchd").status).toBe(0);
    expect(shown()).toMatchObject({ ActiveState: "inactive", SubState: "dead", Result: "success" });
    const log = inside("journalctl", "-t", "orchd", "-o", "cat", "--no-pager").stdout;
    expect(log).toContain("draining: nothing new starts");
    expect(
      log
        .trim()
        .split("\n")
        .map((line) => (JSON.parse(line) as { readonly msg: string }).msg),
    ).toContain("ended");
    process.stdout.write("the unit under a real systemd: started, killed, stuck, stopped: 4 / 4\n");
    await notifyTells(inside, folder);
    await workerServes(inside, folder);
  },
);

type Inside = (...words: string[]) => { readonly status: number | null; readonly stdout: string };

/**
 * The page's unit beside the daemon's: its user reads the ledgers and sees that the daemon lives,
 * may leave a request and write nothing else, and is restarted when it is killed.
 */
async function pageServes(inside: Inside, folder: string, daemon: string): Promise<void> {
  const ask = (path: string, ...more: string[]): string =>
    inside(
      ..."curl -s --max-time 5 --unix-socket /run/orchd-page/page.sock".split(" "),
      ...more,
      `http://localhost${path}`,
    ).stdout;
  const pid = (): string =>
    inside("systemctl", "show", "orchd-page", "-p", "MainPID", "--value").stdout.trim();
  const serves = (): Promise<string> =>
    awaitSight(
      folder,
      () => (ask("/healthz") === "ok\n" ? pid() : undefined),
      () => inside("journalctl", "-u", "orchd-page", "-n", "20", "--no-pager").stdout,
      30_000,
    );
  expect(inside("systemctl", "start", "orchd-page").status).toBe(0);
  const first = await serves();
  expect(JSON.parse(ask("/api/v1/status"))).toMatchObject({
    daemon: { pid: Number(daemon) },
    pipelines: [{ name: "p", valid: true }],
  });
  const asked = JSON.parse(
    ask(
      "/api/v1/requests",
      "-H",
      "content-type: application/json",
      "-d",
      '{"type":"pause","pipeline":"p"}',
    ),
  ) as { id: string };
  expect(asked).toMatchObject({ id: expect.any(String) as string });
  await awaitSight(
    folder,
    () => (ask(`/api/v1/requests/${asked.id}`).includes('"accepted"') ? true : undefined),
    () => ask(`/api/v1/requests/${asked.id}`),
  );
  const touch = (path: string): number | null =>
    inside(
      ...`nsenter -t ${first} -m setpriv --reuid=orchd-page --regid=orchd`.split(" "),
      "--clear-groups",
      "touch",
      path,
    ).status;
  const runs = "/var/lib/orchd/runs";
  expect(touch(`${runs}/.orchd/requests/.mine`)).toBe(0);
  for (const path of [`${runs}/x`, `${runs}/p/x`, `${runs}/.orchd/x`, `${runs}/p/pipeline.jsonl`])
    expect([path, touch(path)]).toEqual([path, 1]);
  inside("kill", "-9", first);
  await awaitSight(folder, () => (pid() === first ? undefined : true), "another page", 30_000);
  expect(await serves()).not.toBe(first);
  expect(inside("systemctl", "stop", "orchd-page").status).toBe(0);
  process.stdout.write("the page's unit under a real systemd: started, asked, killed: 3 / 3\n");
}

/** The unit of `orchd notify`, while the daemon is down: it tells, and has its credential. */
async function notifyTells(inside: Inside, folder: string): Promise<void> {
  inside("cp", "/etc/orchd/orchd.yaml", "/var/lib/orchd/orchd.yaml");
  expect(inside("systemctl", "start", "orchd-notify").status).toBe(0);
  const log = (): string =>
    inside("journalctl", "-t", "orchd-notify", "-o", "cat", "--no-pager").stdout;
  await awaitSight(folder, () => (log() === "" ? undefined : true), log, 30_000);
  expect(log()).toBe("notify: channels me; 1 rule\n");
  const pid = inside("systemctl", "show", "orchd-notify", "-p", "MainPID", "--value").stdout.trim();
  const credential = `/run/credentials/orchd-notify.service/WORD`;
  const seen = inside("nsenter", "-t", pid, "-m", "cat", credential).stdout;
  expect(seen).toBe(inside("cat", "/etc/hostname").stdout);
  expect(inside("systemctl", "stop", "orchd-notify").status).toBe(0);
  process.stdout.write("notify's unit under a real systemd: started, told, ended: 1 / 1\n");
}

/**
 * The unit of `orchd worker` beside a daemon and a NATS server: its steps run as its own user. It
 * is restarted when it is killed, and ends with its last step when it is stopped.
 */
async function workerServes(inside: Inside, folder: string): Promise<void> {
  const log = (): string => inside("journalctl", "-n", "60", "-o", "cat", "--no-pager").stdout;
  const pid = (): string =>
    inside("systemctl", "show", "orchd-worker", "-p", "MainPID", "--value").stdout.trim();
  for (const words of [
    "ip link set lo up",
    "systemd-run --unit=nats-test nats-server -c /etc/nats-test.conf",
    "cp /etc/orchd/farm.yaml /etc/orchd/orchd.yaml",
    "cp /etc/orchd/farm.yaml /var/lib/orchd/orchd.yaml",
    "mv /etc/orchd/far.yaml /etc/orchd/schedules/far.yaml",
    "rm /etc/orchd/schedules/p.yaml",
    "systemctl start orchd-worker orchd",
  ])
    expect(inside(...words.split(" ")), words).toMatchObject({ status: 0 });
  const orchd = (...words: string[]) =>
    inside(..."/usr/lib/orchd/node /usr/lib/orchd/node_modules/.bin/orchd".split(" "), ...words);
  const root = ["--root", "/var/lib/orchd", "--schedules", "/etc/orchd/schedules"];
  /** Runs it, and holds it to having been at the worker. @param meanwhile once it is there */
  const runs = async (meanwhile = (): void => undefined): Promise<void> => {
    const { run } = JSON.parse(orchd("run", "far", "--json", ...root).stdout) as { run: string };
    const path = `/var/lib/orchd/runs/far/${run.slice(4, 8)}-${run.slice(8, 10)}/${run}.jsonl`;
    const has = (text: string): Promise<true> =>
      awaitSight(
        folder,
        () => (inside("cat", path).stdout.includes(text) ? true : undefined),
        () => `${text} in ${inside("cat", path).stdout}\n${log()}`,
        60_000,
      );
    await has('"type":"step.placed"');
    meanwhile();
    await has('"type":"run.finished","status":"completed"');
    expect(inside("cat", path).stdout).toContain('"outputs":{"result":"orchd-worker"}');
  };
  await runs();
  const first = pid();
  inside("kill", "-9", first);
  await awaitSight(
    folder,
    () => (["0", first].includes(pid()) ? undefined : true),
    () => `another worker\n${log()}`,
    30_000,
  );
  // It waits for its last step.
  await runs(() => expect(inside("systemctl", "stop", "orchd-worker").status).toBe(0));
  const result = inside("systemctl", "show", "orchd-worker", "-p", "Result", "--value").stdout;
  expect(result, log()).toBe("success\n");
  expect(inside("systemctl", "stop", "orchd").status).toBe(0);
  process.stdout.write("a worker's unit under a real systemd: served, killed, ended: 3 / 3\n");
}

/** The pid of systemd: the child of the process that real-systemd.sh became. */
function pidOfSystemd(unshare: number): number | undefined {
  const child = Number(
    spawnSync("ps", ["-o", "pid=", "--ppid", String(unshare)], { encoding: "utf8" }).stdout.trim(),
  );
  return child > 0 && processesWith("orchd-test.target").includes(child) ? child : undefined;
}

/**
 * Removes the cgroups that real-systemd.sh made, the innermost first. A cgroup can be removed when
 * its processes have ended, a moment after the process that made them.
 */
function removeCgroups(name: string): Promise<true> {
  const all = ["systemd", "unified", "."].map((hierarchy) =>
    join("/sys/fs/cgroup", hierarchy, name),
  );
  return awaitSight(
    "/sys/fs/cgroup",
    () => {
      const left = all.filter((path) => existsSync(path));
      for (const path of left)
        spawnSync("find", [path, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
      return all.some((path) => existsSync(path)) ? undefined : true;
    },
    `an end of ${all.join(", ")}`,
  );
}
