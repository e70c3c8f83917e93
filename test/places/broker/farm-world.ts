/**
 * A farm in memory: one daemon's place, and workers as they are, on one engine and one virtual
 * clock. Each process can be frozen, cut off, killed and started again. What a worker's runners do
 * is played: a task runs for a while, prints lines, and ends.
 *
 * It watches what nobody in it knows: which attempts run where ({@link FarmWorld.running}), and
 * says so where two of one step do.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock, Timer } from "../../../src/clock.ts";
import type { ShellTask, Task } from "../../../src/core/task.ts";
import type { PlacedAt } from "../../../src/core/run-state.ts";
import { silentLog } from "../../../src/log.ts";
import type { TaskHandlers } from "../../../src/places/place.ts";
import { BrokerPlace } from "../../../src/places/broker/broker-place.ts";
import { RUNNER_LEASE_MS } from "../../../src/places/broker/messages.ts";
import { Seal } from "../../../src/places/broker/seal.ts";
import { SealedBroker } from "../../../src/places/broker/sealed-broker.ts";
import { WorkerLine } from "../../../src/places/broker/worker-line.ts";
import { FileCache } from "../../../src/worker/file-cache.ts";
import { PlaceWorker, type WorkerPool } from "../../../src/worker/place-worker.ts";
import { PlayedEngine, type PlayedBroker } from "../../support/played-broker.ts";
import { PLAIN_STEP } from "../../support/plain-step.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const SECRET = Buffer.alloc(32, 7).toString("base64");
const PREFIX = "orchd.farm.test";

/** The clock of one process: it stands still with it, and ends with it. */
export class ProcessClock implements Clock {
  readonly #clock: Clock;
  #waiting: (() => void)[] | undefined;
  #dead = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  monotonic(): number {
    return this.#clock.monotonic();
  }

  random(): number {
    return this.#clock.random();
  }

  after(milliseconds: number, callback: () => void): Timer {
    let cancelled = false;
    const due = (): void => {
      if (this.#dead || cancelled) return;
      if (this.#waiting === undefined) callback();
      else this.#waiting.push(due);
    };
    const timer = this.#clock.after(milliseconds, due);
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  freeze(): void {
    this.#waiting ??= [];
  }

  thaw(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const go of waiting) go();
  }

  end(): void {
    this.#dead = true;
  }
}

/** How a played task runs. */
export interface PlayedTask {
  /** How long, in milliseconds. */
  readonly ms: number;
  /** How many lines it prints, evenly. */
  readonly lines: number;
}

interface Running {
  readonly id: string;
  readonly worker: FarmWorker;
  readonly timers: Timer[];
  readonly handlers: TaskHandlers;
}

/** One worker's process, with its runners. */
export class FarmWorker {
  readonly world: FarmWorld;
  readonly name: string;
  readonly home: string;
  readonly labels: readonly string[];
  readonly running = new Set<Running>();
  clock!: ProcessClock;
  connection!: PlayedBroker;
  worker: PlaceWorker | undefined;
  #starts = 0;
  #frozen = 0;

  constructor(world: FarmWorld, name: string, labels: readonly string[], home = `home of ${name}`) {
    this.world = world;
    this.name = name;
    this.home = home;
    this.labels = labels;
  }

  get isUp(): boolean {
    return this.worker !== undefined;
  }

  /** A new incarnation. What the one before started is ended first. */
  begin(): void {
    if (this.isUp) return;
    const { world } = this;
    this.#starts += 1;
    this.clock = new ProcessClock(world.clock);
    this.connection = world.engine.connect();
    const broker = world.sealed(this.connection, world.onFault);
    const incarnation = `${this.home} ${this.#starts}`;
    const who = { worker: this.name, incarnation, home: this.home, version: "1" };
    const line = new WorkerLine(broker, this.clock, who);
    this.worker = new PlaceWorker({
      clock: this.clock,
      sinceBoot: () => world.clock.monotonic(),
      log: silentLog,
      line,
      cache: world.cache,
      about: {
        worker: this.name,
        labels: this.labels,
        threads: 2,
        cores: 2,
        version: "1",
        node: "20.20.2",
        platform: "linux/x64",
      },
      incarnation,
      openPool: () => this.#pool(),
      localTask: (task) => task,
    });
    this.worker.start();
  }

  /** Ends at once, with its runners. */
  kill(): void {
    if (!this.isUp) return;
    this.worker = undefined;
    this.clock.end();
    void this.connection.close();
    for (const one of this.running) this.#end(one);
  }

  /** It is told to end, once or twice, and started again when it has. */
  leave(insists: boolean): void {
    const { worker, clock, connection } = this;
    if (worker === undefined) return;
    const ended = insists ? worker.close() : worker.leave();
    void ended.then(() => {
      // It was killed meanwhile.
      if (this.worker !== worker) return;
      if (this.running.size > 0) this.world.wrongs.push(`${this.name} ended, and its tasks run on`);
      this.worker = undefined;
      clock.end();
      void connection.close();
      this.world.clock.after(1_000, () => this.begin());
    });
  }

  /** Stands still. Its runners go on until their own lease is over. */
  freeze(): void {
    if (!this.isUp) return;
    this.clock.freeze();
    this.connection.freeze();
    const frozen = (this.#frozen += 1);
    this.world.clock.after(RUNNER_LEASE_MS, () => {
      if (this.#frozen === frozen) for (const one of this.running) this.#die(one);
    });
  }

  thaw(): void {
    if (!this.isUp) return;
    this.#frozen += 1;
    this.connection.thaw();
    this.clock.thaw();
  }

  #pool(): WorkerPool {
    const mine = new Set<Running>();
    return {
      start: (id, task, handlers) => {
        const one: Running = { id, worker: this, timers: [], handlers };
        mine.add(one);
        this.#run(one, task);
      },
      stop: (id, mode) => {
        for (const one of mine)
          if (one.id === id && this.running.has(one)) this.#stop(one, mode === "force" ? 0 : 200);
      },
      close: async () => {
        for (const one of mine) this.#end(one);
      },
    };
  }

  /** It ends as one that was stopped, unless it ends before. */
  #stop(one: Running, afterMs: number): void {
    const stop = (): void => {
      if (!this.running.has(one)) return;
      this.#end(one);
      const error = { name: "Stopped", message: "stopped" };
      this.connection.whenThawed(
        () => this.isUp && one.handlers.done({ ok: false, outcome: "stopped", error }, 1, 0),
      );
    };
    if (afterMs === 0) stop();
    else one.timers.push(this.world.clock.after(afterMs, stop));
  }

  #run(one: Running, task: Task): void {
    const { ms, lines } = JSON.parse((task as ShellTask).text) as PlayedTask;
    this.running.add(one);
    this.world.begins(one.id, this);
    const { clock } = this.world;
    const say = (go: () => void): (() => void) => {
      // What a runner says waits while its worker stands still.
      return () => this.connection.whenThawed(() => this.isUp && go());
    };
    for (let line = 0; line < lines; line += 1) {
      const print = say(() =>
        one.handlers.output([
          {
            at: "2026-01-01T00:00:00.000Z",
            step: "x",
            attempt: 1,
            stream: "stdout",
            line: `${line}`,
          },
        ]),
      );
      one.timers.push(clock.after((ms * line) / lines, print));
    }
    const end = (): void => {
      if (!this.running.has(one)) return;
      this.#end(one);
      say(() => one.handlers.done({ ok: true, value: one.id }, ms, 0))();
    };
    one.timers.push(clock.after(ms, end));
  }

  /** Its runner ends itself. */
  #die(one: Running): void {
    this.#end(one);
    this.connection.whenThawed(() => {
      const { id, handlers } = one;
      const because = "the runner did not hear its worker";
      if (this.isUp)
        handlers.died({ inFlight: [id], alone: false, blameless: "lost", because, code: "X" });
    });
  }

  #end(one: Running): void {
    for (const timer of one.timers) timer.cancel();
    if (this.running.delete(one)) this.world.ends(one.id);
  }
}

/** A step that has to be done. */
interface Step {
  readonly name: string;
  readonly task: ShellTask;
  readonly lines: number;
  /** The attempt that its ledger has started. */
  current: string | undefined;
  attempts: number;
  readonly heard: string[];
  /** How often its end is in the ledger. */
  ends: number;
  /** What the end was. */
  how: string;
  /** How it was asked to stop. */
  told: "graceful" | "force" | undefined;
  /** Where its attempt was placed, as the ledger has it. */
  placed: PlacedAt | undefined;
}

/** All of it. */
export class FarmWorld {
  readonly clock: VirtualClock;
  readonly engine: PlayedEngine;
  readonly cache = new FileCache(join(tmpdir(), `orchd-farm-${process.pid}`));
  readonly workers: FarmWorker[] = [];
  readonly steps: Step[] = [];
  /** Attempts that run, by id. */
  readonly running = new Map<string, FarmWorker>();
  readonly begun = new Set<string>();
  /** What must never be. */
  readonly wrongs: string[] = [];
  readonly faults: string[] = [];
  readonly refused: string[] = [];
  readonly placed: object[] = [];
  /** How many ends were heard. */
  dones = 0;
  daemonClock!: ProcessClock;
  connection!: PlayedBroker;
  place!: BrokerPlace;
  readonly #prefix: string;
  #lives = 0;
  #up = false;

  /**
   * @param beside another world whose clock and engine this one uses
   * @param prefix of its subjects: another place's is another one
   */
  constructor(seed = 1, beside?: FarmWorld, prefix = PREFIX) {
    this.#prefix = prefix;
    this.clock = beside?.clock ?? new VirtualClock({ seed, turns: 4 });
    this.engine = beside?.engine ?? new PlayedEngine(this.clock);
  }

  /** All objects that were put. */
  get put(): readonly Uint8Array[] {
    return this.engine.put;
  }

  readonly onFault = (sentence: string): void => void this.faults.push(sentence);

  /** A connection of the place. */
  sealed(connection: PlayedBroker, onFault: (sentence: string) => void): SealedBroker {
    return new SealedBroker(connection, new Seal(SECRET), this.#prefix, this.clock, onFault);
  }

  /** Adds a worker, and starts it. */
  worker(name: string, labels: readonly string[] = [], home?: string): FarmWorker {
    const worker = new FarmWorker(this, name, labels, home);
    this.workers.push(worker);
    worker.begin();
    return worker;
  }

  /** A new daemon. It adopts what the ledger says is running. */
  beginDaemon(root = "/root", bundles = "/nowhere"): void {
    this.#lives += 1;
    this.#up = true;
    this.daemonClock = new ProcessClock(this.clock);
    this.connection = this.engine.connect();
    this.place = new BrokerPlace({
      name: "farm",
      labels: [],
      clock: this.daemonClock,
      log: silentLog,
      connect: (onFault) =>
        this.sealed(this.connection, (sentence) => {
          this.onFault(sentence);
          onFault(sentence);
        }),
      root,
      bundles,
      since: this.daemonClock.monotonic(),
      bundleFault: () => undefined,
    });
    this.place.onCapacity(() => this.#fill());
    void this.#adopt();
    this.#fill();
  }

  /** The daemon is killed. */
  killDaemon(): void {
    this.#lives += 1;
    this.#up = false;
    this.daemonClock.end();
    void this.connection.close();
  }

  get daemonIsUp(): boolean {
    return this.#up;
  }

  /** Ends everything. */
  end(): void {
    if (this.#up) this.killDaemon();
    for (const worker of this.workers) worker.kill();
  }

  /** The ledger is lost. */
  forget(): void {
    this.steps.length = 0;
  }

  /** A worker's line, for a test that is the worker. */
  line(worker: string): WorkerLine {
    const broker = this.sealed(this.engine.connect(), this.onFault);
    return new WorkerLine(broker, this.clock, {
      worker,
      incarnation: "i",
      home: "h",
      version: "1",
    });
  }

  /** The daemon's name in subjects. */
  get rootName(): string {
    const found = [...this.engine.listeners].find(({ subject }) => subject.includes(".daemon."));
    return found!.subject.split(".").at(-1)!;
  }

  /** Asks as somebody who has the key. */
  ask(at: string, message: object): Promise<unknown> {
    const broker = this.sealed(this.engine.connect(), this.onFault);
    return broker.ask(at, message, 1_000);
  }

  /** A step that is to be done. */
  step(played: PlayedTask, on: readonly string[] = ["farm"], secret = ""): Step {
    const name = `s${this.steps.length}`;
    const task: ShellTask = {
      kind: "shell",
      text: JSON.stringify(played),
      shell: ["sh"],
      cwd: "/",
      env: { SECRET: secret },
      params: {},
      inputs: {},
      run: { id: name, pipeline: "p", attempt: 1 },
      step: name,
      gracePeriodMs: PLAIN_STEP.retry.delayMs,
      on,
    };
    const { lines } = played;
    const step: Step = {
      name,
      task,
      lines,
      current: undefined,
      attempts: 0,
      heard: [],
      ends: 0,
      how: "",
      told: undefined,
      placed: undefined,
    };
    this.steps.push(step);
    this.#fill();
    return step;
  }

  /** Somebody asks a step to stop. */
  stop(step: Step, mode: "graceful" | "force"): void {
    if (step.ends > 0) return;
    step.told = mode;
    if (step.current !== undefined && this.#up)
      this.place.stop(step.current, mode, "a person asked");
    this.#fill();
  }

  /** What was written last is lost: lines of a log, and where a step is. */
  losePower(): void {
    for (const step of this.steps) {
      step.heard.length = Math.floor(step.heard.length * this.clock.random());
      if (this.clock.random() < 0.5) step.placed = undefined;
    }
  }

  begins(id: string, worker: FarmWorker): void {
    const step = id.split("#")[0]!;
    for (const [other, at] of this.running)
      if (other.split("#")[0] === step)
        this.wrongs.push(`${id} begins at ${worker.name} while ${other} runs at ${at.name}`);
    if (this.begun.has(id)) this.wrongs.push(`${id} begins twice`);
    this.begun.add(id);
    this.running.set(id, worker);
  }

  ends(id: string): void {
    this.running.delete(id);
  }

  get isDone(): boolean {
    return this.steps.every(({ ends }) => ends > 0);
  }

  /** What the run-loop does: it starts what is ready where there is room. */
  #fill(): void {
    if (this.place === undefined || !this.#up) return;
    for (const step of this.steps) {
      if (step.current !== undefined || step.ends > 0) continue;
      if (step.told !== undefined) {
        this.#over(step, "stopped");
        continue;
      }
      // Steps of which there are many are begun ahead, where there is any worker at all.
      const ahead = this.steps.indexOf(step) >= 4 && this.place.room("module", step.task.on!) > 0;
      if (this.place.room("shell", step.task.on!) <= 0 && !ahead) continue;
      step.attempts += 1;
      const id = `${step.name}#${step.attempts}`;
      step.current = id;
      step.placed = undefined;
      step.heard.length = 0;
      this.place.start(id, step.task, this.#handlers(step, id), { ahead });
    }
  }

  async #adopt(): Promise<void> {
    const life = this.#lives;
    const started = this.steps.filter(({ current }) => current !== undefined);
    const ids = started.map(({ current }) => current!);
    const byId = new Map(started.map((step) => [step.current!, step]));
    const lives = await this.place.adopt(
      ids,
      (id) => this.#handlers(byId.get(id)!, id),
      (id) => {
        const { task, heard } = byId.get(id)!;
        return { task, heard: { stdout: heard.length, stderr: 0 } };
      },
      (id) => ({ placed: byId.get(id)!.placed }),
    );
    if (life !== this.#lives) return;
    // A stop is told again.
    for (const id of lives) {
      const { current, told } = byId.get(id)!;
      if (current === id && told !== undefined) this.place.stop(id, told, "a person asked");
    }
    for (const [id, step] of byId) if (!lives.has(id) && step.current === id) this.#again(step);
    this.#fill();
  }

  #handlers(step: Step, id: string): TaskHandlers {
    const life = this.#lives;
    const isMine = (): boolean => life === this.#lives;
    return {
      placed: (at) => {
        this.placed.push({ id, ...at });
        if (step.current === id) step.placed = at;
      },
      output: (lines) => {
        if (!isMine()) this.wrongs.push(`${id} is heard by a daemon that is dead`);
        if (step.current === id) for (const { line } of lines) step.heard.push(line);
        else this.wrongs.push(`output of ${id} after its end`);
      },
      done: (result) => {
        if (step.current !== id) return void this.refused.push(id);
        this.dones += 1;
        // The line is durable a little later.
        this.daemonClock.after(5, () => {
          if (!isMine()) return;
          if (!result.ok && result.outcome !== "stopped")
            this.wrongs.push(`${id} ends as ${result.outcome}`);
          this.#over(step, result.ok ? String(result.value) : result.outcome);
          const all = Array.from({ length: step.lines }, (_, line) => `${line}`);
          if (result.ok && step.heard.join() !== all.join())
            this.wrongs.push(`${id} printed ${all.join()}, and ${step.heard.join()} was heard`);
          this.place.settle([id]);
          this.#fill();
        });
      },
      died: ({ blameless }) => {
        if (step.current !== id) this.wrongs.push(`${id} died after its end`);
        else if (blameless === undefined) this.wrongs.push(`${id} is blamed`);
        else this.#again(step);
        this.#fill();
      },
    };
  }

  #over(step: Step, how: string): void {
    step.ends += 1;
    step.current = undefined;
    step.how = how;
  }

  #again(step: Step): void {
    step.current = undefined;
  }
}
