/**
 * Takes up the requests of other processes (semantics.md 23).
 *
 * A request is a file that stays until it is answered, so the inbox has nothing to remember across
 * a crash. Each request goes through three steps, each durable before the next: what it asks for
 * (in a ledger, with the request's id), the reply, the removal of the file. A file that was there
 * when the daemon started may be half-way through them: the handlers look for its trace before they
 * do anything.
 *
 * **Floods.** Anybody with the right may leave 30,000 requests at once, and slots must fire
 * meanwhile. So a request is **found** first: its file is read, and what is kept of it is its place
 * in the queue (request-queue.ts). It is read again when its turn comes. A few are under way at a
 * time ({@link SLOTS}), whose files are not large together. Finding and taking give way to the
 * event loop: each turn reads a few files (turn-budget.ts). A file that is
 * known is not read again, and the folder is listed a tenth of the time at most. What is not listed
 * because too many are known comes later.
 *
 * A request that takes long (a prune, a pipeline file that hangs) gives its slot to others after a
 * second.
 *
 * A reply that could not be written (the disk is full) is kept in memory: trying again writes the
 * reply again, and does nothing twice. What failed is tried again at the next look. If many fail
 * one after the other, the rest waits for the next look too.
 *
 * A watcher makes it quick, and is not trusted: the folder is read again every second.
 */
import { watch, type FSWatcher } from "node:fs";
import { errorCode } from "../disk/disk-error.ts";
import { LedgerFailed } from "../ledger/ledger-error.ts";
import { untilLook, type Clock, type Timer } from "../clock.ts";
import { parseRequest, refused, type Reply, type Request } from "../core/request.ts";
import { iso } from "../core/time.ts";
import {
  expireReplies,
  isRequestId,
  readReply,
  readRequest,
  removeRequest,
  requestIds,
  writeReply,
  type ReadRequest,
} from "../ledger/requests.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { Log } from "../log.ts";
import { RequestQueue, subjectOf, type WaitingRequest } from "./request-queue.ts";
import { makeRequestsFolder } from "./requests-folder.ts";
import { BYTES_AT_ONCE, TurnBudget } from "./turn-budget.ts";
import { WorkTeller } from "./work-teller.ts";

/** How often the folder is read even if the watcher reports nothing, in milliseconds. */
const RESCAN_MS = 1_000;
/** How often old replies are removed, in milliseconds. */
const EXPIRE_MS = 600_000;
/** How many requests are under way at a time, those that take long left out. */
const SLOTS = 32;
/** After how long a request gives its slot to another, in milliseconds. */
const LONG_MS = 1_000;
/** How many requests are under way at most, those that take long among them. */
const MOST_UNDER_WAY = 1_000;
/**
 * How many bytes the files of the requests that hold a slot may have together, if two or more do.
 */
const SLOT_BYTES = 4_194_304;
/** How many requests are known at most. The others wait in the folder. */
const MOST_KNOWN = 100_000;
/** The folder is listed again after this many times as long as listing it took. */
const IDLE_TIMES = 9;
/** How many requests are answered before the daemon is ready; the others afterwards. */
const MOST_BEFORE_READY = 250;
/** After this many failures one after the other the rest waits for the next look. */
const MOST_FAILURES = 16;

/** A request that was taken up. */
export interface TakenRequest {
  readonly id: string;
  readonly request: Request;
  /** Who asked, for the record. */
  readonly by: string;
  /** When the file was written, in milliseconds since 1970. */
  readonly writtenAt: number;
  /** It was there when the daemon started: an earlier daemon may have carried it out. */
  readonly left: boolean;
  /** Why it is too late to carry it out. An earlier daemon may have carried it out in time. */
  readonly late?: string | undefined;
}

/** What the inbox needs. */
export interface InboxPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: RunStore;
  /** Carries a request out. What it caused is durable when this resolves. */
  readonly carryOut: (request: TakenRequest) => Promise<Reply>;
  /**
   * The disk failed while a reply was written (semantics.md 29): end the process. Default: the
   * request stays and is tried again.
   */
  readonly onFatal?: ((error: LedgerFailed) => void) | undefined;
  /** Called once: no request is left that an earlier daemon may have carried out. */
  readonly onNothingLeft?: (() => void) | undefined;
  /** How often the folder is read even if the watcher reports nothing; default: one second. */
  readonly rescanMs?: number | undefined;
  /** Which requests this process takes up; the others stay for a daemon. Default: all. */
  readonly accepts?: ((request: ReadRequest) => boolean) | undefined;
}

/** What is known of a request. */
interface Known extends WaitingRequest {
  /** Under way now, or over. */
  begun?: Promise<void>;
}

/** The requests folder of one runs folder. */
export class RequestInbox {
  readonly #ports: InboxPorts;
  /** The requests that were found and are not over, by id. */
  readonly #known = new Map<string, Known>();
  readonly #queue = new RequestQueue();
  /** The ids of files that this process leaves to a daemon. */
  #passedOver: ReadonlySet<string> = new Set();
  /** Replies to requests whose files are not removed yet. */
  readonly #answered = new Map<string, Reply>();
  /** Those that failed since the last look. */
  #failed: Known[] = [];
  #failures = 0;
  /** Those that failed and are not over, by id. */
  readonly #unanswered = new Set<string>();
  /** Why the last of them failed: the code of its error. */
  #trouble = "";
  #underWay = 0;
  /** How many of those under way hold a slot, and how large their files are. */
  #slots = { count: 0, bytes: 0 };
  /** What is found may have been carried out by an earlier daemon: until all was found once. */
  #left = true;
  /** How many of those are not over. */
  #leftOver = 0;
  #started = false;
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #listTimer: Timer | undefined;
  #closed = false;
  #listing: Promise<void> | undefined;
  /** The folder may have changed since it was listed. */
  #changed = false;
  /** When the folder may be listed again, in monotonic milliseconds. */
  #listFrom = Number.NEGATIVE_INFINITY;
  #pumping = false;
  /** When old replies are removed next, in monotonic milliseconds. */
  #nextExpiry = Number.NEGATIVE_INFINITY;
  readonly #work: WorkTeller;
  /** The folder could not be read at the last look. */
  #blind = false;

  constructor(ports: InboxPorts) {
    this.#ports = ports;
    this.#work = new WorkTeller(ports.store.orchdDir, ports);
    makeRequestsFolder(ports.store.requests, ports.log);
  }

  /**
   * Takes up requests that are there, and waits until they are answered. Without a filter, the
   * oldest {@link MOST_BEFORE_READY} of them: the others come once the inbox has started.
   *
   * @param filter asked of those that were not found before
   */
  async takeUpAll(filter?: (request: ReadRequest) => boolean): Promise<void> {
    this.#retry();
    const matching: Known[] = [];
    await this.#list((read, known) => {
      if (filter?.(read) === true) matching.push(known);
    });
    const wanted =
      filter === undefined
        ? [...this.#known.values()]
            .filter(({ begun }) => begun === undefined)
            .toSorted(byTime)
            .slice(0, MOST_BEFORE_READY)
        : matching.toSorted(byTime);
    const rest = wanted.values();
    const walk = async (): Promise<void> => {
      // What is left at the end is the next daemon's.
      for (const known of rest) if (!this.#closed) await this.#take(known);
    };
    await Promise.all(Array.from({ length: SLOTS }, walk));
  }

  /** Takes up requests as they come, from now on. */
  start(): void {
    this.#started = true;
    this.#watch();
    this.#look();
  }

  /** What was left to others may be accepted by now: it is asked about again. */
  askAgain(): void {
    this.#passedOver = new Set();
    this.#listSoon();
  }

  /** Takes up no more requests, and waits for those under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    this.#timer?.cancel();
    this.#listTimer?.cancel();
    this.#work.end();
    await Promise.all([...this.#known.values()].map(async ({ begun }) => begun));
  }

  #watch(): void {
    try {
      this.#watcher = watch(this.#ports.store.requests, { persistent: false }, () =>
        this.#listSoon(),
      );
      this.#watcher.on("error", () => {
        this.#watcher?.close();
        this.#watcher = undefined;
      });
    } catch {
      // There is no watcher: reading the folder again finds every request within a second.
      this.#watcher = undefined;
    }
  }

  /** Lists the folder once for many events that come together, and not all the time. */
  #listSoon(): void {
    this.#changed = true;
    if (this.#listing !== undefined || this.#listTimer !== undefined || this.#closed) return;
    const wait = this.#listFrom - this.#ports.clock.monotonic();
    const list = (): void => {
      this.#listTimer = undefined;
      if (!this.#closed && this.#changed) void this.#list();
    };
    if (wait > 0) {
      this.#listTimer = this.#ports.clock.after(wait, list);
    } else {
      const soon = setImmediate(list);
      this.#listTimer = { cancel: () => clearImmediate(soon) };
    }
  }

  #look(): void {
    if (this.#closed) return;
    this.#retry();
    this.#pump();
    this.#listSoon();
    this.#tellWork();
    const { clock, log, rescanMs, store } = this.#ports;
    const now = clock.monotonic();
    if (now >= this.#nextExpiry) {
      this.#nextExpiry = now + EXPIRE_MS;
      expireReplies(store.runsDir, clock.now()).catch((error: unknown) =>
        log.warn({ err: error }, "old replies could not be removed"),
      );
    }
    this.#timer = clock.after(rescanMs ?? untilLook(clock, RESCAN_MS), () => this.#look());
  }

  #tellWork(): void {
    this.#work.tell(this.#known.size, () =>
      [...this.#known.values()].filter(({ begun }) => begun !== undefined).map(({ id }) => id),
    );
  }

  /** What failed gets a new turn. */
  #retry(): void {
    const failed = this.#failed.toSorted(byTime);
    this.#failed = [];
    this.#failures = 0;
    for (const known of failed) {
      delete known.begun;
      this.#queue.add(known);
    }
  }

  /** Finds the requests that are not known yet. @param found told each of them */
  async #list(found: (read: ReadRequest, known: Known) => void = () => undefined): Promise<void> {
    this.#changed = false;
    const { clock } = this.#ports;
    const began = clock.monotonic();
    this.#listing = this.#find(found);
    await this.#listing;
    this.#listing = undefined;
    const now = clock.monotonic();
    this.#listFrom = now + Math.min(RESCAN_MS, (now - began) * IDLE_TIMES);
    if (this.#changed) this.#listSoon();
    this.#pump();
  }

  async #find(found: (read: ReadRequest, known: Known) => void): Promise<void> {
    const { store, accepts, log } = this.#ports;
    const turn = new TurnBudget();
    const fresh: Known[] = [];
    const before = this.#passedOver;
    const passedOver = new Set<string>();
    let whole = true;
    try {
      for (const id of requestIds(store.requests)) {
        if (turn.isOver) await turn.next();
        if (this.#closed) return;
        turn.names += 1;
        if (this.#known.has(id)) continue;
        if (this.#passedOver.has(id)) {
          passedOver.add(id);
          continue;
        }
        if (this.#known.size >= MOST_KNOWN) {
          whole = false;
          break;
        }
        const read = readRequest(store.requests, id, parseRequest);
        if (read === undefined) continue;
        turn.count(read.bytes);
        if (accepts?.(read) === false) {
          passedOver.add(id);
          continue;
        }
        const { owner, writtenAt, bytes } = read;
        const subject = subjectOf(read, (other) => this.#known.get(other)?.subject);
        const known: Known = { id, owner, subject, writtenAt, bytes, left: this.#left };
        this.#known.set(id, known);
        if (known.left) this.#leftOver += 1;
        fresh.push(known);
        found(read, known);
      }
    } catch (error) {
      whole = false;
      if (!this.#blind)
        log.error({ err: error }, "the requests folder cannot be read; requests wait");
      this.#blind = true;
    }
    if (whole) {
      if (this.#blind) log.info({}, "the requests folder can be read again");
      this.#blind = false;
      // Where they are to be asked about again, what was said of them meanwhile may be too old.
      if (this.#passedOver === before) this.#passedOver = passedOver;
      if (this.#started && this.#left) {
        this.#left = false;
        if (this.#leftOver === 0) this.#ports.onNothingLeft?.();
      }
    }
    for (const known of fresh.toSorted(byTime)) this.#queue.add(known);
  }

  /** Begins requests while there are slots. */
  #pump(): void {
    if (!this.#started || this.#pumping) return;
    this.#pumping = true;
    let bytes = 0;
    while (this.#hasSlot()) {
      const next = this.#queue.take();
      if (next === undefined) break;
      const known = next as Known;
      if (known.begun !== undefined) {
        // It was taken out of turn.
        this.#queue.done(known);
        continue;
      }
      void this.#take(known).finally(() => {
        this.#queue.done(known);
        this.#pump();
      });
      bytes += known.bytes;
      if (bytes < BYTES_AT_ONCE) continue;
      setImmediate(() => {
        this.#pumping = false;
        this.#pump();
      });
      return;
    }
    this.#pumping = false;
  }

  #hasSlot(): boolean {
    const { count, bytes } = this.#slots;
    return (
      !this.#closed &&
      this.#failures < MOST_FAILURES &&
      count < SLOTS &&
      (count === 0 || bytes < SLOT_BYTES) &&
      this.#underWay < MOST_UNDER_WAY
    );
  }

  /** Answers a request. Never rejects. */
  #take(known: Known): Promise<void> {
    if (known.begun !== undefined) return known.begun;
    this.#underWay += 1;
    const letGo = this.#holdSlot(known);
    known.begun = this.#answerFile(known).then(
      () => {
        this.#failures = 0;
        this.#known.delete(known.id);
        if (this.#unanswered.delete(known.id) && this.#unanswered.size === 0)
          this.#ports.log.info({ request: known.id }, "requests can be answered again");
        if (known.left && --this.#leftOver === 0 && !this.#left) this.#ports.onNothingLeft?.();
      },
      (error: unknown) => this.#failedOnce(known, error),
    );
    return known.begun.finally(() => {
      this.#underWay -= 1;
      letGo();
    });
  }

  /** Takes a slot until the returned function is called, or a second has passed. */
  #holdSlot({ bytes }: Known): () => void {
    this.#slots.count += 1;
    this.#slots.bytes += bytes;
    let held = true;
    const letGo = (): void => {
      timer.cancel();
      if (!held) return;
      held = false;
      this.#slots.count -= 1;
      this.#slots.bytes -= bytes;
    };
    const timer = this.#ports.clock.after(LONG_MS, () => {
      letGo();
      this.#pump();
    });
    return letGo;
  }

  #failedOnce(known: Known, error: unknown): void {
    const { log, store, onFatal } = this.#ports;
    // It is tried each second: said once, until requests are answered again.
    const code = errorCode(error) ?? "unknown";
    if (this.#unanswered.size === 0 || code !== this.#trouble)
      log.error(
        { request: known.id, err: error },
        "a request could not be answered; it stays and is tried again",
      );
    this.#trouble = code;
    this.#unanswered.add(known.id);
    this.#failed.push(known);
    this.#failures += 1;
    if (errorCode(error) === "EIO")
      onFatal?.(new LedgerFailed(store.replies, "Answering in", error));
  }

  async #answerFile(known: Known): Promise<void> {
    const read = readRequest(this.#ports.store.requests, known.id, parseRequest);
    // It was withdrawn.
    if (read !== undefined) await this.#answer(read, known.left);
  }

  async #answer(read: ReadRequest, left: boolean): Promise<void> {
    const { clock, log, store } = this.#ports;
    const { id } = read;
    if (!isRequestId(id)) {
      // No file name can hold its reply.
      log.warn(
        { request: id },
        "a file in the requests folder has a name that no request can have; it was removed",
      );
      return removeRequest(store.runsDir, id);
    }
    if (readReply(store.runsDir, id) === null) {
      const reply = this.#answered.get(id) ?? (await this.#replyTo(read, left));
      this.#answered.set(id, reply);
      await writeReply(store.runsDir, id, { ...reply, at: iso(clock.now()) });
      if (reply.accepted)
        log.info(
          { request: id, type: read.ok ? read.request.type : undefined, run: reply.run },
          "request accepted",
        );
      else
        log.warn(
          { request: id, type: read.ok ? read.request.type : undefined, reason: reply.reason },
          "request refused",
        );
    }
    await removeRequest(store.runsDir, id);
    this.#answered.delete(id);
  }

  async #replyTo(read: ReadRequest, left: boolean): Promise<Reply> {
    if (!read.ok) return refused(read.reason);
    const { request } = read;
    const isLate =
      request.notAfter !== undefined && this.#ports.clock.now() > Date.parse(request.notAfter);
    const late = isLate ? `it was taken up after its notAfter, ${request.notAfter}` : undefined;
    if (late !== undefined && !left) return refused(late);
    const by = request.by === undefined ? `uid ${read.owner}` : `${request.by} (uid ${read.owner})`;
    return this.#ports.carryOut({
      id: read.id,
      request,
      by,
      writtenAt: read.writtenAt,
      left,
      late,
    });
  }
}

function byTime(a: WaitingRequest, b: WaitingRequest): number {
  return a.writtenAt - b.writtenAt || (a.id < b.id ? -1 : 1);
}
