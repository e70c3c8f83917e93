/**
 * A dockerd of the test's own: its storage, its socket and its containers are in a folder of the
 * test, and nothing of the system's is changed. `DOCKER_HOST` names it as long as it runs, so what
 * the test starts finds it.
 *
 * It has no network: its containers have none either, or the machine's.
 *
 * Where the program or a right of the kernel is missing, the tests fail and say so in one line.
 * `ORCHD_SKIP_DOCKER=1` has them skipped.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { SKIP_CONTAINERS } from "./containers.ts";
import { TestEngine } from "./test-engine.ts";

/** Whether the tests with docker are to be left out. */
export const SKIP_DOCKER = SKIP_CONTAINERS || process.env["ORCHD_SKIP_DOCKER"] === "1";

/** The engine. It answers once {@link startDocker} has resolved. */
export const DOCKER = new TestEngine("docker");

/** How long it may take to answer, in milliseconds. */
const PATIENCE_MS = 30_000;
const PATH = `${process.env["PATH"]}${delimiter}/usr/sbin${delimiter}/sbin`;

/** A dockerd. */
export class Dockerd {
  /** Its folder. */
  readonly folder: string;
  readonly #config: Record<string, unknown>;
  #process: ChildProcess | undefined;

  constructor(config: Record<string, unknown> = {}) {
    // The path of a socket may have 107 characters.
    this.folder = mkdtempSync(join(tmpdir(), "orchd-docker-"));
    this.#config = config;
    mkdirSync(join(this.folder, "x"));
  }

  /** `unix://…`, as `DOCKER_HOST` has it. */
  get host(): string {
    return `unix://${this.folder}/d.sock`;
  }

  /** Its process. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Whether it runs. */
  get isUp(): boolean {
    const { exitCode, signalCode } = this.#process ?? {};
    return exitCode === null && signalCode === null;
  }

  /**
   * Starts it, and waits until it answers. On a busy machine its containerd may take too long.
   *
   * @throws Error, one line
   */
  async start(tries = 3): Promise<void> {
    const config = join(this.folder, "daemon.json");
    writeFileSync(config, JSON.stringify(this.#config));
    const words = [
      `--config-file=${config}`,
      `--data-root=${join(this.folder, "data")}`,
      `--exec-root=${join(this.folder, "x")}`,
      `--pidfile=${join(this.folder, "pid")}`,
      `--host=${this.host}`,
      "--bridge=none",
      "--iptables=false",
      "--ip6tables=false",
      "--default-ulimit=nofile=1024:1024",
    ];
    rmSync(join(this.folder, "pid"), { force: true });
    const log = join(this.folder, "log");
    const program = spawn("sh", ["-c", `exec dockerd "$@" >>${log} 2>&1`, "sh", ...words], {
      stdio: "ignore",
      detached: true,
      env: { ...process.env, PATH },
    });
    this.#process = program;
    process.env["DOCKER_HOST"] = this.host;
    const until = performance.now() + PATIENCE_MS;
    while (DOCKER.run("version").status !== 0) {
      if (program.exitCode !== null || performance.now() > until) {
        const said = existsSync(log) ? readFileSync(log, "utf8").trim().split("\n").at(-1) : "";
        if (tries > 1) return this.start(tries - 1);
        throw new Error(sentence(said ?? "it does not answer"));
      }
      await wait(100);
    }
  }

  /** Ends it by a signal, and waits until it is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const program = this.#process;
    if (program === undefined || program.exitCode !== null || program.signalCode !== null) return;
    const ended = new Promise((resolve) => program.once("exit", resolve));
    program.kill(signal);
    await ended;
  }

  /** Ends it and all that it started, and removes its folder. */
  async close(): Promise<void> {
    const all = DOCKER.run("ps", "--all", "--quiet").stdout.split("\n").filter(Boolean);
    DOCKER.remove(...all);
    await this.end("SIGTERM");
    delete process.env["DOCKER_HOST"];
    // Namespaces are mounted below it.
    const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
    for (const path of mounts.map((line) => line.split(" ")[1] ?? "").toReversed())
      if (path.startsWith(`${this.folder}/`)) spawnSync("umount", ["--lazy", path]);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/**
 * Starts one, and sees that a container can be run.
 *
 * @param config what its configuration file has
 * @throws Error, one line, if none can be run
 */
export async function startDocker(config: Record<string, unknown> = {}): Promise<Dockerd> {
  if (DOCKER.run("--version").status !== 0) throw new Error(sentence("docker is not installed"));
  const dockerd = new Dockerd(config);
  await dockerd.start();
  DOCKER.makeImage();
  const because = DOCKER.tried();
  if (because === undefined) return dockerd;
  await dockerd.close();
  throw new Error(sentence(because));
}

function sentence(because: string): string {
  return (
    `docker cannot run a container here (${because}): install docker.io and busybox-static, or ` +
    "set ORCHD_SKIP_DOCKER=1"
  );
}
