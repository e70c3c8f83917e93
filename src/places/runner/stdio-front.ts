/**
 * The process in front of a far runner: `runner.js --stdio`. It says hello, reads the settings, and
 * starts the runner, which gets this process's stdin and stdout as two other descriptors: nothing
 * that a step prints past the capture gets into the wire.
 *
 * From then on it only watches. When the runner dies, it ends all that carries the runner's token,
 * says how the runner died, and ends with a status of its own: the other side then knows that
 * nothing is left. When the runner does not say for {@link WATCH_MS} that it has a lease, it is
 * ended; when this process is frozen, the runner ends itself. A runner that starts may take longer.
 * It says here that it is up before it says `ready` on the wire, so it has no task until then.
 */
import { mkdtempSync, read, writeSync } from "node:fs";
import { Socket } from "node:net";
import { homedir, tmpdir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { removeTrees } from "../../disk/remove-tree.ts";
import { makeClaimsFile } from "../pool/far-claims.ts";
import type { LaunchRunner } from "../pool/runner-process.ts";
import { OVER_STATUS, parseLine, WATCH_MS, WIRE_PROTOCOL } from "../pool/wire.ts";
import type { FarSettings, FromFar } from "../pool/wire.ts";
import { WireLines } from "../pool/wire-lines.ts";
import { FAR_FOLDERS } from "../pool/far-tasks.ts";
import { FarFolder } from "./far-folder.ts";

/** How long the settings may be, in bytes. */
const SETTINGS_BYTES = 64 * 1024;
/** Any time will do. */
const KEPT_ALIVE_MS = 60_000;
/** When a descriptor that has nothing yet is read again, in milliseconds. */
const AGAIN_MS = 20;
/** The most stray output that waits to be taken, in bytes. What comes then is dropped. */
const MOST_STRAY = 1024 * 1024;

/** What is needed of the program. */
export interface FrontPorts {
  readonly version: string;
  /** Starts a runner that has the wire. */
  readonly fork: LaunchRunner;
  /** Lets bundles of a folder find orchd's package. @throws a Node error */
  linkPackage(bundles: string): void;
}

/** Serves a daemon over this process's stdin and stdout. */
export async function serveStdio(ports: FrontPorts): Promise<void> {
  const { version } = ports;
  const node = process.versions.node;
  const platform = `${process.platform}/${process.arch}`;
  tell({ type: "hello", protocol: WIRE_PROTOCOL, version, node, platform });
  const settings = await firstLine();
  // The daemon says what that means: it has read the hello.
  if (settings?.protocol !== WIRE_PROTOCOL) process.exit(OVER_STATUS);
  try {
    run(ports, settings);
  } catch (error) {
    const detail = `could not be started: ${(error as Error).message}`;
    tell({ type: "over", detail, outOfMemory: false });
    process.exit(OVER_STATUS);
  }
}

function run({ fork, linkPackage }: FrontPorts, settings: FarSettings): void {
  const { threads, memoryMb, token } = settings;
  const given = settings.folder;
  const folder =
    given === undefined
      ? mkdtempSync(join(tmpdir(), "orchd-far-"))
      : isAbsolute(given)
        ? given
        : resolve(homedir(), given);
  const kept = new FarFolder(folder);
  kept.tidy();
  const bundles = join(folder, FAR_FOLDERS.bundles);
  linkPackage(bundles);
  process.chdir(settings.workdir ?? folder);
  const claims = settings.claims === undefined ? undefined : makeClaimsFile(settings.claims);
  const stderr = new Socket({ fd: 2, readable: false, writable: true });
  stderr.on("error", () => {});
  const runner = fork(
    {
      threads,
      memoryMb,
      token,
      bundles,
      scratch: join(folder, FAR_FOLDERS.scratch),
      leaseMs: WATCH_MS,
      wire: { folder, isTemporary: given === undefined, claims, socket: settings.socket },
    },
    0,
    false,
    {
      started: () => {},
      messages: () => {},
      stray: (_stream, lines) => {
        if (stderr.writableLength < MOST_STRAY) stderr.write(`${lines.join("\n")}\n`);
      },
      exit: ({ detail, outOfMemory }) => {
        const end = (): never => {
          tell({ type: "over", detail, outOfMemory });
          process.exit(OVER_STATUS);
        };
        if (given !== undefined) end();
        void removeTrees([folder]).then(end);
      },
    },
  );
  // The runner's last files are removed by a process that keeps nobody alive.
  setInterval(() => {}, KEPT_ALIVE_MS);
  // A container is stopped by TERM, and the end of a session is HUP.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => runner.kill());
}

/** The runner may have died in the middle of a line. */
function tell(message: FromFar): void {
  try {
    writeSync(1, `${message.type === "hello" ? "" : "\n"}${JSON.stringify(message)}\n`);
  } catch {
    // Nobody reads, or the wire is full: the status says it too.
  }
}

/**
 * The daemon's first line. It sends no more before the runner is ready. A stream would read on, and
 * take from the runner what is its own.
 */
async function firstLine(): Promise<FarSettings | undefined> {
  let settings: FarSettings | undefined;
  let isOver = false;
  const lines = new WireLines(
    SETTINGS_BYTES,
    (line) => {
      settings = parseLine(line) as FarSettings | undefined;
      isOver = true;
    },
    () => (isOver = true),
  );
  while (!isOver) {
    const chunk = await readSome();
    if (chunk === undefined) return undefined;
    lines.add(chunk);
  }
  return settings;
}

/** Undefined: it has ended. */
function readSome(): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    read(
      0,
      Buffer.allocUnsafe(SETTINGS_BYTES),
      0,
      SETTINGS_BYTES,
      null,
      (error, length, buffer) => {
        if (error?.code === "EAGAIN") setTimeout(() => resolve(readSome()), AGAIN_MS);
        else resolve(error !== null || length === 0 ? undefined : buffer.subarray(0, length));
      },
    );
  });
}
