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
const unit = text("orchd.service");
const settings = unit.split("\n").filter((line) => /^[A-Z]/.test(line));

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

describe.runIf(exists("systemd-analyze"))("systemd-analyze", () => {
  it("finds no fault in the unit", () => {
    const verified = analyze("verify", "--man=no", join(projectRoot, "systemd/orchd.service"));
    expect({ status: verified.status, said: verified.stdout + verified.stderr }).toEqual({
      status: 0,
      said: "",
    });
  });

  it("rates its exposure at 1.5 or lower", () => {
    const rated = analyze(
      "security",
      "--offline=true",
      "--no-pager",
      join(projectRoot, "systemd/orchd.service"),
    );
    const level = /Overall exposure level for orchd\.service: ([\d.]+)/.exec(rated.stdout)?.[1];
    expect(Number(level)).toBeLessThanOrEqual(1.5);
  });

  it("finds no fault in the unit with the profile for shell steps", () => {
    const { root } = tempRoot();
    mkdirSync(join(root, "orchd.service.d"));
    cpSync(join(projectRoot, "systemd/orchd.service"), join(root, "orchd.service"));
    cpSync(
      join(projectRoot, "systemd/orchd-shell.conf"),
      join(root, "orchd.service.d/orchd-shell.conf"),
    );
    const verified = analyze("verify", "--man=no", join(root, "orchd.service"));
    expect({ status: verified.status, said: verified.stdout + verified.stderr }).toEqual({
      status: 0,
      said: "",
    });
  });
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
