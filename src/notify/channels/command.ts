/**
 * A command: a program of the machine is run for each message. It gets words, never a shell's text,
 * so nothing in an alert can become a command.
 *
 * - Its environment is what a shell step has (docs/semantics.md 16): PATH, HOME, LANG and TZ, `env`
 *   of orchd.yaml, `env` of the channel, and at last ORCHD_ALERT_*. Secrets are in its environment
 *   alone, never in its words, which every user of the machine can read.
 * - The message stands on its stdin, as a webhook gets it. A program that does not read it is fine.
 * - It runs in the root, in a process group of its own. When its time is over the group gets
 *   SIGTERM, and 2 s later SIGKILL. What is left of the group when the program ends is ended too.
 * - Status 0 is a message sent. The end of what it printed is the reason of any other.
 */
import { spawn, type ChildProcess } from "node:child_process";
import type { ChannelSettings } from "../../core/notify-settings.ts";
import { environmentFault } from "../../core/environment-limits.ts";
import { withoutControls } from "../../core/failure.ts";
import { inheritedEnvironment } from "../../core/inherited-environment.ts";
import type { Channel, Message, Sent } from "../channel.ts";
import type { ChannelSecrets } from "../secrets.ts";
import type { ChannelHost } from "./channel-host.ts";
import { oneLine, wellFormed } from "./plain-text.ts";
import { webhookBody } from "./webhook-body.ts";

type CommandSettings = Extract<ChannelSettings, { kind: "command" }>;

/** From SIGTERM to SIGKILL, in milliseconds. */
const GRACE_MS = 2_000;
/** How long after its end a program's output may still come, in milliseconds. */
const LAST_OUTPUT_MS = 500;
/** How much of the end of its output is kept, in bytes, and how much of that is told. */
const TAIL_BYTES = 4_096;
const SAID = 300;

/** Why a program cannot be started, by Node's code. */
const CANNOT_START: Readonly<Record<string, string>> = {
  ENOENT: "is not there: give its whole path, or a name of the PATH of orchd notify",
  EACCES: "may not be run: check its mode and its owner",
  E2BIG: "gets more words and variables than the system allows",
};

/** Runs a program for each message. */
export class CommandChannel implements Channel {
  readonly name: string;
  readonly #settings: CommandSettings;
  readonly #secrets: ChannelSecrets;
  readonly #host: ChannelHost;

  constructor(name: string, settings: CommandSettings, secrets: ChannelSecrets, host: ChannelHost) {
    this.name = name;
    this.#settings = settings;
    this.#secrets = secrets;
    this.#host = host;
  }

  async send(message: Message, signal: AbortSignal): Promise<Sent> {
    if (signal.aborted) return this.#failure("was not run: orchd notify ends");
    try {
      const ended = await this.#run(
        this.#environment(message),
        `${webhookBody(message)}\n`,
        signal,
      );
      return ended.status === 0 && !ended.isLate
        ? { ok: true, answer: "exit status 0" }
        : this.#failure(sentenceOf(ended, (text) => this.#speakable(text)));
    } catch (error) {
      const { code = "", message: words } = error as NodeJS.ErrnoException;
      return this.#failure(CANNOT_START[code] ?? `cannot be run: ${words}`);
    }
  }

  close(): void {
    // A program ends with its message.
  }

  #failure(clause: string): Sent {
    const text = `${this.#settings.run[0]} ${clause}`;
    return { ok: false, because: oneLine(this.#speakable(text), SAID) };
  }

  #speakable(text: string): string {
    return this.#secrets.mask(withoutControls(text));
  }

  /** @throws Error, a clause, if a secret is missing or a variable cannot be given */
  #environment(message: Message): Record<string, string> {
    const own = { ...this.#host.variables, ...this.#settings.env };
    const env = {
      ...inheritedEnvironment(this.#host.env),
      ...Object.fromEntries(
        Object.entries(own).map(([name, value]) => [name, this.#secrets.read(value)]),
      ),
      ...alertVariables(message),
    };
    const fault = environmentFault(env);
    if (fault !== undefined) throw new Error(`env ${fault.name ?? ""} ${fault.message}`);
    return env;
  }

  #run(env: Record<string, string>, input: string, signal: AbortSignal): Promise<Ended> {
    const [program = "", ...words] = this.#settings.run;
    const child = spawn(program, words, {
      cwd: this.#host.root,
      env,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    return ended(child, input, this.#host, signal);
  }
}

/** How a program ended, and the end of what it printed. */
interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Whether it was told to end. */
  readonly isLate: boolean;
  readonly output: string;
}

/** @param speakable takes secrets out of a text: a cut could leave a part of one */
function sentenceOf(
  { status, signal, isLate, output }: Ended,
  speakable: (text: string) => string,
): string {
  const end = isLate
    ? "did not end in time"
    : status === null
      ? `was ended by ${signal}`
      : `ended with status ${status}`;
  const words = speakable(output).trim();
  return words === "" ? end : `${end}: ${lastPart(words)}`;
}

/** The end of a text, as the last lines of a program tell why it failed. */
const lastPart = (text: string): string => {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length <= SAID / 2 ? line : `…${line.slice(-SAID / 2)}`;
};

/** Gives a program its input and waits for its end. */
function ended(
  child: ChildProcess,
  input: string,
  { clock }: ChannelHost,
  signal: AbortSignal,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    let tail = Buffer.alloc(0);
    let isLate = false;
    const keep = (chunk: Buffer): void => {
      tail = Buffer.concat([tail, chunk]).subarray(-TAIL_BYTES);
    };
    const stop = (): void => {
      isLate = true;
      kill(child, "SIGTERM");
      killing = clock.after(GRACE_MS, () => kill(child, "SIGKILL"));
    };
    let killing = { cancel: () => {} };
    const over = (): void => {
      killing.cancel();
      signal.removeEventListener("abort", stop);
    };
    signal.addEventListener("abort", stop, { once: true });
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    // It ended, or closed its stdin, without having read the message.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
    child.on("error", (error) => {
      over();
      reject(error);
    });
    child.on("exit", (status, by) => {
      over();
      kill(child, "SIGKILL");
      const settle = (): void => {
        last.cancel();
        child.stdout?.destroy();
        child.stderr?.destroy();
        // A cut at the front may have left a part of a character.
        const output = tail.toString().replace(/^\uFFFD+/, "");
        resolve({ status, signal: by, isLate, output });
      };
      const last = clock.after(LAST_OUTPUT_MS, settle);
      child.on("close", settle);
    });
  });
}

/** Signals a program's group. */
function kill({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Nothing of the group is left.
  }
}

/** What a small program wants to know without reading JSON. What does not apply is empty. */
function alertVariables({ alert, title, text, url }: Message): Record<string, string> {
  const values: Record<string, string | number | undefined> = {
    KEY: alert.key,
    KIND: alert.kind,
    OF: alert.of,
    CHANNEL: alert.channel,
    PIPELINE: alert.pipeline,
    RUN: alert.run,
    STATUS: alert.status,
    BECAUSE: alert.because,
    AT: alert.at,
    COUNT: alert.count,
    TITLE: title,
    TEXT: text,
    URL: url,
  };
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      `ORCHD_ALERT_${name}`,
      wellFormed(String(value ?? "")).replaceAll("\0", ""),
    ]),
  );
}
