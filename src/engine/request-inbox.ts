/**
 * Takes up the requests of other processes (semantics.md 23).
 *
 * A request is a file that stays until it is answered, so the inbox has nothing to remember across
 * a crash. Each request goes through three steps, each durable before the next: what it asks for
 * (in a ledger, with the request's id), the reply, the removal of the file. A file that was there
 * when the daemon started may be half-way through them: the handlers look for its trace before they
 * do anything.
 *
 * A reply that could not be written (the disk is full) is kept in memory: trying again writes the
 * reply again, and does nothing twice.
 *
 * A watcher makes it quick, and is not trusted: the folder is read again every second.
 */
import { chmodSync, watch, type FSWatcher } from "node:fs";
import { errorCode } from "../disk/disk-error.ts";
import { LedgerFailed } from "../ledger/ledger-error.ts";
import { makeFolder } from "../disk/make-folder.ts";
import type { Clock, Timer } from "../clock.ts";
import { parseRequest, refused, type Reply, type Request } from "../core/request.ts";
import { iso } from "../core/time.ts";
import {
  expireReplies,
  isRequestId,
  readReply,
  readRequests,
  removeRequest,
  writeReply,
  type ReadRequest,
} from "../ledger/requests.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { Log } from "../log.ts";

/** How often the folder is read even if the watcher reports nothing, in milliseconds. */
const RESCAN_MS = 1_000;
/** How often old replies are removed, in milliseconds. */
const EXPIRE_MS = 600_000;

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
  /** How often the folder is read even if the watcher reports nothing; default: one second. */
  readonly rescanMs?: number | undefined;
  /** Which requests this process takes up; the others stay for a daemon. Default: all. */
  readonly accepts?: ((request: ReadRequest) => boolean) | undefined;
}

/** The requests folder of one runs folder. */
export class RequestInbox {
  readonly #ports: InboxPorts;
  readonly #underWay = new Map<string, Promise<void>>();
  /** Replies to requests whose files are not removed yet. */
  readonly #answered = new Map<string, Reply>();
  #left = true;
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #closed = false;
  #soon = false;
  #nextExpiry = 0;
  /** The folder could not be read at the last look. */
  #blind = false;

  constructor(ports: InboxPorts) {
    this.#ports = ports;
    // Writable by the group, whatever the umask: the group's members may leave requests.
    if (makeFolder(ports.store.requests)) chmodSync(ports.store.requests, 0o770);
  }

  /** Takes up all requests that are there, and waits until they are answered. */
  async takeUpAll(filter: (request: ReadRequest) => boolean = () => true): Promise<void> {
    await Promise.all(this.#scan(filter));
  }

  /** Takes up requests as they come, from now on. */
  start(): void {
    this.#left = false;
    this.#watch();
    this.#look();
  }

  /** Takes up no more requests, and waits for those under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#watcher?.close();
    this.#timer?.cancel();
    await Promise.all(this.#underWay.values());
  }

  #watch(): void {
    try {
      this.#watcher = watch(this.#ports.store.requests, { persistent: false }, () =>
        this.#lookSoon(),
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

  /** Reads the folder once for many events that come together. */
  #lookSoon(): void {
    if (this.#soon || this.#closed) return;
    this.#soon = true;
    setImmediate(() => {
      this.#soon = false;
      if (!this.#closed) void Promise.all(this.#scan(() => true));
    });
  }

  #look(): void {
    if (this.#closed) return;
    void Promise.all(this.#scan(() => true));
    const now = this.#ports.clock.now();
    if (now >= this.#nextExpiry) {
      this.#nextExpiry = now + EXPIRE_MS;
      try {
        expireReplies(this.#ports.store.runsDir, now);
      } catch (error) {
        this.#ports.log.warn({ err: error }, "old replies could not be removed");
      }
    }
    this.#timer = this.#ports.clock.after(this.#ports.rescanMs ?? RESCAN_MS, () => this.#look());
  }

  #scan(filter: (request: ReadRequest) => boolean): Promise<void>[] {
    let found: ReadRequest[];
    try {
      found = readRequests(this.#ports.store.requests, parseRequest);
    } catch (error) {
      if (!this.#blind)
        this.#ports.log.error({ err: error }, "the requests folder cannot be read; requests wait");
      this.#blind = true;
      return [];
    }
    if (this.#blind) this.#ports.log.info({}, "the requests folder can be read again");
    this.#blind = false;
    const { accepts } = this.#ports;
    return found
      .filter((read) => filter(read) && accepts?.(read) !== false)
      .map((read) => this.#take(read));
  }

  #take(read: ReadRequest): Promise<void> {
    const known = this.#underWay.get(read.id);
    if (known !== undefined) return known;
    const done = this.#answer(read)
      .catch((error: unknown) => {
        this.#ports.log.error(
          { request: read.id, err: error },
          "a request could not be answered; it stays and is tried again",
        );
        if (errorCode(error) === "EIO")
          this.#ports.onFatal?.(new LedgerFailed(this.#ports.store.replies, "Answering in", error));
      })
      .finally(() => this.#underWay.delete(read.id));
    this.#underWay.set(read.id, done);
    return done;
  }

  async #answer(read: ReadRequest): Promise<void> {
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
      const reply = this.#answered.get(id) ?? (await this.#replyTo(read));
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

  async #replyTo(read: ReadRequest): Promise<Reply> {
    if (!read.ok) return refused(read.reason);
    const { request } = read;
    const isLate =
      request.notAfter !== undefined && this.#ports.clock.now() > Date.parse(request.notAfter);
    const late = isLate ? `it was taken up after its notAfter, ${request.notAfter}` : undefined;
    if (late !== undefined && !this.#left) return refused(late);
    const by = request.by === undefined ? `uid ${read.owner}` : `${request.by} (uid ${read.owner})`;
    return this.#ports.carryOut({
      id: read.id,
      request,
      by,
      writtenAt: read.writtenAt,
      left: this.#left,
      late,
    });
  }
}
