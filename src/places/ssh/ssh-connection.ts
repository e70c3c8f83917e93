/**
 * One connection to a host, which all that runs there shares: OpenSSH's ControlMaster, a process of
 * its own. A command in it costs no new handshake.
 *
 * States: **connecting** -> **up** -> **down** -> connecting, and **closed** from any of them. It
 * is up when the command of the connection itself has printed a line there: so the account runs
 * commands, and the socket for others is open. It is down as the client's process ends: it asks the
 * host for a sign of life, so a dead link shows within 8 s. It then connects again, after a second
 * at first and half a minute at most.
 *
 * The connection's own command reads until its input ends. So a daemon that is killed leaves no
 * connection behind: the kernel closes the pipe, the command ends, and the client with it.
 *
 * What runs over it is not told when it goes down: each command ends by itself, since its client
 * does. A host that allows few commands in one connection (`MaxSessions`) refuses a further one;
 * the client then makes a connection of its own for it.
 *
 * Rejected: `ControlPersist`, since nobody would end what a killed daemon left; a library that
 * speaks SSH, since the client reads what a person set up for it: keys, agents, jumps, aliases.
 */
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { lstatSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApart } from "../../disk/apart-program.ts";
import type { Clock, Timer } from "../../clock.ts";
import type { SshPlaceSettings } from "../../core/place-settings.ts";
import { startsLater, whatLacks } from "../../disk/process-start.ts";
import { lastLine, sshSentence } from "./ssh-sentence.ts";
import { CONNECT_S, hostText, sshWords } from "./ssh-words.ts";

/** What the connection's own command prints first. */
const READY = "orchd-connected";
/** How long a connection may take, with its authentication, in milliseconds. */
const PATIENCE_MS = (CONNECT_S + 10) * 1_000;
/** How long it rests before it connects again, in milliseconds. */
const FIRST_REST_MS = 1_000;
const LONGEST_REST_MS = 30_000;
/** How much of what the client prints is kept, in characters. */
const MOST = 16_384;

/** How a connection is. */
export type ConnectionState =
  | { readonly kind: "connecting"; readonly because?: string | undefined }
  | { readonly kind: "up" }
  /** `because` is a sentence. */
  | { readonly kind: "down"; readonly because: string };

/** A command that runs there, or is about to. */
export type FarProcess = ChildProcessWithoutNullStreams;

/** How a command there ended. */
export interface FarAnswer {
  /** 255: the client failed. Null: it was ended. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a connection needs. */
export interface ConnectionOptions {
  readonly clock: Clock;
  readonly settings: SshPlaceSettings;
  /** Hears each change. */
  readonly onState: (state: ConnectionState) => void;
}

/** The shared connection to one host. */
export class SshConnection {
  readonly #clock: Clock;
  readonly #settings: SshPlaceSettings;
  readonly #onState: (state: ConnectionState) => void;
  /** The folder of the socket: its path must be short, and only this user may enter it. */
  #folder: string | undefined;
  #master: FarProcess | undefined;
  #state: ConnectionState = { kind: "connecting" };
  #rest = FIRST_REST_MS;
  #timer: Timer | undefined;
  #closed = false;

  constructor({ clock, settings, onState }: ConnectionOptions) {
    this.#clock = clock;
    this.#settings = settings;
    this.#onState = onState;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Connects, and again whenever it is down. */
  open(): void {
    if (this.#closed || this.#master !== undefined) return;
    this.#timer?.cancel();
    const because = this.#state.kind === "down" ? this.#state.because : undefined;
    this.#tell({ kind: "connecting", because });
    let master: FarProcess;
    try {
      // Whoever cleans up `/tmp` may have removed it, and the client ends where it has no socket.
      if (this.#folder === undefined || !isOwn(this.#folder))
        this.#folder = mkdtempSync(join(shortFolder(), "orchd-ssh-"));
      // `exec` and a redirection mean the same in every shell.
      master = startClient(this.#words("master", `echo ${READY} && exec cat >/dev/null`));
    } catch (error) {
      this.#fell(startFault(error as Error));
      return;
    }
    this.#master = master;
    // One that was not started may have no pipes.
    if (master.pid === undefined)
      master.on("error", (error) => this.#ended(master, startFault(error)));
    else this.#watch(master);
  }

  /** The client's words for a command in it. */
  words(command: string): string[] {
    return this.#words("session", command);
  }

  /**
   * Runs a command there to its end. It has a process group here: a signal to the daemon's does not
   * reach it. Never rejects.
   *
   * @param input for its stdin
   */
  ask(command: string, input: string | Buffer = "", patienceMs = 60_000): Promise<FarAnswer> {
    return new Promise((resolve) => {
      const unstarted = (error: Error): void =>
        resolve({ status: null, stdout: "", stderr: startFault(error) });
      let child: FarProcess;
      try {
        child = startClient(this.words(command));
      } catch (error) {
        return unstarted(error as Error);
      }
      // One that was not started may have no pipes.
      if (child.pid === undefined) return void child.on("error", unstarted);
      const said = { stdout: "", stderr: "" };
      for (const stream of ["stdout", "stderr"] as const)
        child[stream].setEncoding("utf8").on("data", (text: string) => {
          said[stream] = (said[stream] + text).slice(-MOST);
        });
      const timer = this.#clock.after(patienceMs, () => {
        said.stderr += `\nit did not answer within ${patienceMs / 1_000} s`;
        child.kill("SIGKILL");
      });
      child.on("error", () => undefined);
      child.on("close", (status) => {
        timer.cancel();
        resolve({ status, ...said });
      });
      child.stdin.on("error", () => undefined);
      child.stdin.end(input);
    });
  }

  /** What a command's client said, as a sentence. */
  sentence(stderr: string): string {
    return sshSentence(this.#settings, stderr);
  }

  /** Ends the connection. What still runs in it ends too. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    const master = this.#master;
    if (master !== undefined && master.exitCode === null && master.signalCode === null) {
      const gone = new Promise((resolve) => master.once("close", resolve));
      master.kill("SIGTERM");
      const timer = this.#clock.after(1_000, () => master.kill("SIGKILL"));
      await gone;
      timer.cancel();
    }
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  #words(role: "master" | "session", command: string): string[] {
    const control = this.#folder === undefined ? undefined : join(this.#folder, "s");
    return sshWords(this.#settings, control, role, command);
  }

  #watch(master: FarProcess): void {
    let [stdout, stderr] = ["", ""];
    const timer = this.#clock.after(PATIENCE_MS, () => {
      stderr += `\nit did not answer within ${PATIENCE_MS / 1_000} s`;
      master.kill("SIGKILL");
    });
    master.stdin.on("error", () => undefined);
    master.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-MOST);
    });
    master.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (this.#state.kind === "up") return;
      stdout = (stdout + text).slice(-MOST);
      // A shell may greet before it.
      if (!stdout.split("\n").slice(0, -1).includes(READY)) return;
      timer.cancel();
      this.#rest = FIRST_REST_MS;
      this.#tell({ kind: "up" });
    });
    master.on("error", () => undefined);
    master.on("close", (status) => {
      timer.cancel();
      this.#ended(master, this.#because(status, stdout, stderr));
    });
  }

  #because(status: number | null, stdout: string, stderr: string): string {
    const name = hostText(this.#settings);
    if (this.#state.kind === "up") {
      const said = lastLine(stderr);
      return `the connection to ${name} broke${said === undefined ? "" : `: ${said}`}`;
    }
    if (status === 255 || status === null) return this.sentence(stderr);
    const said = lastLine(`${stdout}\n${stderr}`);
    return `the account runs no commands on ${name}${said === undefined ? "" : `: ${said}`}`;
  }

  #ended(master: FarProcess, because: string): void {
    if (this.#master !== master) return;
    this.#master = undefined;
    this.#fell(because);
  }

  #fell(because: string): void {
    if (this.#closed) return;
    this.#timer = this.#clock.after(this.#rest, () => this.open());
    this.#rest = Math.min(2 * this.#rest, LONGEST_REST_MS);
    this.#tell({ kind: "down", because });
  }

  #tell(state: ConnectionState): void {
    this.#state = state;
    if (!this.#closed) this.#onState(state);
  }
}

function startFault(error: Error): string {
  if ((error as NodeJS.ErrnoException).code === "ENOENT")
    return "the OpenSSH client is not installed on this machine: install openssh-client";
  return startsLater(error) ? whatLacks(error) : error.message;
}

/** A socket's path has 108 bytes at most, and the client adds some to it at first. */
function shortFolder(): string {
  const folder = process.env["RUNTIME_DIRECTORY"]?.split(":")[0] ?? tmpdir();
  return Buffer.byteLength(folder) <= 50 ? folder : "/tmp";
}

/** Whether a folder is still there. Once it is removed, anybody can take its name. */
function isOwn(folder: string): boolean {
  const stats = lstatSync(folder, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === process.geteuid?.();
}

/** Starts the client, in a process group of its own. @throws a Node error */
function startClient(words: readonly string[]): FarProcess {
  return startApart("ssh", words, { detached: true }) as FarProcess;
}
