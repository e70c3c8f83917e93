/**
 * Requests and replies: how any process asks the daemon, whether it runs or not (docs/requests.md,
 * semantics.md 23).
 *
 * A request is one file. It is written aside and renamed, so the daemon sees it whole or not at
 * all. It stays until it is answered. First its effect becomes durable in a ledger, with the
 * request's id; then the reply; then the request is removed. A crash anywhere in between leaves the
 * request: the daemon finds that it was carried out, and answers again.
 *
 * The command line writes requests and waits with this file, so it does not load zod: the caller
 * gives {@link readRequest} the check.
 */
import {
  constants,
  closeSync,
  fstatSync,
  lstatSync,
  openSync,
  opendirSync,
  statSync,
  unlinkSync,
  type Dir,
  type Stats,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { isUtf8 } from "node:buffer";
import { systemClock, type Clock } from "../clock.ts";
import { readJson } from "../core/exact-json.ts";
import type { Reply, Request, RequestInput } from "../core/request.ts";
import { HOUR_MS, iso } from "../core/time.ts";
import { writeFileAtomically } from "../disk/atomic-file.ts";
import { syncDirectory } from "../disk/directories.ts";
import { errorCode } from "../disk/disk-error.ts";
import { namesIn } from "../disk/names-in.ts";
import { systemDisk } from "../disk/disk.ts";
import { readBytes } from "../disk/read-bytes.ts";
import { RunStore } from "./run-store.ts";

const SUFFIX = ".json";
const ID = /^(?!\.)[A-Za-z0-9._-]{1,64}$/;
const MAX_BYTES = 1_048_576;
/** A reply is the daemon's own. That to a prune names each run that was removed. */
const MAX_REPLY_BYTES = 268_435_456;
const POLL_MS = 20;
/** No descriptor or no memory is left: that says nothing about the file. */
const OWN_TROUBLE = new Set<string | undefined>(["EMFILE", "ENFILE", "ENOMEM"]);

/**
 * The mode of a request and of a reply, whatever the umask of the one who writes it. Another user
 * has to read it: the daemon's, or the one who asked. Their folders decide who may.
 */
const FOR_ALL = { mode: 0o644, exactly: true } as const;
/** How many replies are looked at in one turn of the event loop. */
const REPLIES_AT_ONCE = 100;

/** How long a reply is kept, in milliseconds: an hour. */
export const REPLY_LIFE_MS = HOUR_MS;

/** A file in the requests folder, read and checked. */
export type ReadRequest = {
  readonly id: string;
  /** The user id of the file's owner: who asked. */
  readonly owner: number;
  /** When it was written, in milliseconds since 1970. */
  readonly writtenAt: number;
  /** The size of the file. */
  readonly bytes: number;
} & (
  | { readonly ok: true; readonly request: Request }
  | { readonly ok: false; readonly reason: string }
);

/** Checks a request; {@link parseRequest} of core/request.ts. */
export type CheckRequest = (
  value: unknown,
) =>
  | { readonly ok: true; readonly request: Request }
  | { readonly ok: false; readonly reason: string };

/** Whether a text can be a request's id, which is the name of a file. */
export function isRequestId(id: string): boolean {
  return ID.test(id);
}

/**
 * Leaves a request, durably. Once this returns, the request is never lost, and it will be answered.
 *
 * @param options `id`: an id of the caller's choice; the same id again is not a second request
 * @returns the request's id
 * @throws RangeError for a bad id; a Node error if it cannot be written
 */
export async function writeRequest(
  runsDir: string,
  request: RequestInput,
  options: { readonly id?: string; readonly clock?: Clock } = {},
): Promise<string> {
  const id = options.id ?? newId((options.clock ?? systemClock).now());
  await writeFileAtomically(
    join(new RunStore(runsDir).requests, checked(id) + SUFFIX),
    `${JSON.stringify(request)}\n`,
    FOR_ALL,
  );
  return id;
}

function newId(nowMs: number): string {
  return `${iso(nowMs).replaceAll(/[-:.]/g, "")}-${randomBytes(4).toString("hex")}`;
}

function checked(id: string): string {
  if (!isRequestId(id))
    throw new RangeError(
      `${JSON.stringify(id)} is no request's id: up to 64 letters, digits, dots, dashes and ` +
        "underscores, no dot first.",
    );
  return id;
}

/**
 * The ids of the files that may be requests, in no order. Dot-names are skipped. The folder is read
 * as the ids are asked for, so what comes into it meanwhile may be among them or not.
 *
 * @throws a Node error if the folder exists and cannot be read
 */
export function* requestIds(requestsDir: string): Generator<string, void> {
  let folder: Dir;
  try {
    folder = opendirSync(requestsDir, { bufferSize: 256 });
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  try {
    for (let entry = folder.readSync(); entry !== null; entry = folder.readSync())
      if (!entry.name.startsWith(".") && entry.name.endsWith(SUFFIX))
        yield entry.name.slice(0, -SUFFIX.length);
  } finally {
    folder.closeSync();
  }
}

/**
 * Reads a request. A file that cannot be taken comes with the reason to refuse it: none is dropped
 * silently.
 *
 * @returns undefined if it is gone
 * @throws a Node error if no descriptor is left
 */
export function readRequest(
  requestsDir: string,
  id: string,
  check: CheckRequest,
): ReadRequest | undefined {
  const read = readOne(join(requestsDir, id + SUFFIX));
  if (read === undefined) return undefined;
  const { stats, value } = read;
  const base = { id, owner: stats.uid, writtenAt: stats.mtimeMs, bytes: stats.size };
  if (!isRequestId(id)) return { ...base, ok: false, reason: "its name is no request's id" };
  if ("reason" in value) return { ...base, ok: false, reason: value.reason };
  return { ...base, ...check(value.json) };
}

type Value = { readonly json: unknown } | { readonly reason: string };

/**
 * A file and its content; undefined if it is gone. @throws a Node error that comes from this
 * process and not from the file: another try may succeed
 */
function readOne(
  path: string,
  maxBytes = MAX_BYTES,
): { readonly stats: Stats; readonly value: Value } | undefined {
  let fd: number;
  try {
    // Links are not followed: one could name any file. Nothing waits for a pipe, which would block.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (OWN_TROUBLE.has(errorCode(error))) throw error;
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (errorCode(error) === "ENOENT" || stats === undefined) return undefined;
    return { stats, value: { reason: `it cannot be read (${errorCode(error)})` } };
  }
  try {
    const stats = fstatSync(fd);
    return { stats, value: contentOf(fd, stats, maxBytes) };
  } finally {
    closeSync(fd);
  }
}

function contentOf(fd: number, stats: Stats, maxBytes: number): Value {
  if (!stats.isFile()) return { reason: "it is no regular file" };
  if (stats.size > maxBytes) return { reason: "it is longer than 1 MiB" };
  const text = readBytes(fd, 0, stats.size);
  if (!isUtf8(text)) return { reason: "it is not UTF-8" };
  const read = readJson(text.toString());
  if (read.ok) return { json: read.value };
  return { reason: `it ${read.message}` };
}

/**
 * Answers a request, durably. Its effect must be durable before.
 *
 * @throws RangeError for a bad id; a Node error if it cannot be written
 */
export async function writeReply(runsDir: string, id: string, reply: Reply): Promise<void> {
  await writeFileAtomically(
    join(new RunStore(runsDir).replies, checked(id) + SUFFIX),
    `${JSON.stringify(reply)}\n`,
    FOR_ALL,
  );
}

/**
 * The daemon's reply, or null if there is none (yet, or any more). @throws RangeError for a bad id
 */
export function readReply(runsDir: string, id: string): Reply | null {
  const read = readOne(join(new RunStore(runsDir).replies, checked(id) + SUFFIX), MAX_REPLY_BYTES);
  return read === undefined || !("json" in read.value) ? null : (read.value.json as Reply);
}

/**
 * Whether a request is there still. One that is not, and has no reply, was withdrawn: it is removed
 * after its reply was written. @throws RangeError for a bad id
 */
export function isRequestThere(runsDir: string, id: string): boolean {
  const path = join(new RunStore(runsDir).requests, checked(id) + SUFFIX);
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // Nobody can tell now.
    return true;
  }
}

/**
 * Waits for the daemon's reply.
 *
 * @param timeoutMs how long to wait at most, in milliseconds; after that the result is null
 */
export function waitForReply(
  runsDir: string,
  id: string,
  timeoutMs: number,
  clock: Clock = systemClock,
): Promise<Reply | null> {
  const until = clock.monotonic() + timeoutMs;
  return new Promise((resolve, reject) => {
    // One look costs 10 µs and the wait is short. A watcher would lose events.
    const look = (): void => {
      try {
        const reply = readReply(runsDir, id);
        if (reply !== null || clock.monotonic() >= until) resolve(reply);
        else clock.after(Math.min(POLL_MS, until - clock.monotonic()), look);
      } catch (error) {
        reject(error);
      }
    };
    look();
  });
}

/**
 * Removes a request that was answered, or withdraws the caller's own, durably. Does nothing if it
 * is gone. A folder is not a request: it is moved out of the way, to a dot-name.
 */
export async function removeRequest(runsDir: string, id: string): Promise<void> {
  const { requests } = new RunStore(runsDir);
  const path = join(requests, id + SUFFIX);
  try {
    await systemDisk.unlink(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
    await systemDisk.rename(path, join(requests, `.${id}.${randomBytes(4).toString("hex")}`));
  }
  await syncDirectory(systemDisk, requests);
}

/**
 * Removes replies older than {@link REPLY_LIFE_MS}, a few in each turn of the event loop.
 *
 * @returns how many
 */
export async function expireReplies(runsDir: string, nowMs: number): Promise<number> {
  const { replies } = new RunStore(runsDir);
  let removed = 0;
  let seen = 0;
  for (const name of namesIn(replies)) {
    seen += 1;
    if (seen % REPLIES_AT_ONCE === 0) await new Promise((resume) => void setImmediate(resume));
    const path = join(replies, name);
    const stats = statSync(path, { throwIfNoEntry: false });
    // What is no file is nobody's reply, and must not keep the others.
    if (stats?.isFile() !== true || nowMs - stats.mtimeMs <= REPLY_LIFE_MS) continue;
    unlinkSync(path);
    removed += 1;
  }
  return removed;
}
