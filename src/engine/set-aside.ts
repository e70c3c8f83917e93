/**
 * The pipelines whose files cannot be used for now: another user's folder, a file where a folder
 * should be, links in a circle. Each is set aside with a sentence, in the log and in
 * `orchd status`. The others go on, and it comes back by itself (ledger-watch.ts looks).
 *
 * - `ledger`: its own ledger cannot be opened or written. None of its slots is decided meanwhile.
 *   Once it is back they are caught up, and the sentence is their reason.
 * - `runs`: no run of it can be made. Its slots are missed as they come due.
 * - `run RUN`: that run cannot go on.
 */
import { iso } from "../core/time.ts";
import type { Clock } from "../clock.ts";
import { writeSetAside } from "../ledger/set-aside-file.ts";
import type { Log } from "../log.ts";

/** What of a pipeline is set aside. */
export type Aside = "ledger" | "runs" | `run ${string}`;

/** A time without decisions that is over. */
export interface AsidePeriod {
  /** When it ended, in milliseconds since 1970. */
  readonly until: number;
  /** Why slots could not be decided until then, as a clause. */
  readonly because: string;
}

/** What setting aside needs. */
export interface SetAsidePorts {
  readonly clock: Clock;
  readonly log: Log;
  /** `.orchd` */
  readonly orchdDir: string;
}

interface Entry {
  readonly since: string;
  readonly because: string;
}

/** What is set aside, of all pipelines. */
export class SetAside {
  readonly #ports: SetAsidePorts;
  readonly #entries = new Map<string, Map<Aside, Entry>>();
  readonly #periods = new Map<string, AsidePeriod>();
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(ports: SetAsidePorts) {
    this.#ports = ports;
    this.#write();
  }

  /** Why a pipeline's slots are not decided now, in a sentence; undefined: they are. */
  because(pipeline: string): string | undefined {
    return this.#entries.get(pipeline)?.get("ledger")?.because;
  }

  /** The last time without decisions that this daemon saw end. */
  lastPeriod(pipeline: string): AsidePeriod | undefined {
    return this.#periods.get(pipeline);
  }

  /** The pipelines of which this is set aside. */
  all(what: Aside): string[] {
    return [...this.#entries].flatMap(([name, entries]) => (entries.has(what) ? [name] : []));
  }

  /** Sets a pipeline aside. Says it once. */
  add(pipeline: string, what: Aside, because: string): void {
    let entries = this.#entries.get(pipeline);
    if (entries === undefined) this.#entries.set(pipeline, (entries = new Map<Aside, Entry>()));
    const before = entries.get(what);
    if (before?.because === because) return;
    entries.set(what, { since: before?.since ?? iso(this.#ports.clock.now()), because });
    this.#ports.log.error(
      { pipeline, because },
      `pipeline ${pipeline} is set aside: ${because} ` +
        "The others go on, and it comes back by itself once that is mended.",
    );
    this.#write();
    if (what !== "ledger") return;
    for (const settle of this.#waiting.get(pipeline) ?? []) settle();
  }

  /** The path is mended. Does nothing where it was not set aside. */
  remove(pipeline: string, what: Aside): void {
    const entries = this.#entries.get(pipeline);
    const entry = entries?.get(what);
    if (entries === undefined || entry === undefined) return;
    const until = this.#ports.clock.now();
    entries.delete(what);
    if (entries.size === 0) this.#entries.delete(pipeline);
    if (what === "ledger") {
      const because = `set aside since ${entry.since}: ${entry.because.replace(/\.$/, "")}`;
      this.#periods.set(pipeline, { until, because });
    }
    this.#ports.log.info({ pipeline }, `pipeline ${pipeline} is no longer set aside`);
    this.#write();
  }

  /**
   * Waits for work on a pipeline, but not while the pipeline is set aside: the work ends by itself
   * once it is back.
   */
  async unlessAside(pipeline: string, work: Promise<void>): Promise<void> {
    let settle!: () => void;
    const aside = new Promise<void>((resolve) => (settle = resolve));
    let waiting = this.#waiting.get(pipeline);
    if (waiting === undefined) this.#waiting.set(pipeline, (waiting = new Set()));
    waiting.add(settle);
    if (this.because(pipeline) !== undefined) settle();
    try {
      await Promise.race([work, aside]);
    } finally {
      waiting.delete(settle);
      if (waiting.size === 0 && this.#waiting.get(pipeline) === waiting)
        this.#waiting.delete(pipeline);
    }
  }

  #write(): void {
    const { orchdDir, log } = this.#ports;
    const told = [...this.#entries].map(([pipeline, entries]) => {
      const all = [...entries.values()];
      const { since } = all[0]!;
      return [pipeline, { since, because: all.map(({ because }) => because).join(" ") }] as const;
    });
    try {
      writeSetAside(orchdDir, new Map(told));
    } catch (error) {
      log.warn({ err: error }, "`orchd status` cannot be told what is set aside");
    }
  }
}
