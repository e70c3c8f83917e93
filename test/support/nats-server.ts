/**
 * A nats-server of a test's own. Where it is missing the tests fail, and say so in one line.
 * `ORCHD_SKIP_NATS=1` has them skipped.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.ts";

/** Whether the tests with a nats-server are to be left out. */
export const SKIP_NATS = process.env["ORCHD_SKIP_NATS"] === "1";

/** What Debian's package does not put into every PATH. */
const PROGRAM_PATH = `${process.env["PATH"] ?? ""}:/usr/sbin`;

/** A server that can be stopped, started again at the same port, and made to stand still. */
export class NatsServer {
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
   * @param more lines of its configuration. Default: JetStream, and nothing else
   * @throws Error, one line, if there is none
   */
  static async start(more = ""): Promise<NatsServer> {
    const found = spawnSync("nats-server", ["--version"], { env: { PATH: PROGRAM_PATH } });
    if (found.status !== 0)
      throw new Error("nats-server is not installed: install it, or set ORCHD_SKIP_NATS=1");
    const folder = mkdtempSync(join(process.env["ORCHD_TEST_SESSION"] ?? tmpdir(), "nats-"));
    const server = new NatsServer(await freePort(), folder);
    const store = more.includes("jetstream") ? "" : `jetstream { store_dir: "${folder}/js" }\n`;
    writeFileSync(
      server.#config,
      `host: 127.0.0.1\nport: ${server.port}\n${store}${more.replaceAll("FOLDER", folder)}\n`,
    );
    await server.begin();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** Starts it again. Resolves when it takes connections. */
  async begin(): Promise<void> {
    const server = spawn("nats-server", ["-c", this.#config], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: PROGRAM_PATH },
    });
    this.#process = server;
    let said = "";
    server.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    while (!(await this.#answers())) {
      if (server.exitCode !== null) throw new Error(`nats-server ended: ${said}`);
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
    return join(this.folder, "nats.conf");
  }

  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, "127.0.0.1");
      socket.once("data", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
  }
}
