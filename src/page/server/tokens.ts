/**
 * Who may read, and who may ask. A token is compared by its hash, in a time that does not depend on
 * where two texts differ.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

/** What a token allows. `operate` is `read` and more: it may leave requests. */
export type Right = "read" | "operate";

/** The fewest characters of a token in a file: a short one can be guessed. */
const SHORTEST = 16;
const LINE = /^(read|operate)[ \t]+(\S+)$/;
const MOST_BYTES = 65_536;

/** The tokens of one page. */
export class Tokens {
  readonly #known: readonly { readonly right: Right; readonly hash: Buffer }[];

  constructor(known: readonly { readonly right: Right; readonly token: string }[]) {
    this.#known = known.map(({ right, token }) => ({ right, hash: hashOf(token) }));
  }

  /** What a token allows; undefined where it is none of them. */
  rightOf(token: string): Right | undefined {
    const given = hashOf(token);
    let found: Right | undefined;
    // All are compared: the time tells nothing of which one it was.
    for (const { right, hash } of this.#known)
      if (timingSafeEqual(given, hash) && found !== "operate") found = right;
    return found;
  }
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

/** A token that nobody can guess. */
export function newToken(): string {
  return randomBytes(24).toString("base64url");
}

/**
 * Reads a token file: lines `read TOKEN` and `operate TOKEN`; empty lines and `#` lines are
 * skipped.
 *
 * @returns the tokens, or why the file is refused, in one sentence
 */
export function readTokenFile(
  path: string,
):
  | { readonly ok: true; readonly tokens: Tokens }
  | { readonly ok: false; readonly because: string } {
  const read = readOwnFile(path);
  if (!read.ok) return read;
  const known: { right: Right; token: string }[] = [];
  for (const [index, raw] of read.text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const [, right, token] = LINE.exec(line) ?? [];
    // The line itself is not shown: it may be a token.
    if (right === undefined || token === undefined)
      return refuse(path, `line ${index + 1}: write \`read TOKEN\` or \`operate TOKEN\``);
    if (token.length < SHORTEST)
      return refuse(path, `line ${index + 1}: the token is too short; take ${SHORTEST} characters`);
    known.push({ right: right as Right, token });
  }
  if (known.length === 0)
    return refuse(path, "it holds no token; write lines `read TOKEN` or `operate TOKEN`");
  return { ok: true, tokens: new Tokens(known) };
}

type Refused = { readonly ok: false; readonly because: string };

function refuse(path: string, because: string): Refused {
  return { ok: false, because: `the token file ${path}: ${because}.` };
}

/** The text of a file that only its owner, and perhaps its group, can read. */
function readOwnFile(path: string): { readonly ok: true; readonly text: string } | Refused {
  let fd: number;
  try {
    // Nothing waits for a pipe, which would block.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return refuse(path, `it cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) return refuse(path, "it is no regular file");
    if (stats.size > MOST_BYTES) return refuse(path, "it is longer than 64 KiB");
    if ((stats.mode & 0o007) !== 0)
      return refuse(path, `every user of this machine may open it; run \`chmod 600 ${path}\``);
    return { ok: true, text: readFileSync(fd, "utf8") };
  } finally {
    closeSync(fd);
  }
}
