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
 * gives {@link readRequests} the check.
 */
import {
  constants,
  closeSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
  type Stats,
} from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { isUtf8 } from "node:buffer";
import { systemClock, type Clock } from "../clock.ts";
import type { Reply, Request, RequestInput } from "../core/request.ts";
import { HOUR_MS, iso } from "../core/time.ts";
import { writeFileAtomically } from "../disk/atomic-file.ts";
import { syncDirectory } from "../disk/directories.ts";
import { errorCode } from "../disk/disk-error.ts";
import { systemDisk } from "../disk/disk.ts";
import { RunStore } from "./run-store.ts";

const SUFFIX = ".json";
const ID = /^(?!\.)[A-Za-z0-9._-]{1,64}$/;
const MAX_BYTES = 1_048_576;
const POLL_MS = 20;
/** No descriptor or no memory is left: that says nothing about the file. */
const OWN_TROUBLE = new Set<string | undefined>(["EMFILE", "ENFILE", "ENOMEM"]);

/** How long a reply is kept, in milliseconds: an hour. */
export const REPLY_LIFE_MS = HOUR_MS;

/** A file in the requests folder, read and checked. */
export type ReadRequest = {
  readonly id: string;
  /** The user id of the file's owner: who asked. */
  readonly owner: number;
  /** When it was written, in milliseconds since 1970. */
  readonly writtenAt: number;
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
    { mode: 0o644 },
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
 * Reads every request, oldest first. Dot-names are skipped. Every other file that cannot be taken
 * comes with the reason to refuse it: none is dropped silently.
 *
 * @throws a Node error if the folder exists and cannot be read, or if no descriptor is left
 */
export function readRequests(requestsDir: string, check: CheckRequest): ReadRequest[] {
  const found: ReadRequest[] = [];
  for (const name of namesIn(requestsDir)) {
    if (name.startsWith(".") || !name.endsWith(SUFFIX)) continue;
    const id = name.slice(0, -SUFFIX.length);
    const read = readOne(join(requestsDir, name));
    if (read === undefined) continue;
    const { stats, value } = read;
    const base = { id, owner: stats.uid, writtenAt: stats.mtimeMs };
    if (!isRequestId(id)) found.push({ ...base, ok: false, reason: "its name is no request's id" });
    else if ("reason" in value) found.push({ ...base, ok: false, reason: value.reason });
    else found.push({ ...base, ...check(value.json) });
  }
  return found.toSorted((a, b) => a.writtenAt - b.writtenAt || (a.id < b.id ? -1 : 1));
}

type Value = { readonly json: unknown } | { readonly reason: string };

/**
 * A file and its content; undefined if it is gone. @throws a Node error that comes from this
 * process and not from the file: another try may succeed
 */
function readOne(path: string): { readonly stats: Stats; readonly value: Value } | undefined {
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
    return { stats, value: contentOf(fd, stats) };
  } finally {
    closeSync(fd);
  }
}

function contentOf(fd: number, stats: Stats): Value {
  if (!stats.isFile()) return { reason: "it is no regular file" };
  if (stats.size > MAX_BYTES) return { reason: "it is longer than 1 MiB" };
  const bytes = Buffer.alloc(stats.size);
  let length = 0;
  for (let read = -1; read !== 0 && length < bytes.length; length += read)
    read = readSync(fd, bytes, length, bytes.length - length, length);
  const text = bytes.subarray(0, length);
  if (!isUtf8(text)) return { reason: "it is not UTF-8" };
  try {
    return { json: JSON.parse(text.toString()) as unknown };
  } catch {
    return { reason: "it is not JSON" };
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
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
    { mode: 0o644 },
  );
}

/**
 * The daemon's reply, or null if there is none (yet, or any more). @throws RangeError for a bad id
 */
export function readReply(runsDir: string, id: string): Reply | null {
  const read = readOne(join(new RunStore(runsDir).replies, checked(id) + SUFFIX));
  return read === undefined || !("json" in read.value) ? null : (read.value.json as Reply);
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

/** Removes replies older than {@link REPLY_LIFE_MS}. @returns how many */
export function expireReplies(runsDir: string, nowMs: number): number {
  const { replies } = new RunStore(runsDir);
  let removed = 0;
  for (const name of namesIn(replies)) {
    const path = join(replies, name);
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined || nowMs - stats.mtimeMs <= REPLY_LIFE_MS) continue;
    unlinkSync(path);
    removed += 1;
  }
  return removed;
}
