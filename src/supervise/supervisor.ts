/**
 * Keeps one program running beside the daemon: starts it, starts it again when it ends, and ends it
 * when it is no longer wanted. The daemon never waits for it, but for a second at its own end.
 *
 * States: none is wanted (`idle`) -> `starting` (the process is there) -> `serving` (it said so) ->
 * gone. A program that is still wanted then waits (`waiting`) and starts again. One that is told to
 * end is `ending` until its process is gone; only then may the next one start, so two never hold
 * one port.
 *
 * Invariants: at most one process; at least a second between two starts, but where a person changed
 * the settings; what happens to the program throws nothing here.
 *
 * The wait doubles from a second to a minute. Each three seconds of serving take one doubling back:
 * a program that is killed now and then is back in a second. One that does not serve within a
 * minute is ended: something holds it up.
 *
 * What it prints goes into the log. Of a program that ends before it serves, the same lines are
 * told once an hour, so a taken port does not fill the log.
 *
 * Rejected: to restart at once and count restarts (a hot loop until the count is reached, then no
 * program for ever); to leave it to systemd alone (a daemon in a terminal or a container has none).
 */
import type { Clock, Timer } from "../clock.ts";
import type { Log } from "../log.ts";

/** The wait before the first restart and the longest, in milliseconds. */
const SHORTEST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/**
 * How long a program has to serve for one doubling of the wait to be taken back, in milliseconds.
 */
const FORGIVEN_MS = 3_000;
/** How long it may take until it serves, in milliseconds. */
const START_MS = 60_000;
/** How long it may take to end when it is told to, in milliseconds. */
const END_MS = 1_000;
/** How often one reason is told, in milliseconds. */
const TELL_AGAIN_MS = 3_600_000;

/** A process that was started. */
export interface Child {
  readonly pid: number | undefined;
  /** Tells it to end. */
  end(): void;
  /** Ends it at once. */
  kill(): void;
}

/** Hears what a process does. */
export interface ChildListener {
  /** It serves. Called at most once. */
  serves(): void;
  /** It printed a line, which is fit for a log. */
  said(line: string): void;
  /**
   * It is gone: called once, after all else.
   *
   * @param how for people, to follow its name: `ended with status 1: the port is taken`
   */
  gone(how: string): void;
}

/** What a supervisor needs. */
export interface SupervisorPorts<Program> {
  readonly clock: Clock;
  readonly log: Log;
  /** Starts the program. What goes wrong is told by `gone`, or thrown. */
  readonly start: (program: Program, listener: ChildListener) => Child;
}

type State = "idle" | "starting" | "serving" | "ending" | "waiting";

/** Keeps a program running. `Program` says how it is started; it is compared as JSON. */
export class Supervisor<Program> {
  readonly #name: string;
  readonly #ports: SupervisorPorts<Program>;
  #state: State = "idle";
  #wanted: Program | undefined;
  #child: Child | undefined;
  #timer: Timer | undefined;
  /** How often in a row it ended. Serving takes some of that back. */
  #failures = 0;
  #servedSince: number | undefined;
  /** What it printed before it served. */
  #said: string[] = [];
  #told: { readonly text: string; readonly at: number } | undefined;
  #closed = false;
  #onIdle: (() => void)[] = [];

  /** @param name for the log: `the page` */
  constructor(name: string, ports: SupervisorPorts<Program>) {
    this.#name = name;
    this.#ports = ports;
  }

  /** For tests and the log. */
  get state(): State {
    return this.#state;
  }

  /** The process's id, while there is one. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Says what shall run from now on; undefined: nothing. The program that runs goes on if it is the
   * same.
   */
  want(program: Program | undefined): void {
    if (this.#closed) return;
    const same = JSON.stringify(program) === JSON.stringify(this.#wanted);
    this.#wanted = program;
    if (same) return;
    this.#failures = 0;
    this.#told = undefined;
    if (this.#state === "starting" || this.#state === "serving") this.#end();
    else if (this.#state !== "ending") this.#begin();
  }

  /** Ends the program for good. Resolves when its process is gone. */
  async close(): Promise<void> {
    this.want(undefined);
    this.#closed = true;
    if (this.#state !== "idle") await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  /** Starts what is wanted, now. */
  #begin(): void {
    this.#timer?.cancel();
    const program = this.#wanted;
    if (program === undefined) return this.#rest();
    this.#state = "starting";
    this.#said = [];
    let over = false;
    const listener: ChildListener = {
      serves: () => {
        if (!over) this.#serves();
      },
      said: (line) => {
        if (this.#state === "starting") this.#said.push(line);
        else this.#repeat(line);
      },
      gone: (how) => {
        if (over) return;
        over = true;
        this.#gone(how);
      },
    };
    this.#timer = this.#ports.clock.after(START_MS, () => {
      this.#ports.log.warn({}, `${this.#name} did not serve within ${START_MS / 1_000} s: it ends`);
      this.#child?.kill();
    });
    try {
      const child = this.#ports.start(program, listener);
      if (!over) this.#child = child;
    } catch (error) {
      listener.gone(`could not be started: ${(error as Error).message}`);
    }
  }

  #serves(): void {
    if (this.#state !== "starting") return;
    this.#timer?.cancel();
    this.#state = "serving";
    this.#servedSince = this.#ports.clock.monotonic();
    this.#told = undefined;
    for (const line of this.#said.splice(0)) this.#repeat(line);
  }

  #end(): void {
    this.#timer?.cancel();
    this.#state = "ending";
    this.#child?.end();
    this.#timer = this.#ports.clock.after(END_MS, () => this.#child?.kill());
  }

  #gone(how: string): void {
    this.#timer?.cancel();
    this.#child = undefined;
    const since = this.#servedSince;
    this.#servedSince = undefined;
    if (this.#state === "ending") return this.#begin();
    const { clock } = this.#ports;
    if (since !== undefined) {
      const forgiven = Math.floor((clock.monotonic() - since) / FORGIVEN_MS);
      this.#failures = Math.max(0, this.#failures - forgiven);
    }
    const waitMs = Math.min(LONGEST_WAIT_MS, SHORTEST_WAIT_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#state = "waiting";
    this.#tell(how, waitMs);
    this.#timer = clock.after(waitMs, () => this.#begin());
  }

  /** Tells why the program ended; what it printed before it served goes before that. */
  #tell(how: string, waitMs: number): void {
    const { clock, log } = this.#ports;
    const at = clock.monotonic();
    const said = this.#said.splice(0);
    const text = [how, ...said].join("\n");
    const again = this.#told?.text === text && at - this.#told.at < TELL_AGAIN_MS;
    if (!again) this.#told = { text, at };
    if (!again && said.length > 1) for (const line of said) this.#repeat(line);
    const reason = said.length === 1 ? `${how}: ${logLineOf(said[0]!).message}` : how;
    const sentence =
      `${this.#name} ${reason.replace(/[.]+$/, "")}; it is started again in ${waitMs / 1_000} s` +
      (this.#failures > 1 ? `, and then every ${LONGEST_WAIT_MS / 1_000} s at the latest` : "");
    if (again) log.debug({}, sentence);
    else log.warn({}, sentence);
  }

  /** A line of the program in the daemon's log. */
  #repeat(line: string): void {
    const { level, message } = logLineOf(line);
    this.#ports.log[level]({ from: this.#name }, message);
  }

  #rest(): void {
    this.#state = "idle";
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}

const LEVELS: Readonly<Record<string, keyof Log>> = {
  trace: "debug",
  debug: "debug",
  info: "info",
  warn: "warn",
  error: "error",
  fatal: "error",
};

/** A line as a log takes it. A program that logs JSON says its own level; others warn. */
function logLineOf(line: string): { readonly level: keyof Log; readonly message: string } {
  const plain = { level: "warn", message: line } as const;
  if (!line.startsWith("{")) return plain;
  try {
    const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
    if (typeof msg !== "string") return plain;
    return { level: LEVELS[String(level)] ?? "warn", message: msg };
  } catch {
    return plain;
  }
}
