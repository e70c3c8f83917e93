/**
 * One worker as the daemon knows it.
 *
 * States: **offered** (it said hello, and nothing in the session yet) -> **here** (it beats) ->
 * **absent** (nobody listens as it) or **silent** (beats are missing): it gets no new tasks ->
 * **gone** (patience is over, it said bye, or a new incarnation took its place). A worker that is
 * gone comes back by a hello.
 */
import { randomBytes } from "node:crypto";
import type { PlaceHost } from "../../core/place-report.ts";
import { defined } from "../../core/defined.ts";
import type { CodeRef, SnapshotStep } from "../../core/snapshot.ts";
import { ThreadRoom, type RoomTaken } from "../pool/thread-room.ts";
import { BEAT_MS, PATIENCE_MS, type FromWorker, type Hello } from "./messages.ts";

/** How long a worker may be silent and still get tasks, in milliseconds. */
const SILENT_MS = 2 * BEAT_MS + 500;
/** How late a beat may be, in milliseconds, and nothing is wrong. */
const IN_TIME_MS = BEAT_MS + 500;
/** How long one that refused a task, or did not answer, gets no other, in milliseconds. */
const REFUSED_MS = 1_000;
/** How many steps each of its threads may have, but for brief ones: other workers may be free. */
const MOST_EACH = 1;
/**
 * How long a look at its tasks counts, in milliseconds, unless one of them comes or ends. Each
 * start asks all workers, and a hundred of them may have thousands of tasks.
 */
const LOOK_MS = 10;
/** How long the ids of durable ends are that go with one message, in UTF-16 code units. */
const SETTLED_LENGTH = 4_096;
/** The most hellos of one name that wait for their first beat. */
const MOST_OFFERS = 8;

type Kind = "module" | "shell";
type Beat = Extract<FromWorker, { readonly type: "beat" }>;

/** A session that a worker was offered. */
interface Offer {
  readonly incarnation: string;
  readonly home: string;
}

/** A worker that is here, or was. */
export class FarWorker {
  readonly name: string;
  readonly #offers = new Map<string, Offer>();
  /** Undefined: it is gone. */
  session: string | undefined;
  incarnation = "";
  home = "";
  /** The number of its last beat. */
  number = 0;
  heardAt = 0;
  /** Its last beat. Undefined: there was none yet. */
  beat: Beat | undefined;
  /** The ids that its last beat lists. */
  tasks: ReadonlySet<string> = new Set();
  /** What it was given. */
  readonly #given = new Set<RoomTaken>();
  /** What the last look at these found. Undefined: something has changed since. */
  #looked: { readonly at: number; readonly room: Readonly<Record<Kind, number>> } | undefined;
  /** Ends that are durable, of which it was not told. */
  #settled: string[] = [];
  #isToBeTold = false;
  /** Why it is gone, or gets no tasks. */
  because: string | undefined;
  #refusedAt = Number.NEGATIVE_INFINITY;
  /** Nobody listens as it, since its last beat. */
  #isAbsent = false;
  #room: ThreadRoom | undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** Offers a session. It counts once the worker says something in it. */
  offer({ incarnation, home }: Hello): string {
    const session = randomBytes(12).toString("base64url");
    if (this.#offers.size >= MOST_OFFERS) this.#offers.delete(this.#offers.keys().next().value!);
    this.#offers.set(session, { incarnation, home });
    return session;
  }

  /** What a session was offered to. */
  offered(session: string): Offer | undefined {
    return this.#offers.get(session);
  }

  /** The worker takes an offer up. All other offers are over. */
  enter(session: string, { incarnation, home }: Offer): void {
    this.#offers.clear();
    if (incarnation !== this.incarnation) {
      this.beat = undefined;
      this.tasks = new Set();
    }
    this.session = session;
    this.incarnation = incarnation;
    this.home = home;
    this.#settled = [];
    this.number = 0;
    this.because = undefined;
    this.#refusedAt = Number.NEGATIVE_INFINITY;
  }

  /** It beats. False: the beat is older than the last one. */
  hear(beat: Beat, number: number, now: number): boolean {
    if (number <= this.number) return false;
    this.number = number;
    this.heardAt = now;
    this.#isAbsent = false;
    if (beat.threads !== this.beat?.threads || beat.cores !== this.beat.cores)
      this.#room = new ThreadRoom(beat.threads, beat.cores, MOST_EACH);
    this.beat = beat;
    this.tasks = new Set(beat.tasks);
    this.#looked = undefined;
    return true;
  }

  /** It is gone. @param because a sentence, for people */
  leave(because: string): void {
    this.session = undefined;
    this.tasks = new Set();
    this.#settled = [];
    this.because = because;
  }

  /** It did not take a task. */
  refused(now: number): void {
    this.#refusedAt = now;
  }

  /** Nobody listens as it. */
  missed(): void {
    this.#isAbsent = true;
  }

  isSilent(now: number): boolean {
    return now - this.heardAt >= SILENT_MS;
  }

  isGone(now: number): boolean {
    return now - this.heardAt >= PATIENCE_MS;
  }

  /** How long until its beat is overdue, it is silent, or gone, in milliseconds. */
  untilWorse(now: number): number {
    const since = now - this.heardAt;
    const next = [IN_TIME_MS, SILENT_MS].find((limit) => since < limit) ?? PATIENCE_MS;
    return next - since;
  }

  /** Whether it takes tasks. */
  isOpen(now: number): boolean {
    return (
      this.session !== undefined &&
      this.beat !== undefined &&
      !this.beat.leaving &&
      !this.#isAbsent &&
      !this.isSilent(now) &&
      now - this.#refusedAt >= REFUSED_MS
    );
  }

  /** Whether its next beat is not overdue. */
  beatsInTime(now: number): boolean {
    return now - this.heardAt < IN_TIME_MS;
  }

  /** It is given a task. */
  gets(task: RoomTaken): void {
    this.#given.add(task);
    this.#looked = undefined;
  }

  /** A task is none of its own any more. */
  loses(task: RoomTaken): void {
    this.#given.delete(task);
    this.#looked = undefined;
  }

  /** The end of a task is durable. @returns whether nobody is about to tell it */
  settles(id: string): boolean {
    this.#settled.push(id);
    const isFirst = !this.#isToBeTold;
    this.#isToBeTold = true;
    return isFirst;
  }

  /** It is told now: the next end that is durable waits for its own turn. */
  settlesAgain(): void {
    this.#isToBeTold = false;
  }

  /** Whether there are ends of which it was not told. */
  get hasSettled(): boolean {
    return this.#settled.length > 0;
  }

  /** Ends of which it is told now: as many as go with one message. */
  takeSettled(): readonly string[] {
    if (this.#settled.length === 0) return this.#settled;
    let length = 0;
    let count = 0;
    for (const id of this.#settled) {
      length += id.length;
      if (count > 0 && length > SETTLED_LENGTH) break;
      count += 1;
    }
    return this.#settled.splice(0, count);
  }

  /** How many more tasks of a kind it may have. @param now monotonic time */
  room(kind: Kind, now: number): number {
    if (this.beat === undefined) return 0;
    if (this.#looked === undefined || now - this.#looked.at >= LOOK_MS)
      this.#looked = { at: now, room: this.#look(this.#room!, now) };
    return this.#looked.room[kind];
  }

  #look(threads: ThreadRoom, now: number): Readonly<Record<Kind, number>> {
    const left = threads.left(this.#given, now);
    const room = { module: left.module, shell: left.shell };
    for (const { alone, kind } of this.#given)
      if (alone && (kind === "module" || kind === "shell")) room[kind] -= 1;
    return { module: Math.max(0, room.module), shell: Math.max(0, room.shell) };
  }

  /** How much room a step takes there. */
  shareOf(spec: SnapshotStep): number {
    return this.#room?.shareOf(spec) ?? 1;
  }

  /** How many tasks that were ahead have ended there. */
  get aheadEnded(): number {
    return this.#room?.aheadEnded ?? 0;
  }

  /** One of its tasks has ended. @param now monotonic time */
  hasEnded(task: RoomTaken, now: number): void {
    this.#room?.ended(task, now);
    this.#looked = undefined;
  }

  /** A step ended well. */
  paced(code: CodeRef, durationMs: number): void {
    this.#room?.paced(code, durationMs);
    this.#looked = undefined;
  }

  /** How many tasks of a kind it may have. */
  get threads(): number {
    return this.beat?.threads ?? 0;
  }

  has(labels: readonly string[], places: readonly string[]): boolean {
    for (const label of labels)
      if (!places.includes(label) && this.beat?.labels.includes(label) !== true) return false;
    return true;
  }

  /** @param places the labels of the place, which are each worker's too */
  report(now: number, places: readonly string[]): PlaceHost {
    const { beat } = this;
    return {
      host: this.name,
      labels: [...new Set([...places, ...(beat?.labels ?? [])])],
      threads: this.threads,
      ...defined({
        node: beat?.node,
        version: beat?.version,
        protocol: beat?.protocol,
        platform: beat?.platform,
        because: this.#whyNot(now),
      }),
    };
  }

  #whyNot(now: number): string | undefined {
    if (this.session === undefined) return this.because ?? "it has not come yet";
    if (this.beat?.leaving === true) return "it was told to end, and finishes what it has";
    if (this.#isAbsent) return "nobody listens as it: its process or its connection has ended";
    return this.isSilent(now) ? "it is silent" : undefined;
  }
}
