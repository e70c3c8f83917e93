/**
 * Starts shells below a small process. To fork a runner takes time that grows with its memory: the
 * kernel copies its page tables, and then each page that either of the two writes. The spawner is
 * perl with a few MiB (spawner-program.ts). Where there is no perl, and until it is ready, the
 * runner starts shells itself (shell-process.ts); so it does with its first, which may stay its
 * only one.
 *
 * States: none -> starting -> ready -> none, when it has died. Absent for good where it never
 * becomes ready.
 *
 * It carries its runner's token with {@link SPAWNER} as if it were an attempt. So whatever ends
 * what a runner leaves ends it too, and all that is below it. A child of it that has not become a
 * shell yet carries the same: a spare, which is forked before there is a shell for it.
 *
 * When it dies, each of its shells may have ended it, and nobody can tell how these end. `died`
 * hears that when the spawner is gone and its last answers are read.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { getSystemErrorName } from "node:util";
import { TOKEN_VARIABLE } from "../../core/task.ts";
import { startsLater } from "../../disk/process-start.ts";
import { release } from "../../steps/line-capture.ts";
import { killByToken } from "../pool/kill-by-token.ts";
import { SIGNAL_NAMES } from "../shell-result.ts";
import {
  startShell,
  type ShellCommand,
  type ShellListener,
  type ShellProcess,
} from "./shell-process.ts";
import { SPAWNER_NAME, SPAWNER_PROGRAM, SPAWNER_WORDS } from "./spawner-program.ts";

/** Stands in the spawner's token where an attempt has its id. */
const SPAWNER = "spawner";
/** The numbers of the system calls that the spawner makes itself, by `process.arch`. */
const SYSTEM_CALLS: Readonly<
  Record<string, readonly [setsid: number, execve: number, dup3: number, rtSigaction: number]>
> = {
  x64: [112, 59, 292, 13],
  ia32: [66, 11, 330, 174],
  arm: [66, 11, 358, 174],
  arm64: [157, 221, 24, 134],
  riscv64: [157, 221, 24, 134],
  loong64: [157, 221, 24, 134],
  ppc64: [66, 11, 316, 173],
  s390x: [66, 11, 326, 174],
};
/** How often it may end before it is ready. Then there is none. */
const TRIES = 3;
/** How long the last answers of a dead spawner may take to be read, in milliseconds. */
const LAST_WORDS_MS = 250;
/** How often it is asked for a sign of life while it has shells, in milliseconds. */
const ASK_MS = 5_000;
/** How many questions may go unanswered. */
const UNANSWERED = 6;
/** How long it may take to tell the end of a shell that was sent SIGKILL, in milliseconds. */
const END_MS = 750;
/** The bytes of an answer before its text. */
const HEAD = 9;

/** A shell below the spawner. */
interface Spawned {
  readonly listener: ShellListener;
  readonly command: ShellCommand;
  hasEnded: boolean;
  /** The runner's own child in its place. */
  own?: ShellProcess;
}

/** Starts the shells of one runner. */
export class Spawner {
  readonly #token: string;
  readonly #died: (because: string, lost: ReadonlySet<ShellListener>) => void;
  readonly #shells = new Map<number, Spawned>();
  /** Processes that wait to become its next shells, the first one first. */
  readonly #spares: number[] = [];
  /** Shells that become the next spares that are told. */
  readonly #unbegun: number[] = [];
  #process: ChildProcess | undefined;
  #isReady = false;
  /** How often it ended before it was ready. */
  #failures = 0;
  /** How many shells were started, by the runner too. */
  #started = 0;
  /** The beginning of an answer. */
  #rest: Buffer | undefined;
  /** What a shell printed, whose end has not come: it may be long, and nobody waits for it. */
  #printing = { id: 0, stream: "stdout" as "stdout" | "stderr", left: 0 };
  #unanswered = 0;
  #isRead = true;
  #verdict: string | undefined;

  /**
   * @param token the runner's
   * @param died hears why the spawner died, and whose end is not known
   */
  constructor(token: string, died: (because: string, lost: ReadonlySet<ShellListener>) => void) {
    this.#token = token;
    this.#died = died;
    setInterval(() => this.#ask(), ASK_MS).unref();
  }

  /** Starts a shell. Whoever started it hears all that becomes of it, at once or later. */
  start(command: ShellCommand, listener: ShellListener): ShellProcess {
    this.#started += 1;
    if (this.#process === undefined && this.#started > 1 && this.#failures < TRIES) this.#begin();
    const parts = [command.cwd, String(command.words.length), ...command.words];
    for (const [name, value] of Object.entries(command.env)) parts.push(`${name}=${value}`);
    // Node refuses a NUL in its own words.
    if (!this.#isReady || parts.some((part) => part.includes("\0")))
      return startShell(command, listener);
    const id = this.#started;
    const shell: Spawned = { listener, command, hasEnded: false };
    this.#shells.set(id, shell);
    const spare = this.#spares.shift();
    if (spare === undefined) this.#unbegun.push(id);
    else listener.began(spare);
    this.#request("s", `${id}\0${parts.join("\0")}`);
    return {
      mute: () => (shell.own === undefined ? this.#request("m", String(id)) : shell.own.mute()),
      // All of them have one pipe: see {@link read}.
      read: (isRead) => shell.own?.read(isRead),
      expectEnd: () => this.#expectEnd(id),
    };
  }

  /** Processes that wait to become shells. */
  get spares(): readonly number[] {
    return this.#spares;
  }

  /** Whether what its shells say and print is read now. */
  read(isRead: boolean): void {
    this.#isRead = isRead;
    if (isRead) this.#process?.stdout?.resume();
    else this.#process?.stdout?.pause();
  }

  #expectEnd(id: number): void {
    setTimeout(() => {
      if (this.#shells.get(id)?.hasEnded !== false) return;
      if (this.#isRead) this.#condemn("did not tell the end of a shell");
      else this.#expectEnd(id);
    }, END_MS).unref();
  }

  #begin(): void {
    const calls = process.platform === "linux" ? SYSTEM_CALLS[process.arch] : undefined;
    if (calls === undefined) {
      this.#failures = TRIES;
      return;
    }
    let child: ChildProcess;
    try {
      child = spawn("perl", [...SPAWNER_WORDS, ...calls.map(String)], {
        argv0: SPAWNER_NAME,
        detached: true,
        // In any other folder it would keep that from being removed or unmounted.
        cwd: "/",
        stdio: ["pipe", "pipe", "ignore"],
        // Not the runner's own: variables such as PERL5OPT change what perl does.
        env: { PATH: process.env["PATH"], LD_BIND_NOW: "1", [TOKEN_VARIABLE]: this.#spawnerToken },
      });
    } catch (error) {
      if (!startsLater(error)) this.#failures += 1;
      return;
    }
    this.#process = child;
    child.on("error", (error) => {
      // That says nothing of perl: the next shell tries again.
      if (child.pid === undefined && startsLater(error)) this.#failures -= 1;
      this.#bury(child, "could not be started");
    });
    child.stdin?.on("error", () => {});
    // Nothing follows before it says that it is ready: perl may read more than the program.
    child.stdin?.write(`${SPAWNER_PROGRAM}\0`);
    child.stdout?.on("data", (chunk: Buffer) => this.#take(chunk)).on("error", () => {});
    if (!this.#isRead) child.stdout?.pause();
    child.on("exit", (status, signal) => {
      // A child that is no shell yet holds the pipe of the answers.
      killByToken(this.#spawnerToken);
      const end = (): void => {
        clearTimeout(timer);
        child.stdout?.destroy();
        this.#bury(
          child,
          signal === null ? `ended with status ${status}` : `was ended by ${signal}`,
        );
      };
      const timer = setTimeout(end, LAST_WORDS_MS);
      child.on("close", end);
    });
    child.unref();
    for (const pipe of [child.stdin, child.stdout]) (pipe as { unref?(): void } | null)?.unref?.();
  }

  get #spawnerToken(): string {
    return `${this.#token}/${SPAWNER}`;
  }

  #bury(child: ChildProcess, how: string): void {
    if (this.#process !== child) return;
    if (!this.#isReady) this.#failures += 1;
    this.#process = undefined;
    this.#isReady = false;
    this.#rest = undefined;
    this.#printing.left = 0;
    this.#unanswered = 0;
    this.#spares.length = 0;
    this.#unbegun.length = 0;
    const because = `the spawner of the runner's shells ${this.#verdict ?? how}`;
    this.#verdict = undefined;
    const shells = [...this.#shells.values()];
    this.#shells.clear();
    const lost = shells.filter(({ hasEnded }) => !hasEnded).map(({ listener }) => listener);
    if (lost.length > 0) this.#died(because, new Set(lost));
    for (const { listener, hasEnded } of shells) if (hasEnded) listener.closed();
  }

  #condemn(verdict: string): void {
    this.#verdict ??= verdict;
    this.#process?.kill("SIGKILL");
  }

  #ask(): void {
    if (!this.#isReady || !this.#isRead || this.#shells.size === 0) this.#unanswered = 0;
    else if (this.#unanswered >= UNANSWERED)
      this.#condemn(`did not answer for ${(UNANSWERED * ASK_MS) / 1_000} s`);
    else {
      this.#unanswered += 1;
      this.#request("a", "");
    }
  }

  #request(letter: string, text: string): void {
    const bytes = Buffer.allocUnsafe(5 + Buffer.byteLength(text));
    bytes.writeUInt32BE(bytes.length - 4);
    bytes.write(letter, 4, "latin1");
    bytes.write(text, 5);
    this.#process?.stdin?.write(bytes);
  }

  #take(chunk: Buffer): void {
    this.#unanswered = 0;
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = this.#print(bytes, 0);
    while (bytes.length - at >= HEAD) {
      const id = bytes.readUInt32BE(at);
      const letter = String.fromCharCode(bytes[at + 4]!);
      const length = bytes.readUInt32BE(at + 5);
      if (letter === "o" || letter === "e") {
        this.#printing = { id, stream: letter === "o" ? "stdout" : "stderr", left: length };
        at = this.#print(bytes, at + HEAD);
        continue;
      }
      const end = at + HEAD + length;
      if (end > bytes.length) break;
      this.#hear(id, letter, bytes.toString("latin1", at + HEAD, end));
      at = end;
    }
    this.#rest = at === bytes.length ? undefined : Buffer.from(bytes.subarray(at));
    release(chunk);
    if (bytes !== chunk) release(bytes);
  }

  /** Passes on what is there of an output that is under way. @returns where it ends */
  #print(bytes: Buffer, at: number): number {
    const { id, stream, left } = this.#printing;
    if (left === 0 || at === bytes.length) return at;
    const part = bytes.subarray(at, at + left);
    this.#printing.left -= part.length;
    this.#shells.get(id)?.listener.output(stream, part);
    return at + part.length;
  }

  /** The spawner takes a spare for each shell, both in their order; so does this. */
  #pair(spare: number): void {
    const id = this.#unbegun.shift();
    if (id === undefined) this.#spares.push(spare);
    else this.#shells.get(id)?.listener.began(spare);
  }

  #hear(id: number, letter: string, text: string): void {
    if (letter === "r") this.#isReady = true;
    if (letter === "p") this.#pair(Number(text));
    const shell = this.#shells.get(id);
    if (shell === undefined) return;
    const { listener } = shell;
    switch (letter) {
      case "n":
        if (listener.isTold) endShell(shell, Number(text));
        else {
          this.#shells.delete(id);
          shell.own = startShell(shell.command, listener);
        }
        break;
      case "x":
        endShell(shell, Number(text));
        break;
      case "c":
        this.#shells.delete(id);
        listener.closed();
        break;
      case "f":
        this.#shells.delete(id);
        if (this.#unbegun.includes(id)) this.#unbegun.splice(this.#unbegun.indexOf(id), 1);
        listener.failed(spawnError(Number(text), shell.command.words[0]), true);
        break;
    }
  }
}

/** Tells how a shell ended. @param status as wait(2) gives it */
function endShell(shell: Spawned, status: number): void {
  shell.hasEnded = true;
  const signal = status & 0x7f;
  if (signal === 0) shell.listener.exited(status >> 8, null);
  else shell.listener.exited(null, SIGNAL_NAMES.get(signal) ?? `signal ${signal}`);
}

/** The error that Node gives where it starts a program itself. */
function spawnError(number: number, program: string): Error {
  const code = getSystemErrorName(-number);
  return Object.assign(new Error(`spawn ${NAMED.has(code) ? `${program} ` : ""}${code}`), { code });
}

/** Errors in which Node names the program. */
const NAMED: ReadonlySet<string> = new Set(["EACCES", "EAGAIN", "EMFILE", "ENFILE", "ENOENT"]);
