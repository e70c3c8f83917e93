/**
 * All workers of a place, by name: who is here, in which session, and who is given up.
 *
 * A worker that says something in a session that it was offered is here. Then what its name had
 * before is over, unless it is the same incarnation: a new one of the same home ends what the one
 * before started. One of another home gets no session while the first is here.
 */
import type { Clock, Timer } from "../../clock.ts";
import type { PlaceHost } from "../../core/place-report.ts";
import type { Log } from "../../log.ts";
import { FarWorker } from "./far-worker.ts";
import { BROKER_PROTOCOL, PATIENCE_MS } from "./messages.ts";
import type { FromWorker, Hello, HelloAnswer, WorkerSays } from "./messages.ts";
import { isWorkerName } from "./worker-says.ts";

/** The most names that are remembered. */
const MOST = 10_000;
/** How long a worker that is gone is still told of, and one that was refused, in milliseconds. */
const TOLD_MS = 600_000;
const REFUSAL_TOLD_MS = PATIENCE_MS * 2;

/** A worker that gets no session. */
interface RefusedWorker {
  readonly host: PlaceHost;
  /** Ends what is told of it. */
  readonly timer: Timer;
}

type Beat = Extract<FromWorker, { readonly type: "beat" }>;

/** What workers need. */
export interface WorkersPorts {
  readonly place: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Which daemon this is. */
  readonly root: string;
  /** Nothing of a worker's tasks can run any more. */
  gone(worker: FarWorker, because: string): void;
  /** The beat of a worker is overdue. */
  overdue(worker: FarWorker): void;
  /** A worker that is silent gets no new tasks: those that it did not claim may go elsewhere. */
  silent(worker: FarWorker): void;
  /** The same incarnation has a new session: its messages are numbered from 1 again. */
  renewed(worker: FarWorker): void;
  /** What is told of workers has changed. */
  changed(): void;
}

/** The workers. */
export class Workers {
  readonly #ports: WorkersPorts;
  readonly #workers = new Map<string, FarWorker>();
  readonly #timers = new Map<FarWorker, Timer>();
  /** Workers of another protocol, and others that were refused, by name. */
  readonly #refused = new Map<string, RefusedWorker>();

  constructor(ports: WorkersPorts) {
    this.#ports = ports;
  }

  all(): Iterable<FarWorker> {
    return this.#workers.values();
  }

  /** Those that are here. */
  get here(): readonly FarWorker[] {
    return [...this.#workers.values()].filter(({ session }) => session !== undefined);
  }

  get(name: string): FarWorker | undefined {
    return this.#workers.get(name);
  }

  /** Answers a hello. Undefined: it is for another daemon. */
  hello(hello: Hello): HelloAnswer | undefined {
    const { root } = this.#ports;
    if (hello.root !== undefined && hello.root !== root) return undefined;
    const because = this.#refusal(hello);
    if (because !== undefined) return this.#refuse(hello, because);
    let worker = this.#workers.get(hello.worker);
    if (worker === undefined) {
      this.#forgetOld();
      if (this.#workers.size >= MOST)
        return this.#refuse(hello, `this place has ${MOST} workers already`);
      worker = new FarWorker(hello.worker);
      this.#workers.set(hello.worker, worker);
    }
    return { type: "welcome", root, session: worker.offer(hello) };
  }

  /** Who says something. Undefined: its session is not known. */
  speaker({ worker: name, session }: WorkerSays): FarWorker | undefined {
    const worker = this.#workers.get(name);
    if (worker === undefined) return undefined;
    if (worker.session === session) return worker;
    const offer = worker.offered(session);
    if (offer === undefined) return undefined;
    const now = this.#ports.clock.monotonic();
    const before = told(worker, now);
    if (worker.session !== undefined && worker.incarnation === offer.incarnation)
      this.#ports.renewed(worker);
    else if (worker.session !== undefined) {
      worker.leave("it started again");
      this.#ports.gone(worker, `the worker ${name} started again`);
    }
    worker.enter(session, offer);
    worker.heardAt = now;
    this.#tellNoMore(name);
    this.#watch(worker);
    // Where nothing is known of it yet, its first beat is what is told.
    if (worker.beat !== undefined && told(worker, now) !== before) this.#ports.changed();
    this.#ports.log.info({ worker: name, place: this.#ports.place }, "a worker is here");
    return worker;
  }

  /** A worker beats. False: the beat is old. */
  beats(worker: FarWorker, beat: Beat, number: number): boolean {
    const { clock } = this.#ports;
    const before = told(worker, clock.monotonic());
    const isNew = worker.hear(beat, number, clock.monotonic());
    if (isNew && told(worker, clock.monotonic()) !== before) this.#ports.changed();
    return isNew;
  }

  /** A worker says that nothing of its tasks is left. */
  bye(worker: FarWorker): void {
    this.#leave(worker, `the worker ${worker.name} ended`, "it ended");
  }

  /** What is told of each. @param labels of the place */
  hosts(labels: readonly string[]): readonly PlaceHost[] {
    const now = this.#ports.clock.monotonic();
    const told = [...this.#workers.values()].filter(
      ({ session, beat, heardAt }) =>
        session !== undefined || (beat !== undefined && now - heardAt < TOLD_MS),
    );
    const hosts = told.map((worker) => worker.report(now, labels));
    for (const [name, { host }] of this.#refused)
      if (!hosts.some((known) => known.host === name)) hosts.push({ ...host, labels });
    return hosts.toSorted((one, other) => (one.host < other.host ? -1 : 1));
  }

  close(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    for (const name of this.#refused.keys()) this.#tellNoMore(name);
  }

  /** Why a worker gets no session, in a sentence. */
  #refusal({ worker: name, protocol, version, home }: Hello): string | undefined {
    if (protocol !== BROKER_PROTOCOL)
      return (
        `it speaks protocol ${protocol} (orchd ${version}), and the daemon speaks ` +
        `${BROKER_PROTOCOL}: install the same release on both`
      );
    if (!isWorkerName(name))
      return "a worker's name has 1 to 64 letters, digits, dashes and underscores";
    const known = this.#workers.get(name);
    if (known?.session === undefined || known.home === home) return undefined;
    return `another worker named "${name}" serves this place: give each a name of its own`;
  }

  #refuse({ worker: name, protocol, version }: Hello, because: string): HelloAnswer {
    const { log, clock, place } = this.#ports;
    const known = this.#refused.get(name);
    const host = { host: name, labels: [], threads: 0, version, protocol, because };
    this.#tellNoMore(name);
    if (this.#refused.size >= 100) this.#tellNoMore(this.#refused.keys().next().value!);
    const timer = clock.after(REFUSAL_TOLD_MS, () => {
      this.#tellNoMore(name);
      this.#ports.changed();
    });
    this.#refused.set(name, { host, timer });
    if (known?.host.because !== because) {
      log.warn({ place, worker: name }, `a worker gets no tasks: ${because}`);
      this.#ports.changed();
    }
    return { type: "no", because };
  }

  #tellNoMore(name: string): void {
    this.#refused.get(name)?.timer.cancel();
    this.#refused.delete(name);
  }

  /** Nobody listens as a worker: it gets no new tasks before it beats again. */
  missed(worker: FarWorker): void {
    worker.missed();
    const because = `nobody listens as the worker ${worker.name}: it or its connection has ended`;
    this.#ports.log.warn({ place: this.#ports.place, worker: worker.name }, because);
    this.#ports.silent(worker);
    this.#ports.changed();
  }

  /** Looks again when its beat is overdue, when the worker is silent, and when it is gone. */
  #watch(worker: FarWorker): void {
    this.#timers.get(worker)?.cancel();
    const now = this.#ports.clock.monotonic();
    const timer = this.#ports.clock.after(worker.untilWorse(now), () => this.#look(worker));
    this.#timers.set(worker, timer);
  }

  #look(worker: FarWorker): void {
    this.#timers.delete(worker);
    if (worker.session === undefined) return;
    const now = this.#ports.clock.monotonic();
    if (worker.isGone(now)) {
      const because = `the worker ${worker.name} was silent for ${PATIENCE_MS / 1_000} s`;
      return this.#leave(worker, because, `it was silent for ${PATIENCE_MS / 1_000} s`);
    }
    if (worker.isSilent(now)) {
      this.#ports.silent(worker);
      this.#ports.changed();
    } else if (!worker.beatsInTime(now)) this.#ports.overdue(worker);
    this.#watch(worker);
  }

  #leave(worker: FarWorker, because: string, told: string): void {
    this.#timers.get(worker)?.cancel();
    this.#timers.delete(worker);
    worker.leave(told);
    this.#ports.log.warn({ place: this.#ports.place, worker: worker.name }, because);
    this.#ports.gone(worker, because);
    this.#ports.changed();
    this.#tellUntilOld(worker);
  }

  /** What is told of a worker that is gone changes once more, when it is not told of any more. */
  #tellUntilOld(worker: FarWorker): void {
    const { clock } = this.#ports;
    if (worker.beat === undefined) return;
    const timer = clock.after(worker.heardAt + TOLD_MS - clock.monotonic(), () => {
      this.#timers.delete(worker);
      this.#ports.changed();
    });
    this.#timers.set(worker, timer);
  }

  #forgetOld(): void {
    const now = this.#ports.clock.monotonic();
    for (const [name, { session, heardAt }] of this.#workers)
      if (session === undefined && now - heardAt > TOLD_MS) this.#workers.delete(name);
  }
}

function told(worker: FarWorker, now: number): string {
  return JSON.stringify(worker.report(now, []));
}
