/**
 * The files of systemd/: the unit's settings by its text, and by systemd-analyze where that is
 * installed.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { projectRoot, tempRoot } from "../support/temp-root.ts";

const text = (name: string): string => readFileSync(join(projectRoot, "systemd", name), "utf8");
const settingsOf = (name: string): string[] =>
  text(name)
    .split("\n")
    .filter((line) => /^[A-Z]/.test(line));
const unit = text("orchd.service");
const settings = settingsOf("orchd.service");

/** Whether a program can be run here. */
const exists = (program: string): boolean => spawnSync(program, ["--version"]).error === undefined;
const analyze = (...parameters: string[]) =>
  spawnSync("systemd-analyze", parameters, {
    encoding: "utf8",
    env: { ...process.env, SYSTEMD_COLORS: "0" },
  });

describe("orchd.service", () => {
  it.each([
    "Type=notify",
    "NotifyAccess=all",
    "User=orchd",
    "StateDirectory=orchd",
    "RuntimeDirectory=orchd",
    "LogsDirectory=orchd",
    "ConfigurationDirectory=orchd",
    "UMask=0027",
    "Restart=always",
    "RestartSec=2",
    "StartLimitIntervalSec=0",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateUsers=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectProc=invisible",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "KeyringMode=private",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "SystemCallErrorNumber=EPERM",
    "KillMode=mixed",
    "OOMPolicy=continue",
  ])("holds %s", (setting) => {
    expect(settings).toContain(setting);
  });

  it("has a watchdog and limits address families", () => {
    expect(unit).toMatch(/^WatchdogSec=\d+$/m);
    expect(unit).toMatch(/^RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6$/m);
  });

  it("lets V8 have writable executable pages, which it needs", () => {
    expect(settings.filter((line) => line.startsWith("MemoryDenyWriteExecute"))).toEqual([]);
  });
});

it.each(["orchd", "orchd-page", "orchd-notify", "orchd-worker"])(
  "%s.service: its lines in the journal have its name, and not that of env",
  (name) => {
    expect(settingsOf(`${name}.service`)).toContain(`SyslogIdentifier=${name}`);
  },
);

describe("orchd-page.service", () => {
  const page = settingsOf("orchd-page.service");

  it("has a user of its own in the daemon's group", () => {
    expect(page).toEqual(expect.arrayContaining(["User=orchd-page", "Group=orchd", "UMask=0027"]));
    const users = text("orchd.sysusers").split("\n");
    expect(users).toContain("m orchd-page orchd");
    expect(users.some((line) => line.startsWith("u orchd-page "))).toBe(true);
  });

  it("may write requests and nothing else", () => {
    expect(page).toContain("ProtectSystem=strict");
    expect(page.filter((line) => /^(?:ReadWritePaths|State|Logs|Cache)/.test(line))).toEqual([
      "ReadWritePaths=-/var/lib/orchd/runs/.orchd/requests",
    ]);
    expect(page.join("\n")).not.toContain("--allow-requests");
  });

  it("has its socket in a folder of its own, and no network", () => {
    expect(page).toEqual(
      expect.arrayContaining([
        'Environment="ORCHD_PAGE_OPTIONS=--listen unix:/run/orchd-page/page.sock"',
        "RuntimeDirectory=orchd-page",
        "RuntimeDirectoryMode=0750",
        "PrivateNetwork=yes",
        "RestrictAddressFamilies=AF_UNIX",
      ]),
    );
  });

  it("has each wall of orchd.service but the one behind which the daemon would look dead", () => {
    const wall = /^(?:Private|Protect|Restrict|SystemCall|NoNew|Capab|Ambient|Lock|Remove|Keyring)/;
    const missing = settings.filter((line) => wall.test(line) && !page.includes(line));
    expect(missing).toEqual([
      "ProtectProc=invisible",
      "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    ]);
  });

  it("yields to the daemon", () => {
    expect(page).toEqual(expect.arrayContaining(["Nice=5", "CPUWeight=20", "IOWeight=20"]));
  });
});

describe("orchd-notify.service", () => {
  const notify = settingsOf("orchd-notify.service");

  it("is the daemon's user, and may write the folder of its ledger alone", () => {
    expect(notify).toEqual(expect.arrayContaining(["User=orchd", "Group=orchd", "UMask=0027"]));
    expect(notify).toContain("ProtectSystem=strict");
    expect(notify.filter((line) => /^(?:ReadWritePaths|State|Logs|Cache)/.test(line))).toEqual([
      "ReadWritePaths=/var/lib/orchd/runs/.orchd",
    ]);
  });

  it("has each wall of orchd.service but the one behind which the daemon would look dead", () => {
    const wall = /^(?:Private|Protect|Restrict|SystemCall|NoNew|Capab|Ambient|Lock|Remove|Keyring)/;
    const missing = settings.filter((line) => wall.test(line) && !notify.includes(line));
    expect(missing).toEqual(["ProtectProc=invisible"]);
  });

  it("yields to the daemon", () => {
    expect(notify).toEqual(expect.arrayContaining(["Nice=5", "CPUWeight=20", "IOWeight=20"]));
  });
});

describe("orchd-worker.service", () => {
  const worker = settingsOf("orchd-worker.service");

  it("has a user of its own, which may write its cache folder alone", () => {
    expect(worker).toEqual(
      expect.arrayContaining(["User=orchd-worker", "Group=orchd-worker", "UMask=0077"]),
    );
    const users = text("orchd.sysusers").split("\n");
    expect(users.some((line) => line.startsWith("u orchd-worker "))).toBe(true);
    expect(worker).toContain("ProtectSystem=strict");
    expect(worker.filter((line) => /^(?:ReadWritePaths|State|Logs|Cache)/.test(line))).toEqual([
      "CacheDirectory=orchd-worker",
      "CacheDirectoryMode=0700",
    ]);
  });

  it("has each wall of orchd.service", () => {
    const wall = /^(?:Private|Protect|Restrict|SystemCall|NoNew|Capab|Ambient|Lock|Remove|Keyring)/;
    expect(settings.filter((line) => wall.test(line) && !worker.includes(line))).toEqual([]);
  });

  it("waits for its steps, and leaves none behind", () => {
    expect(worker).toEqual(
      expect.arrayContaining([
        "Restart=always",
        "KillMode=mixed",
        "TimeoutStopSec=10min",
        "OOMPolicy=continue",
        "StartLimitIntervalSec=0",
      ]),
    );
  });
});

/** What systemd-analyze says of a unit, beside its drop-ins. */
function verify(name: string, ...dropIns: readonly string[]): object {
  const { root } = tempRoot();
  cpSync(join(projectRoot, "systemd", name), join(root, name));
  mkdirSync(join(root, `${name}.d`));
  for (const one of dropIns)
    cpSync(join(projectRoot, "systemd", one), join(root, `${name}.d`, one));
  const { status, stdout, stderr } = analyze("verify", "--man=no", join(root, name));
  return { status, said: stdout + stderr };
}

describe.runIf(exists("systemd-analyze"))("systemd-analyze", () => {
  it.each([
    ["orchd.service"],
    ["orchd.service", "orchd-shell.conf"],
    ["orchd-page.service"],
    ["orchd-notify.service"],
    ["orchd-worker.service"],
    ["orchd-page.service", "orchd-page-loopback.conf"],
  ])("finds no fault in %s %s", (name, ...dropIns) => {
    expect(verify(name, ...dropIns.filter((one) => typeof one === "string"))).toEqual({
      status: 0,
      said: "",
    });
  });

  const UNITS = ["orchd", "orchd-page", "orchd-notify", "orchd-worker"];
  it.each(UNITS.map((name) => `${name}.service`))(
    "rates the exposure of %s at 1.5 or lower",
    (name) => {
      const unitPath = join(projectRoot, "systemd", name);
      const rated = analyze("security", "--offline=true", "--no-pager", unitPath);
      const level = / exposure level for \S+: ([\d.]+)/.exec(rated.stdout)?.[1];
      expect(Number(level)).toBeLessThanOrEqual(1.5);
    },
  );
});

describe.runIf(exists("systemd-tmpfiles"))("systemd-tmpfiles", () => {
  it("accepts orchd.tmpfiles, where the group may write requests and nothing else", () => {
    const lines = text("orchd.tmpfiles")
      .split("\n")
      .filter((line) => line.startsWith("d"));
    const writable = lines
      .map((line) => line.split(/\s+/))
      .filter(([, , mode]) => (Number.parseInt(mode!, 8) & 0o022) !== 0);
    expect(writable.map(([, path]) => path)).toEqual(["/var/lib/orchd/runs/.orchd/requests"]);
    const { root } = tempRoot();
    // This host has no user orchd, so its name is replaced by this user's number.
    const stand = lines.map((line) =>
      line
        .replaceAll(/\borchd  orchd\b/g, `${process.getuid!()} ${process.getgid!()}`)
        .replaceAll(/\broot   root\b/g, "- -"),
    );
    const made = spawnSync("systemd-tmpfiles", [`--root=${root}`, "--create", "-"], {
      encoding: "utf8",
      input: `${stand.join("\n")}\n`,
    });
    expect({ status: made.status, said: made.stderr }).toEqual({ status: 0, said: "" });
  });
});

describe.runIf(exists("systemd-sysusers"))("systemd-sysusers", () => {
  it("accepts orchd.sysusers", () => {
    const { root } = tempRoot();
    mkdirSync(join(root, "etc"));
    const made = spawnSync("systemd-sysusers", [`--root=${root}`, "--dry-run", "-"], {
      encoding: "utf8",
      input: text("orchd.sysusers"),
    });
    expect(made.status).toBe(0);
    expect(made.stdout + made.stderr).toContain("orchd");
  });
});
