/**
 * A farm of a test's own: a real daemon, a real server, and real workers, each behind a link that
 * can be cut. Steps leave their effects in a file, which counts them from outside.
 */
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "./running-test.ts";
import { linesOf, type Line } from "./await-event.ts";
import { CutLink } from "./cut-link.ts";
import { orchd, startDaemon, type Daemon } from "./daemon.ts";
import type { BrokerServer } from "./broker-server.ts";
import { NatsServer } from "./nats-server.ts";
import { RedisServer } from "./redis-server.ts";
import type { PrivateNetwork } from "./private-network.ts";
import { tempRoot, type TempRoot } from "./temp-root.ts";
import { placeOn, secretsFolder, WorkerProcess, type WorkerProcessOptions } from "./worker.ts";

/**
 * How long a program may take to start, or a command to end, where others keep the machine busy, in
 * milliseconds.
 */
const PATIENCE_MS = 180_000;

/** One worker of a farm, which may be started again. */
export interface FarmWorker {
  readonly name: string;
  readonly link: CutLink;
  process: WorkerProcess;
  /** Starts it again, in its old folder. */
  again(): Promise<void>;
}

/** How a worker of a farm is made. */
export type FarmWorkerOptions = Partial<WorkerProcessOptions> & {
  /** What its place has more, beginning with a comma. */
  readonly more?: string;
  /** The network that it runs in. Default: this machine's. */
  readonly network?: PrivateNetwork;
};

/** What a farm is made with. */
export interface FarmOptions {
  /** The engine between them. Default: NATS. */
  readonly engine?: "nats" | "redis";
  /** Lines of the server's configuration. */
  readonly server?: string;
  /** What the place has more, beginning with a comma. */
  readonly place?: string;
  /** Secrets of the daemon and the workers, beside the key. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** What orchd.yaml has more. */
  readonly settings?: string;
}

export class Farm {
  readonly root: TempRoot;
  readonly broker: BrokerServer;
  readonly workers: FarmWorker[] = [];
  /** What steps did. */
  readonly effects: string;
  readonly #options: FarmOptions;
  readonly #secrets: string;
  #daemon: Daemon | undefined;

  private constructor(broker: BrokerServer, options: FarmOptions, files: Record<string, string>) {
    this.broker = broker;
    this.#options = options;
    this.#secrets = secretsFolder(options.secrets);
    const place = placeOn(options.engine ?? "nats", broker.url, options.place);
    this.root = tempRoot({
      "orchd.yaml": `places: { farm: ${place} }\n${options.settings ?? ""}`,
    });
    this.effects = join(this.root.root, "effects");
    writeFileSync(this.effects, "");
    for (const [path, text] of Object.entries(files))
      this.root.write(path, text.replaceAll("EFFECTS", this.effects));
  }

  /** Starts the server and the daemon. @param files of the root; EFFECTS is the file of effects */
  static async start(files: Record<string, string>, options: FarmOptions = {}): Promise<Farm> {
    const Server = options.engine === "redis" ? RedisServer : NatsServer;
    const broker = await Server.start(options.server);
    onTestFinished(() => broker.remove());
    const farm = new Farm(broker, options, files);
    await farm.startDaemon();
    return farm;
  }

  get daemon(): Daemon {
    return this.#daemon!;
  }

  async startDaemon(): Promise<void> {
    this.#daemon = await startDaemon({
      root: this.root.root,
      env: { CREDENTIALS_DIRECTORY: this.#secrets },
      deadlineMs: PATIENCE_MS,
    });
  }

  /** Starts a worker. Resolves when it serves. */
  async worker(
    name: string,
    { more, network, ...options }: FarmWorkerOptions = {},
  ): Promise<FarmWorker> {
    const host = network?.here ?? "127.0.0.1";
    const link = await CutLink.to(this.broker.port, host);
    onTestFinished(() => link.close());
    const engine = this.#options.engine ?? "nats";
    const place = placeOn(
      engine,
      `${engine}://${host}:${link.port}`,
      `${this.#options.place ?? ""}${more ?? ""}`,
    );
    const through = network?.through ?? [];
    const given = { secrets: this.#options.secrets ?? {}, through, ...options, place, name };
    const make = (root?: string): WorkerProcess =>
      new WorkerProcess({ ...given, ...(root === undefined ? {} : { root }) });
    const worker: FarmWorker = {
      name,
      link,
      process: make(),
      async again() {
        worker.process = make(worker.process.root);
        await worker.process.serves(PATIENCE_MS);
      },
    };
    await worker.process.serves(PATIENCE_MS);
    this.workers.push(worker);
    return worker;
  }

  /** Asks for a run. @returns its id */
  async run(pipeline: string, ...words: string[]): Promise<string> {
    const options = { deadlineMs: PATIENCE_MS };
    const asked = await orchd(this.root.root, "run", pipeline, ...words, options);
    if (asked.status !== 0) throw new Error(asked.stderr);
    return asked.stdout.trim();
  }

  /** The lines of a run's ledger. */
  ledger(run: string): Line[] {
    return linesOf(this.#fileOf(run, ".jsonl"));
  }

  /** Resolves with the ledger of a run once it has ended. */
  async ended(run: string, deadlineMs = 60_000): Promise<Line[]> {
    await expect
      .poll(() => this.ledger(run).at(-1)?.type, { timeout: deadlineMs, interval: 50 })
      .toBe("run.finished");
    return this.ledger(run);
  }

  /** What a run's steps printed, as the run's log has it. */
  log(run: string): { readonly step: string; readonly stream: string; readonly line: string }[] {
    const text = readFileSync(this.#fileOf(run, ".log"), "utf8");
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { step: string; stream: string; line: string });
  }

  /** The lines of effects. */
  did(): string[] {
    return readFileSync(this.effects, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  }

  /** Resolves when the effects hold this line so often. */
  async until(line: string | RegExp, count = 1, deadlineMs = 30_000): Promise<void> {
    const matches = (one: string): boolean =>
      typeof line === "string" ? one.startsWith(line) : line.test(one);
    await expect
      .poll(() => this.did().filter(matches).length, { timeout: deadlineMs, interval: 20 })
      .toBeGreaterThanOrEqual(count);
  }

  /** Writes a line of effects: what a step waits for. */
  release(line: string): void {
    appendFileSync(this.effects, `${line}\n`);
  }

  #fileOf(run: string, ending: string): string {
    const [, pipeline, year, month] = /^(.*)@(\d{4})(\d\d)/.exec(run)!;
    return join(this.root.runs, pipeline!, `${year}-${month}`, `${run}${ending}`);
  }
}

/** Where an attempt ran, by the ledger: the host of each `step.placed` of a step. */
export function hostsOf(lines: readonly Line[], step: string): unknown[] {
  return lines
    .filter((line) => line.type === "step.placed" && line["step"] === step)
    .map((line) => line["host"]);
}

/** How many lines of a type a step has. */
export function countOf(lines: readonly Line[], type: string, step: string): number {
  return lines.filter((line) => line.type === type && line["step"] === step).length;
}
