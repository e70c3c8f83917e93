/**
 * A broker's server of a test's own. It can be stopped, started again at the same port, and made to
 * stand still. Where its program is missing the tests fail, and say so in one line.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** What Debian's packages do not put into every PATH. */
const PROGRAM_PATH = `${process.env["PATH"] ?? ""}:/usr/sbin`;

const CONFIG = "server.conf";

/** One engine's server. */
export interface ServerProgram {
  readonly name: string;
  /** The variable that has its tests skipped. */
  readonly skippedBy: string;
  /** How its addresses begin. */
  readonly scheme: string;
  /** The words before the path of its configuration. */
  readonly words: readonly string[];
  /** Whether it speaks first on a connection. One that does not takes connections when it is up. */
  readonly greets: boolean;
  /** Its configuration. */
  config(port: number, folder: string): string;
}

/** A server. {@link begin} starts it. Call {@link remove} at the end. */
export class BrokerServer {
  readonly port: number;
  readonly folder: string;
  readonly #program: ServerProgram;
  #process: ChildProcess | undefined;

  /** @throws Error, one line, if there is no such program */
  constructor(program: ServerProgram, port: number) {
    const { name, skippedBy, scheme } = program;
    const found = spawnSync(name, ["--version"], { env: { PATH: PROGRAM_PATH } });
    if (found.status !== 0)
      throw new Error(`${name} is not installed: install it, or set ${skippedBy}=1`);
    this.#program = program;
    this.port = port;
    this.folder = mkdtempSync(join(process.env["ORCHD_TEST_SESSION"] ?? tmpdir(), `${scheme}-`));
    writeFileSync(this.#config, program.config(port, this.folder));
  }

  get url(): string {
    return `${this.#program.scheme}://127.0.0.1:${this.port}`;
  }

  /** Starts it, the first time or again. Resolves when it takes connections. */
  async begin(): Promise<void> {
    const { name, words } = this.#program;
    const server = spawn(name, [...words, this.#config], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: PROGRAM_PATH },
    });
    this.#process = server;
    let said = "";
    for (const stream of [server.stdout, server.stderr])
      stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
    while (!(await this.#answers())) {
      if (server.exitCode !== null) throw new Error(`${name} ended: ${said}`);
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

  /** Changes its configuration, and has it read again. */
  change(edit: (text: string) => string): void {
    writeFileSync(this.#config, edit(readFileSync(this.#config, "utf8")));
    this.#process?.kill("SIGHUP");
  }

  /** All that it keeps is lost. It has to be down. */
  empty(): void {
    for (const name of readdirSync(this.folder))
      if (name !== CONFIG) rmSync(join(this.folder, name), { recursive: true, force: true });
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
    return join(this.folder, CONFIG);
  }

  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, "127.0.0.1");
      socket.once(this.#program.greets ? "data" : "connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
  }
}
