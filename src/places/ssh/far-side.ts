/**
 * What the package does on another machine besides running steps (daemon/far-host.ts): it lets only
 * the newest daemon of a root start runners there, and ends what an earlier one left.
 *
 *     far-host.js tidy FOLDER                    removes packages nobody uses (old-packages.ts)
 *     far-host.js take FOLDER TOKEN EPOCH END…   makes this daemon the newest; ends these tokens'
 *     far-host.js run FOLDER TOKEN EPOCH         becomes a runner behind its stdin and stdout
 *
 * `roots/TOKEN/epoch` has the epoch of the newest daemon of a root's place. `take` writes it before
 * it looks for processes. `run` reads it once its own environment has the token. So a runner
 * that an earlier daemon asked for, and that begins late since the link was slow, either is found
 * and ended, or reads the new epoch and ends.
 *
 * Rejected: to trust that a killed daemon's runners have ended. They do, by the end of their input
 * or by their lease, but then each restart would wait for the longest lease.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { VERSION } from "../../version.ts";
import { readLeftClaims, type LeftClaims } from "../pool/far-claims.ts";
import { endByToken } from "../pool/kill-by-token.ts";
import { WIRE_PROTOCOL } from "../pool/wire.ts";
import { ANSWER_MARK } from "./folder-program.ts";
import { removeOldPackages, USED_PACKAGE } from "./old-packages.ts";

/** What `tidy` and `take` answer. */
export interface HostAnswer {
  readonly version: string;
  readonly protocol: number;
  /** How many processes of earlier runners were ended. */
  readonly ended: number;
  /** Which steps had begun in the last runner that many shared, if it said so (far-claims.ts). */
  readonly claims?: LeftClaims | undefined;
  /** The packages of earlier builds that were removed. */
  readonly removed?: readonly string[] | undefined;
  /** A later daemon has the machine, and nothing of the given tokens is left. */
  readonly isOver?: boolean | undefined;
  /** Why it cannot be used: a sentence. */
  readonly because?: string | undefined;
}

/** Which place of which root this is about, and for which daemon of it. */
export interface FarRoot {
  /** The place's folder there. */
  readonly folder: string;
  readonly token: string;
  readonly epoch: number;
}

/**
 * Makes this daemon the one that may start runners, and ends all whose tokens are given. One whose
 * place a later daemon has taken may still end what is its own.
 *
 * @param id the package's, which is in use from now on
 * @throws a Node error if the folder cannot be written
 */
export async function takeHost(
  root: FarRoot,
  tokens: readonly string[],
  id: string,
): Promise<HostAnswer> {
  const known = { version: VERSION, protocol: WIRE_PROTOCOL };
  const newest = epochOf(root);
  // The package first: from its epoch on, a daemon may start runners.
  if (newest <= root.epoch) write(root, USED_PACKAGE, id);
  if (newest < root.epoch) write(root, "epoch", String(root.epoch));
  // A later daemon's runners have the place's token too.
  const mine = newest > root.epoch ? tokens.filter((each) => isOwn(root, each)) : tokens;
  let ended = 0;
  for (const each of mine) {
    const found = await endByToken(each);
    ended += found.ended;
    if (!found.areGone)
      return { ...known, ended, because: "processes of earlier steps there do not end" };
  }
  if (newest > root.epoch)
    return { ...known, ended, isOver: true, because: "a later daemon of the same root uses it" };
  // None of them can write it any more.
  return { ...known, ended, claims: readLeftClaims(claimsFolder(root)) };
}

/** Where the runners of a root's place leave their claims. */
export function claimsFolder({ folder, token }: Pick<FarRoot, "folder" | "token">): string {
  return join(folder, "roots", token, "claims");
}

/** Whether a token is of this very daemon, or of one of its runners. */
function isOwn({ token, epoch }: FarRoot, given: string): boolean {
  return `${given}.`.startsWith(`${token}.${epoch}.`);
}

/** Whether this daemon's runners may begin. */
export function mayBegin(root: FarRoot): boolean {
  return epochOf(root) === root.epoch;
}

/** An answer as a line that `answerIn` of the daemon's side finds. */
export function answerLine(answer: HostAnswer): string {
  return `\n${ANSWER_MARK}${JSON.stringify(answer)}\n`;
}

/** The epoch of the newest daemon. 0: there was none. */
function epochOf({ folder, token }: FarRoot): number {
  try {
    return Number(readFileSync(join(folder, "roots", token, "epoch"), "utf8"));
  } catch {
    return 0;
  }
}

function write({ folder, token }: FarRoot, name: string, text: string): void {
  const at = join(folder, "roots", token);
  mkdirSync(at, { recursive: true, mode: 0o700 });
  const aside = join(at, `.${name}-${process.pid}`);
  writeFileSync(aside, text);
  renameSync(aside, join(at, name));
}

/** The id of the package that a program is in. */
function packageOf(folder: string, program: string): string {
  return program.slice(folder.length + 1).split(sep)[0]!;
}

/**
 * Does what the words say.
 *
 * @param program the path of this program, below the folder
 * @param become makes this process a runner behind its stdin and stdout
 */
export async function runFarSide(
  [mode, folder = "", token = "", epoch, ...ends]: readonly string[],
  program: string,
  become: () => Promise<void>,
): Promise<void> {
  const root: FarRoot = { folder, token, epoch: Number(epoch) };
  switch (mode) {
    case "tidy": {
      const removed = removeOldPackages(folder, packageOf(folder, program));
      const known = { version: VERSION, protocol: WIRE_PROTOCOL };
      process.stdout.write(answerLine({ ...known, ended: 0, removed }));
      break;
    }
    case "take":
      process.stdout.write(answerLine(await takeHost(root, ends, packageOf(folder, program))));
      break;
    case "run":
      if (mayBegin(root)) await become();
      else
        process.stderr.write("a later daemon of the same root uses this machine\n", () =>
          process.exit(1),
        );
      break;
    default:
      process.stderr.write("far-host.js is started by orchd: tidy, take or run\n", () =>
        process.exit(2),
      );
  }
}
