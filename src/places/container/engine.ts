/**
 * A container engine, used by its command line: `podman` and `docker` take the same words for all
 * that is needed here (docs/adr/0048).
 *
 * Each question is a process of its own. Its environment is the daemon's, so that it finds its
 * storage, its socket and its proxies. Where the machine starts no process, it waits for one
 * (disk/process-start.ts), and its patience counts from then.
 */
import type { ChildProcessByStdio, SpawnOptions } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import { startApart } from "../../disk/apart-program.ts";
import { FAILURE_CODES } from "../../core/failure.ts";
import type { Log } from "../../log.ts";
import {
  startedProcess,
  startsLater,
  whatLacks,
  type StartWaiter,
} from "../../disk/process-start.ts";
import { beginning } from "../../core/whole-characters.ts";

/** The engines, in the order in which they are asked. */
export const ENGINES = ["podman", "docker"] as const;
/** The name of an engine, and of its program. */
export type EngineName = (typeof ENGINES)[number];

/** How long an engine may take to answer a question, in milliseconds. */
const PATIENCE_MS = 30_000;
/** How often a removal is tried, and how long between two tries, in milliseconds. */
const REMOVALS = 3;
const REMOVE_AGAIN_MS = 200;
/** What is said of an engine whose program is not there. */
const NOT_INSTALLED = "it is not installed";
/** The most characters that are kept of an answer. */
const MOST = 4 * 1024 * 1024;
/**
 * How many containers are asked for at once: an engine prints some 10 KiB of each, and more where
 * its variables are long.
 */
const INSPECTED_AT_ONCE = 50;

/** How a command of the engine ended. */
export interface Answer {
  /** Its exit status. Null: it was ended, or could not be started. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command of the engine that runs. */
export type EngineProcess = ChildProcessByStdio<null, Readable, Readable>;

/** A command of the engine that runs, and that is spoken to. */
export type EngineTalk = ChildProcessByStdio<Writable, Readable, Readable>;

/** An engine cannot do what is asked. The message is a sentence, or a part of one. */
export class EngineError extends Error {
  override readonly name = "ContainerError";
  readonly code = FAILURE_CODES.container;
}

/** How a container is, as the engine says. */
export interface ContainerState {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly running: boolean;
  /** It is frozen. */
  readonly paused: boolean;
  /** Undefined: it has never begun. ISO 8601. */
  readonly startedAt: string | undefined;
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  /** The process that tells podman of its end, on the engine's machine. Undefined: no such one. */
  readonly monitor?: number | undefined;
}

/** Variables that an engine is asked with, beside the daemon's own. Undefined: not set. */
export type EngineVariables = Readonly<Record<string, string | undefined>>;

/** Does not wait for a process. */
const AT_ONCE: StartWaiter = { isWanted: () => false };

/** What a command of the engine is started with. */
export interface EngineCommand extends StartWaiter {
  /** Beside the daemon's own variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the daemon's. */
  readonly cwd?: string | undefined;
}

/** One engine. */
export class Engine {
  readonly name: EngineName;
  readonly version: string;
  /** What tells it from others of its name: where its containers are kept. Empty: nothing does. */
  readonly id: string;
  /** What it is asked with, beside the daemon's own environment. */
  readonly env: EngineVariables;
  readonly #waiter: StartWaiter;

  /**
   * @param env default: the daemon's own alone
   * @param waiter who waits where no process can be started for a question; default: nobody
   */
  constructor(
    name: EngineName,
    version: string,
    id = "",
    env: EngineVariables = {},
    waiter: StartWaiter = AT_ONCE,
  ) {
    this.name = name;
    this.version = version;
    this.id = id;
    this.env = env;
    this.#waiter = waiter;
  }

  /**
   * Starts a command. It has a process group of its own: a signal to the daemon's does not reach
   * it. Listen to it in the turn in which it is there.
   *
   * @throws a Node error if it cannot be started, or is not wanted any more
   */
  start(words: readonly string[], command: EngineCommand): Promise<EngineProcess> {
    const options = apart({ ...this.env, ...command.env }, command.cwd);
    const start = (): EngineProcess =>
      startApart(this.name, words, {
        ...options,
        stdio: ["ignore", "pipe", "pipe"],
      }) as EngineProcess;
    return startedProcess(start, command);
  }

  /** Starts a command whose stdin is a pipe, as {@link start} does. */
  talk(words: readonly string[], command: EngineCommand): Promise<EngineTalk> {
    const options = apart({ ...this.env, ...command.env }, command.cwd);
    const start = (): EngineTalk =>
      startApart(this.name, words, { ...options, stdio: ["pipe", "pipe", "pipe"] }) as EngineTalk;
    return startedProcess(start, command);
  }

  /** Asks something. Never rejects. */
  ask(words: readonly string[], patienceMs = PATIENCE_MS): Promise<Answer> {
    return answerOf(this.name, words, patienceMs, this.env, this.#waiter);
  }

  /**
   * How containers are. One that there is not is left out.
   *
   * @throws EngineError if the engine does not answer
   */
  async inspect(names: readonly string[]): Promise<ContainerState[]> {
    const states: ContainerState[] = [];
    for (let at = 0; at < names.length; at += INSPECTED_AT_ONCE)
      states.push(...(await this.#inspect(names.slice(at, at + INSPECTED_AT_ONCE))));
    return states;
  }

  async #inspect(names: readonly string[]): Promise<ContainerState[]> {
    const answer = await this.ask(["container", "inspect", ...names]);
    const states = statesIn(answer.stdout);
    // It fails where one of them is gone, and tells of the others all the same. Where it could not
    // ask for one, it tells of none too.
    const gone = answer.status === 0 ? 0 : answer.stderr.split("\n").filter(saysGone).length;
    if (states !== undefined && states.length + gone >= names.length) return states;
    throw new EngineError(`${this.name} does not answer: ${sentenceOf(answer)}`);
  }

  /** All containers of a root, by their tokens. @throws EngineError if the engine is silent */
  async containersOf(root: string): Promise<ReadonlyMap<string, ContainerState>> {
    const states = await this.inspect(await this.#named(`orchd.root=${root}`));
    return new Map(
      states
        // The engine's filter is not trusted with what is removed.
        .filter(({ labels }) => labels["orchd.root"] === root)
        .map((state) => [state.labels["orchd.token"] ?? state.name, state]),
    );
  }

  async #named(label: string): Promise<string[]> {
    const words = ["ps", "--all", "--no-trunc", "--filter", `label=${label}`];
    const answer = await this.ask([...words, "--format", "{{.Names}}"]);
    if (answer.status !== 0)
      throw new EngineError(`${this.name} does not answer: ${sentenceOf(answer)}`);
    return answer.stdout.split("\n").filter((name) => name !== "");
  }

  /**
   * Ends and removes containers, at once. An engine may fail at first, as podman does where one is
   * paused: the runtime thaws it to kill it, and podman then finds nothing to thaw. It is asked
   * again for those that are left.
   *
   * What it names is removed, and nothing else is: where one of several is gone already, podman
   * removes none of them, says nothing, and ends with status 0.
   *
   * @returns what stood in the way; undefined: nothing
   */
  async remove(names: readonly string[]): Promise<string | undefined> {
    const now = this.name === "podman" ? ["--time", "0"] : [];
    let given = names;
    let because: string | undefined;
    for (let look = 0; look < REMOVALS && given.length > 0; look += 1) {
      if (look > 0) await wait(REMOVE_AGAIN_MS);
      const answer = await this.ask(["rm", "--force", "--volumes", ...now, ...given]);
      const removed = new Set(answer.stdout.split("\n").map((line) => line.trim()));
      given = given.filter((name) => !removed.has(name));
      if (given.length === 0) return undefined;
      // One that is gone already is no fault, and an engine may say that it is one.
      const left = await this.inspect(given).catch((error: unknown) => error as Error);
      if (left instanceof Error) return left.message;
      given = left.map(({ name }) => name);
      because = answer.status === 0 ? `${this.name} leaves it` : sentenceOf(answer);
    }
    return given.length === 0 ? undefined : because;
  }
}

/** A process group of its own, and variables beside the daemon's. */
function apart(env: EngineVariables, cwd?: string): Pick<SpawnOptions, "detached" | "cwd" | "env"> {
  return { detached: true, cwd, env: { ...process.env, ...env } };
}

/** Who waits for an engine for as long as `isWanted` says, and tells of it. */
export function engineWaiter(log: Log, isWanted: () => boolean): StartWaiter {
  return { isWanted, waits: (because) => log.warn({}, `${because}: the container engine waits`) };
}

/** What asks for an engine's version, and so whether it answers, and for what its id is made of. */
const VERSION_WORDS: { readonly [name in EngineName]: readonly string[] } = {
  podman: ["info", "--format", "{{.Version.Version}}\n{{.Store.GraphRoot}}"],
  docker: ["info", "--format", "{{.ServerVersion}}\n{{.DockerRootDir}} {{.ID}}"],
};

/**
 * The engine that answers.
 *
 * @param wanted the one of orchd.yaml; undefined: the first of {@link ENGINES} that answers
 * @param env what it is asked with
 * @param waiter who waits where no process can be started; default: nobody
 * @throws EngineError, a sentence, if none does
 */
export async function findEngine(
  wanted: EngineName | undefined,
  env: EngineVariables = {},
  waiter: StartWaiter = AT_ONCE,
): Promise<Engine> {
  const why: string[] = [];
  let areMissing = true;
  for (const name of wanted === undefined ? ENGINES : [wanted]) {
    const answer = await answerOf(name, VERSION_WORDS[name], PATIENCE_MS, env, waiter);
    const [version = "", kept = ""] = answer.stdout.split("\n").map((line) => line.trim());
    const id = [kept, ...(name === "podman" ? remoteOf(env) : [])].join(" ").trim();
    if (answer.status === 0 && version !== "") return new Engine(name, version, id, env, waiter);
    why.push(`${name}: ${sentenceOf(answer)}`);
    areMissing &&= answer.stderr === NOT_INSTALLED;
  }
  const remedy = areMissing ? `: install ${wanted ?? ENGINES.join(" or ")}` : "";
  throw new EngineError(`no container engine answers (${why.join("; ")})${remedy}`);
}

/** Which other machine or service podman is told to ask, if any: its storage's path is no name. */
function remoteOf(env: EngineVariables): string[] {
  const all = { ...process.env, ...env };
  return ["CONTAINER_HOST", "CONTAINER_CONNECTION"].flatMap((name) => all[name] ?? []);
}

/** What an engine said as it failed: its last line, without the word before it. */
export function sentenceOf({ stderr, stdout, status }: Answer): string {
  const lines = `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
  // Docker ends with a hint about its help.
  const last = lines.findLast((line) => !/^((See|Run) '.+--help'|Usage: )/.test(line));
  if (last === undefined) return status === null ? "it did not answer" : `status ${status}`;
  const said = last
    .trim()
    .replace(/^(Error|docker|Error response from daemon): */, "")
    .replace(/\.$/, "");
  return beginning(said, 500);
}

/** Whether an engine says that there is no such container. */
function saysGone(line: string): boolean {
  return /no such (container|object)/i.test(line);
}

async function answerOf(
  program: string,
  words: readonly string[],
  patienceMs: number,
  env: EngineVariables,
  waiter: StartWaiter,
): Promise<Answer> {
  const start = (): EngineProcess =>
    startApart(program, words, {
      ...apart(env),
      stdio: ["ignore", "pipe", "pipe"],
    }) as EngineProcess;
  try {
    return await answerBy(await startedProcess(start, waiter), patienceMs);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const missing = code === "ENOENT" ? NOT_INSTALLED : undefined;
    const why = missing ?? (startsLater(error) ? whatLacks(error) : message);
    return { status: null, stdout: "", stderr: why };
  }
}

function answerBy(child: EngineProcess, patienceMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let [stdout, stderr] = ["", ""];
    const timer = setTimeout(() => {
      stderr += `\nit did not answer within ${patienceMs / 1_000} s`;
      child.kill("SIGKILL");
      // What holds its pipes is not waited for.
      resolve({ status: null, stdout, stderr });
    }, patienceMs);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (stdout.length < MOST) stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (stderr.length < MOST) stderr += text;
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve({ status, stdout, stderr });
    });
  });
}

/** What both engines print of a container, as far as it is used. */
interface Printed {
  readonly Name: string;
  readonly Config?: { readonly Labels?: Readonly<Record<string, string>> | null };
  readonly State: {
    readonly Running: boolean;
    readonly Paused?: boolean;
    readonly StartedAt: string;
    readonly ExitCode: number;
    readonly OOMKilled?: boolean;
    readonly ConmonPid?: number;
  };
}

/** Undefined if it is not what an engine prints. */
function statesIn(text: string): ContainerState[] | undefined {
  try {
    return (JSON.parse(text) as Printed[]).map(({ Name, Config, State }) => ({
      name: Name.replace(/^\//, ""),
      labels: Config?.Labels ?? {},
      running: State.Running,
      paused: State.Paused === true,
      startedAt: State.StartedAt.startsWith("0001-") ? undefined : State.StartedAt,
      exitCode: State.ExitCode,
      outOfMemory: State.OOMKilled === true,
      monitor: State.ConmonPid,
    }));
  } catch {
    return undefined;
  }
}
