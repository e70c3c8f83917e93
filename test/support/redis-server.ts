/**
 * A redis-server of a test's own. Where it is missing the tests fail, and say so in one line.
 * `ORCHD_SKIP_REDIS=1` has them skipped.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.ts";

/** Whether the tests with a redis-server are to be left out. */
export const SKIP_REDIS = process.env["ORCHD_SKIP_REDIS"] === "1";

/** A server that can be stopped, started again at the same port, and made to stand still. */
export class RedisServer {
  readonly port: number;
  readonly folder: string;
  #process: ChildProcess | undefined;

  private constructor(port: number, folder: string) {
    this.port = port;
    this.folder = folder;
  }

  /**
   * Starts one. Call {@link remove} at the end.
   *
   * @param more lines of its configuration, in which PORT is its port
   * @throws Error, one line, if there is none
   */
  static async start(more?: string): Promise<RedisServer> {
    if (spawnSync("redis-server", ["--version"]).status !== 0)
      throw new Error("redis-server is not installed: install it, or set ORCHD_SKIP_REDIS=1");
    const folder = mkdtempSync(join(process.env["ORCHD_TEST_SESSION"] ?? tmpdir(), "redis-"));
    const server = new RedisServer(await freePort(), folder);
    const listens = `port ${server.port}`;
    writeFileSync(
      server.#config,
      `bind 127.0.0.1\n${(more ?? listens).replaceAll("PORT", String(server.port))}\n` +
        `dir ${folder}\nappendonly yes\nsave ""\n`,
    );
    await server.begin();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it again. Resolves when it takes connections. */
  async begin(): Promise<void> {
    const server = spawn("redis-server", [this.#config], { stdio: ["ignore", "pipe", "ignore"] });
    this.#process = server;
    let said = "";
    server.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    while (!(await this.#answers())) {
      if (server.exitCode !== null) throw new Error(`redis-server ended: ${said}`);
      await sleep(10);
    }
  }

  /** Ends it at once, as a crash does. */
  async kill(): Promise<void> {
    const server = this.#process;
    this.#process = undefined;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const gone = once(server, "exit");
    server.kill("SIGKILL");
    await gone;
  }

  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#process?.kill("SIGCONT");
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  get #config(): string {
    return join(this.folder, "redis.conf");
  }

  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, "127.0.0.1");
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
  }
}
