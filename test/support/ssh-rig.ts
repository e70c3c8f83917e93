/** A place over SSH for one test: a machine that is prepared, and the place that reaches it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { SshPlaceSettings } from "../../src/core/place-settings.ts";
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
  /** Resolves with its first line. */
  readonly begun: Promise<string>;
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
  run(name: string, more: Partial<ModuleTask> = {}): FarStarted {
    const code = { bundle: name, pick: "export:default", source: `./${name}.ts` };
    return this.start({ ...COMMON, kind: "module", code, isolated: false, ...more });
  }

  /** Starts any task there. */
  start(task: Task, options: StartOptions = {}, place = this.place): FarStarted {
    const lines: string[] = [];
    let begin!: (line: string) => void;
    const begun = new Promise<string>((resolve) => (begin = resolve));
    const ended = new Promise<FarEnd>((resolve) =>
      place.start(
        `rig@1#${(this.#started += 1)}`,
        task,
        {
          done: (result) => resolve({ result, lines }),
          died: (death) => resolve({ death, lines }),
          output: (more) => {
            lines.push(...more.map(({ line }) => line));
            begin(lines[0]!);
          },
        },
        options,
      ),
    );
    return { ended, begun };
  }

  /** Ends the runners there, as a crash of them does. */
  crashRunners(): void {
    for (const line of this.far.processes())
      if (/runner\.js \{/.test(line)) process.kill(Number(line.split(" ")[0]), "SIGKILL");
  }
}
