/**
 * Listens on a unix socket that only its owner and its group may use.
 *
 * A socket's file outlives a process that is killed. So where the name is taken, it is asked: one
 * that answers is another page's, and one that refuses is left over and is replaced. It is moved
 * aside before it is removed, so that of two pages that start at once neither removes the other's.
 */
import { chmodSync, lstatSync, mkdirSync, renameSync, statSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { basename, dirname, join } from "node:path";

const MODE = 0o660;
/** What is taken from a new file's mode while the socket is made. */
const UMASK = 0o117;
/** How long a socket may take to answer, in milliseconds: one that is busy is in use. */
const ANSWER_MS = 2_000;
const TRIES = 3;

/** What came of it. `because`: one sentence without its full stop. */
export type Listening =
  | { readonly ok: true; readonly replaced: boolean }
  | { readonly ok: false; readonly because: string };

/** Has a server listen on a path. Never throws for what a person can put right. */
export async function listenOnSocket(server: Server, path: string): Promise<Listening> {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
  } catch (error) {
    return { ok: false, because: `${path} cannot be made (${codeOf(error)}); name another socket` };
  }
  let replaced = false;
  for (let tried = 0; tried < TRIES; tried += 1) {
    const failed = await bind(server, path);
    if (failed === undefined) {
      chmodSync(path, MODE);
      return { ok: true, replaced };
    }
    if (failed !== "EADDRINUSE") return { ok: false, because: bindText(path, failed) };
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false)
      return {
        ok: false,
        because: `${path} is there and is no socket; name another, or remove it`,
      };
    if (await answers(path)) break;
    replaced = removeLeftOver(path) || replaced;
  }
  return {
    ok: false,
    because: `a page serves on ${path} already; end it first, or name another place with --listen`,
  };
}

/** The code of the error; undefined where the server listens. */
function bind(server: Server, path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const failed = (error: Error): void => {
      server.off("listening", listening);
      resolve(codeOf(error));
    };
    const listening = (): void => {
      server.off("error", failed);
      resolve(undefined);
    };
    server.once("error", failed).once("listening", listening);
    // The name is bound within this call: nobody can connect before the mode is right.
    const before = process.umask(UMASK);
    try {
      server.listen(path);
    } finally {
      process.umask(before);
    }
  });
}

function bindText(path: string, code: string): string {
  if (code === "EACCES" || code === "EPERM")
    return (
      `this user may not make the socket ${path}; ` +
      "name one in a folder of its own, with --listen unix:PATH"
    );
  if (code === "EINVAL" || code === "ENAMETOOLONG")
    return `the path ${path} is too long for a socket; name a shorter one with --listen unix:PATH`;
  return `the socket ${path} cannot be made (${code}); name another with --listen unix:PATH`;
}

/** Whether a process listens on the socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (is: boolean): void => {
      clearTimeout(late);
      socket.destroy();
      resolve(is);
    };
    const late = setTimeout(end, ANSWER_MS, true);
    const socket = connect(path)
      .once("connect", () => end(true))
      .once("error", (error) => end(!["ECONNREFUSED", "ENOENT"].includes(codeOf(error))));
  });
}

/** Removes a socket that nobody listens on. @returns whether there was one */
function removeLeftOver(path: string): boolean {
  const aside = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    const before = statSync(path).ino;
    renameSync(path, aside);
    // Another page has put its own there meanwhile: it is put back.
    if (statSync(aside).ino !== before) renameSync(aside, path);
    else unlinkSync(aside);
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "no code";
}
