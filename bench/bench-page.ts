/** A page on a root, in a process of its own, and what a client asks of it. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { program } from "./bench-root.ts";

/** What `orchd page --json` prints. */
interface Answer {
  readonly url: string;
  readonly token: string;
}

/** A process that prints one line once it answers HTTP. */
export async function firstLine(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout! });
  const [line] = (await Promise.race([
    once(lines, "line"),
    once(child, "exit").then(([code]) => {
      throw new Error(`The program ended with status ${String(code)} before it served.`);
    }),
  ])) as [string];
  return line;
}

/** The status of an answer, once its body is read. */
export function ask(url: string, headers: Record<string, string> = {}, agent?: Agent) {
  return new Promise<number>((resolve, reject) => {
    get(url, { headers, ...(agent === undefined ? {} : { agent }) }, (response) => {
      response.on("end", () => resolve(response.statusCode!)).resume();
    }).on("error", reject);
  });
}

/** A page that serves. */
export class BenchPage {
  readonly #child: ChildProcess;
  readonly #answer: Answer;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #streams = new Set<IncomingMessage>();

  private constructor(child: ChildProcess, answer: Answer) {
    this.#child = child;
    this.#answer = answer;
  }

  /** Starts the process: it has a free port of this machine. */
  static spawn(root: string): ChildProcess {
    return spawn(process.execPath, [program, "page", "--listen", "127.0.0.1:0", "--json"], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ORCHD_ROOT: root },
    });
  }

  /** Runs `use` with a page on `root`, and ends the page afterwards. */
  static async during<T>(root: string, use: (page: BenchPage) => Promise<T>): Promise<T> {
    const child = BenchPage.spawn(root);
    try {
      const answer = JSON.parse(await firstLine(child)) as Answer;
      return await use(new BenchPage(child, answer));
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Asks for a path of the API. @throws Error where the answer is not 200 */
  async get(path: string): Promise<void> {
    const status = await ask(this.#url(path), this.#headers, this.#agent);
    if (status !== 200) throw new Error(`${path} is answered with ${status}.`);
  }

  /**
   * Opens an event stream. Resolves once its answer has begun.
   *
   * @param heard called with each ledger line, as text
   */
  async follow(path: string, heard: (line: string) => void): Promise<void> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get(this.#url(path), { headers: { ...this.#headers, accept: "text/event-stream" } })
        .on("response", resolve)
        .on("error", reject);
    });
    if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode}`);
    this.#streams.add(response);
    let rest = "";
    response.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (line.startsWith("data: ")) heard(line.slice(6));
    });
    response.on("error", () => {});
  }

  /** Closes every event stream. */
  hangUp(): void {
    for (const stream of this.#streams) stream.destroy();
    this.#streams.clear();
  }

  #url(path: string): string {
    return new URL(path, this.#answer.url.replace(/#.*$/, "")).href;
  }

  get #headers(): Record<string, string> {
    return { authorization: `Bearer ${this.#answer.token}` };
  }
}
