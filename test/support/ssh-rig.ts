/** A place over SSH for one test: a machine that is prepared, and the place that reaches it. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "./running-test.ts";
import { systemClock } from "../../src/clock.ts";
import type { SshPlaceSettings } from "../../src/core/place-settings.ts";
import type { PlacedAt } from "../../src/core/run-state.ts";
import type { ModuleTask, ShellTask, Task, TaskResult } from "../../src/core/task.ts";
import { silentLog, type Log } from "../../src/log.ts";
import type { DeathInfo, StartOptions } from "../../src/places/place.ts";
import { WIRE_PROTOCOL } from "../../src/places/pool/wire.ts";
import { prepareOnce } from "../../src/places/ssh/prepare.ts";
import { SshPlace } from "../../src/places/ssh/ssh-place.ts";
import { FarHost, type FarHostOptions } from "./sshd.ts";
import { tempRoot } from "./temp-root.ts";

const SHELL = ["/bin/sh", "-eu"];
const COMMON = {
  params: {},
  inputs: {},
  run: { id: "rig@1", pipeline: "rig", attempt: 1 },
  step: "it",
  env: {},
  gracePeriodMs: 300,
} as const;

/** What a rig is opened with. */
export interface SshRigOptions extends FarHostOptions {
  /** A machine that is there already. Default: one for this test. */
  readonly far?: FarHost | undefined;
  readonly threads?: number;
  readonly more?: Partial<SshPlaceSettings>;
  readonly log?: Log;
}

/** Where each part of a place runs, and a word of its command line. */
const PARTS = {
  "its client": ["here", " run "],
  "its connection": ["here", "orchd-connected"],
  "its front": ["there", "far-host.js run"],
  "its runner": ["there", "runner.js {"],
} as const;

/** This side's clients of a machine, as `pid command` lines. */
export function clientsOf(far: FarHost): string[] {
  return execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(` ${far.host} `));
}

/** The machines that are prepared. */
const ready = new WeakSet<FarHost>();

/** How a task ended, and what it printed. */
export interface FarEnd {
  readonly result?: TaskResult;
  readonly death?: DeathInfo;
  readonly lines: readonly string[];
}

/** A task that was started. */
export interface FarStarted {
  readonly ended: Promise<FarEnd>;
  /** Resolves with its first line. Rejects with how it ended, if it printed none. */
  readonly begun: Promise<string>;
  /** Resolves when the place says where it runs. */
  readonly placed: Promise<PlacedAt>;
}

/** A place over SSH. It is closed when the test is over. */
export class SshRig {
  readonly far: FarHost;
  readonly folder: string;
  readonly settings: SshPlaceSettings;
  place: SshPlace;
  #epoch = 0;
  #started = 0;
  readonly #log: Log;

  private constructor(far: FarHost, settings: SshPlaceSettings, log: Log) {
    this.#log = log;
    this.far = far;
    this.settings = settings;
    this.folder = tempRoot().root;
    mkdirSync(join(this.folder, "bundles"));
    this.place = this.reopen();
  }

  /** Opens one that is ready. */
  static async open(given: SshRigOptions = {}): Promise<SshRig> {
    const { threads = 2, more = {}, log = silentLog, ...options } = given;
    const far = given.far ?? (await FarHost.start(options));
    const settings = far.settings({ threads, ...more });
    if (!ready.has(far)) {
      const prepared = await prepareOnce(systemClock, settings, WIRE_PROTOCOL);
      if (!prepared.ok) throw new Error(prepared.because);
      ready.add(far);
    }
    const rig = new SshRig(far, settings, log);
    await rig.ready();
    return rig;
  }

  /** Makes `text` the module `name`. */
  module(name: string, text: string): void {
    writeFileSync(join(this.folder, "bundles", `${name}.mjs`), text);
  }

  /** Opens the place as the next daemon does. */
  reopen(): SshPlace {
    this.#epoch += 1;
    const place = new SshPlace({
      clock: systemClock,
      log: this.#log,
      name: "far",
      settings: this.settings,
      secrets: { get: (name) => name },
      root: this.folder,
      folder: join(this.folder, "place"),
      artifacts: join(this.folder, "artifacts"),
      bundles: join(this.folder, "bundles"),
      token: `rig.${this.#epoch}`,
      since: systemClock.monotonic(),
    });
    onTestFinished(() => place.close(true));
    return (this.place = place);
  }

  /** Resolves when the place takes steps. */
  ready(): Promise<void> {
    const { place } = this;
    return new Promise((resolve) => {
      const look = (): void => {
        if (place.whyNot() !== undefined) return;
        off();
        resolve();
      };
      const off = place.onCapacity(look);
      look();
    });
  }

  /** Starts a shell text there. */
  shell(
    text: string,
    { alone, ...more }: Partial<ShellTask> & StartOptions = {},
    place = this.place,
  ): FarStarted {
    const task: Task = { ...COMMON, kind: "shell", shell: SHELL, cwd: "", text, ...more };
    return this.start(task, { alone }, place);
  }

  /** Starts a module's default export there. */
  run(name: string, more: Partial<ModuleTask> = {}, options: StartOptions = {}): FarStarted {
    const code = { bundle: name, pick: "export:default", source: `./${name}.ts` };
    return this.start({ ...COMMON, kind: "module", code, isolated: false, ...more }, options);
  }

  /** Starts any task there. */
  start(task: Task, options: StartOptions = {}, place = this.place): FarStarted {
    const lines: string[] = [];
    let begin!: (line: string) => void;
    let ends!: (error: Error) => void;
    const begun = new Promise<string>((...both) => ([begin, ends] = both));
    begun.catch(() => undefined);
    let isPlaced!: (at: PlacedAt) => void;
    const placed = new Promise<PlacedAt>((resolve) => (isPlaced = resolve));
    const ended = new Promise<FarEnd>((resolve) => {
      const end = (how: FarEnd): void => {
        ends(new Error(`it ended: ${JSON.stringify(how)}`));
        resolve(how);
      };
      place.start(
        `rig@1#${(this.#started += 1)}`,
        task,
        {
          done: (result) => end({ result, lines }),
          died: (death) => end({ death, lines }),
          placed: isPlaced,
          output: (more) => {
            lines.push(...more.map(({ line }) => line));
            begin(lines[0]!);
          },
        },
        options,
      );
    });
    return { ended, begun, placed };
  }

  /** Ends a part of what tasks run in, once it is there, and waits until the place goes on. */
  async end(what: keyof typeof PARTS): Promise<void> {
    const until = async (
      holds: () => boolean,
      mostMs = Number.POSITIVE_INFINITY,
    ): Promise<void> => {
      for (const from = performance.now(); !holds() && performance.now() - from < mostMs;)
        await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await until(() => this.#linesOf(what).length > 0);
    // It may be there again before anybody looks.
    let wasLost = false;
    const off = this.place.onCapacity(() => (wasLost ||= this.place.whyNot() !== undefined));
    this.#kill(what);
    if (what === "its connection") {
      await until(() => wasLost, 5_000);
      // A client that came just then found none, made one of its own, and goes on by that.
      await until(() => this.place.tasks === 0, 5_000);
      while (this.place.tasks > 0) {
        this.#kill("its client");
        await until(() => this.place.tasks === 0, 1_000);
      }
    }
    off();
    // It may take no steps until it was looked at again.
    await until(() => this.place.tasks === 0);
    await this.ready();
  }

  /** The processes of a part, as `pid command` lines. */
  #linesOf(what: keyof typeof PARTS): string[] {
    const [where, word] = PARTS[what];
    const all = where === "there" ? this.far.processes() : clientsOf(this.far);
    return all.filter((line) => line.includes(word));
  }

  #kill(what: keyof typeof PARTS): void {
    for (const line of this.#linesOf(what))
      try {
        process.kill(Number(line.trim().split(" ")[0]), "SIGKILL");
      } catch {
        // It has ended.
      }
  }

  /** Ends the runners there, as a crash of them does. */
  crashRunners(): void {
    for (const line of this.far.processes())
      if (/runner\.js \{/.test(line)) process.kill(Number(line.split(" ")[0]), "SIGKILL");
  }
}
