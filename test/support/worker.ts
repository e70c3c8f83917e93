/** A real `orchd worker` as a process of its own, and an orchd.yaml for it and its daemon. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "./running-test.ts";
import { orchdProgram } from "./daemon.ts";
import { tempRoot } from "./temp-root.ts";

/** The key that tests seal with. */
export const TEST_KEY = "6f".repeat(32);

/** What a worker is started with. */
export interface WorkerProcessOptions {
  /** The place's settings, as orchd.yaml has them below its name. */
  readonly place: string;
  /** The place's name. Default: farm. */
  readonly placeName?: string;
  readonly name?: string;
  readonly words?: readonly string[];
  /** The files of its credentials folder. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Program and words put before node: `["ip", "netns", "exec", "one"]`. */
  readonly through?: readonly string[];
  /** The folder of a worker that ran before. */
  readonly root?: string;
  /** The program. Default: this tree's, as it was built. */
  readonly program?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A place on NATS, with a key. */
export function natsPlace(url: string, more = ""): string {
  return placeOn("nats", url, more);
}

/** A place on an engine, with a key. */
export function placeOn(engine: "nats" | "redis", url: string, more = ""): string {
  return `{ engine: ${engine}, url: "${url}", key: { secret: queue.key }${more} }`;
}

/** Makes a folder of secrets. @returns its path */
export function secretsFolder(secrets: Readonly<Record<string, string>> = {}): string {
  const { root } = tempRoot();
  const folder = join(root, "secrets");
  mkdirSync(folder, { mode: 0o700 });
  for (const [name, text] of Object.entries({ "queue.key": TEST_KEY, ...secrets }))
    writeFileSync(join(folder, name), text, { mode: 0o600 });
  return folder;
}

/** One worker. It is ended with its processes when the test is over. */
export class WorkerProcess {
  readonly root: string;
  readonly process: ChildProcess;
  #stdout = "";
  #stderr = "";
  readonly ended: Promise<number | null>;

  constructor(options: WorkerProcessOptions) {
    const { place, placeName = "farm", name = "w1", words = [], through = [] } = options;
    const files = { "orchd.yaml": `places: { ${placeName}: ${place} }\n` };
    this.root = options.root ?? tempRoot(files).root;
    const own = ["--place", placeName, "--name", name, "--root", this.root];
    const worker = ["worker", ...own, ...words];
    const orchd = options.program ?? orchdProgram;
    const [program, ...rest] = [...through, process.execPath, orchd, ...worker];
    const child = spawn(program!, rest, {
      cwd: this.root,
      env: {
        PATH: process.env["PATH"],
        HOME: this.root,
        CREDENTIALS_DIRECTORY: secretsFolder(options.secrets),
        ...options.env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.process = child;
    child.stdout.setEncoding("utf8").on("data", (text: string) => (this.#stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    this.ended = once(child, "exit").then(([status]) => status as number | null);
    onTestFinished(async () => {
      child.kill("SIGCONT");
      child.kill("SIGKILL");
      await this.ended;
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** Resolves when it says that it serves. @throws Error if it ends before, or takes longer */
  async serves(deadlineMs = 30_000): Promise<this> {
    const deadline = performance.now() + deadlineMs;
    while (!this.#stdout.includes("\n")) {
      const over = this.process.exitCode !== null || this.process.signalCode !== null;
      if (over || performance.now() > deadline)
        throw new Error(`The worker does not serve: ${this.#stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this;
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** kill -9, and waits until it is gone. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.ended;
  }

  /** The pids of its runners. */
  runners(): number[] {
    return this.processes().filter((pid) => parentOf(pid) === this.pid);
  }

  /** The pids of all that carries its token: its runners and what these started. */
  processes(): number[] {
    return carriers("ORCHD_RUNNER_TOKEN=orchd-worker-").filter((pid) => isBelow(pid, this.root));
  }
}

/** Undefined: there is no such process. */
function parentOf(pid: number): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]);
  } catch {
    return undefined;
  }
}

function carriers(entry: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => environmentOf(pid).includes(entry));
}

/** Whether a process was started by a worker of this root: its HOME says so. */
function isBelow(pid: number, root: string): boolean {
  return environmentOf(pid).split("\0").includes(`HOME=${root}`);
}

function environmentOf(pid: number): string {
  const path = `/proc/${pid}/environ`;
  try {
    return existsSync(path) ? readFileSync(path, "latin1") : "";
  } catch {
    return "";
  }
}
