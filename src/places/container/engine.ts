/**
 * A container engine, used by its command line: `podman` and `docker` take the same words for all
 * that is needed here (docs/adr/0048).
 *
 * Each question is a process of its own. Its environment is the daemon's, so that it finds its
 * storage, its socket and its proxies.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { FAILURE_CODES } from "../../core/failure.ts";

/** The engines, in the order in which they are asked. */
export const ENGINES = ["podman", "docker"] as const;
/** The name of an engine, and of its program. */
export type EngineName = (typeof ENGINES)[number];

/** How long an engine may take to answer a question, in milliseconds. */
const PATIENCE_MS = 30_000;
/** The most characters that are kept of an answer. */
const MOST = 4 * 1024 * 1024;

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

/** One engine. */
export class Engine {
  readonly name: EngineName;
  readonly version: string;

  constructor(name: EngineName, version: string) {
    this.name = name;
    this.version = version;
  }

  /**
   * Starts a command. It has a process group of its own: a signal to the daemon's does not reach
   * it.
   *
   * @param env beside the daemon's own
   * @param cwd default: the daemon's
   */
  start(
    words: readonly string[],
    env: Readonly<Record<string, string>> = {},
    cwd?: string,
  ): EngineProcess {
    return spawn(this.name, words, {
      stdio: ["ignore", "pipe", "pipe"],
      cwd,
      env: { ...process.env, ...env },
      detached: true,
    });
  }

  /** Starts a command whose stdin is a pipe, as {@link start} does. */
  talk(words: readonly string[], env: Readonly<Record<string, string>> = {}): EngineTalk {
    return spawn(this.name, words, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...env },
      detached: true,
    });
  }

  /** Asks something. Never rejects. */
  ask(words: readonly string[], patienceMs = PATIENCE_MS): Promise<Answer> {
    return answerOf(this.name, words, patienceMs);
  }

  /**
   * How containers are. One that there is not is left out.
   *
   * @throws EngineError if the engine does not answer
   */
  async inspect(names: readonly string[]): Promise<ContainerState[]> {
    if (names.length === 0) return [];
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

  /** Ends and removes containers, at once. @returns what stood in the way; undefined: nothing */
  async remove(names: readonly string[]): Promise<string | undefined> {
    if (names.length === 0) return undefined;
    const now = this.name === "podman" ? ["--time", "0"] : [];
    const answer = await this.ask(["rm", "--force", "--volumes", ...now, ...names]);
    if (answer.status === 0) return undefined;
    // One that is gone already is no fault, and an engine may say that it is one.
    const left = await this.inspect(names).catch((error: unknown) => error as Error);
    if (left instanceof Error) return left.message;
    return left.length === 0 ? undefined : sentenceOf(answer);
  }
}

/** What asks for an engine's version, and so whether it answers. */
const VERSION_WORDS: { readonly [name in EngineName]: readonly string[] } = {
  podman: ["info", "--format", "{{.Version.Version}}"],
  docker: ["version", "--format", "{{.Server.Version}}"],
};

/**
 * The engine that answers.
 *
 * @param wanted the one of orchd.yaml; undefined: the first of {@link ENGINES} that answers
 * @throws EngineError, a sentence, if none does
 */
export async function findEngine(wanted: EngineName | undefined): Promise<Engine> {
  const why: string[] = [];
  for (const name of wanted === undefined ? ENGINES : [wanted]) {
    const answer = await answerOf(name, VERSION_WORDS[name], PATIENCE_MS);
    const version = answer.stdout.trim();
    if (answer.status === 0 && version !== "") return new Engine(name, version);
    why.push(`${name}: ${sentenceOf(answer)}`);
  }
  throw new EngineError(`no container engine answers (${why.join("; ")})`);
}

/** What an engine said as it failed: its last line, without the word before it. */
export function sentenceOf({ stderr, stdout, status }: Answer): string {
  const lines = `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
  // Docker ends with a hint about its help.
  const last = lines.findLast((line) => !/^((See|Run) '.+--help'|Usage: )/.test(line));
  if (last === undefined) return status === null ? "it did not answer" : `status ${status}`;
  return last
    .trim()
    .replace(/^(Error|docker|Error response from daemon): */, "")
    .replace(/\.$/, "")
    .slice(0, 500);
}

/** Whether an engine says that there is no such container. */
function saysGone(line: string): boolean {
  return /no such (container|object)/i.test(line);
}

function answerOf(program: string, words: readonly string[], patienceMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    let [stdout, stderr] = ["", ""];
    let child: EngineProcess;
    const failed = (error: Error): void => {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      const said = missing ? "it is not installed" : error.message;
      resolve({ status: null, stdout: "", stderr: said });
    };
    try {
      child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    } catch (error) {
      failed(error as Error);
      return;
    }
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
      failed(error);
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
