/**
 * What the package does on another machine besides running steps (daemon/far-host.ts): it lets only
 * the newest daemon of a root start runners there, and ends what an earlier one left.
 *
 *     far-host.js hello                          answers with one line of JSON
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
import { join } from "node:path";
import { VERSION } from "../../version.ts";
import { killByToken } from "../pool/kill-by-token.ts";
import { WIRE_PROTOCOL } from "../pool/wire.ts";
import { ANSWER_MARK } from "./folder-program.ts";

/** How often what was ended is looked for again, and how long in between, in milliseconds. */
const LOOKS = 100;
const REST_MS = 50;

/** What `hello` and `take` answer. */
export interface HostAnswer {
  readonly version: string;
  readonly protocol: number;
  /** How many processes of earlier runners were ended. */
  readonly ended: number;
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
 * Makes this daemon the one that may start runners, and ends all whose tokens are given.
 *
 * @throws a Node error if the folder cannot be written
 */
export async function takeHost(root: FarRoot, tokens: readonly string[]): Promise<HostAnswer> {
  const known = { version: VERSION, protocol: WIRE_PROTOCOL };
  const newest = epochOf(root);
  if (newest > root.epoch)
    return { ...known, ended: 0, because: "a later daemon of the same root uses it" };
  if (newest < root.epoch) writeEpoch(root);
  let ended = 0;
  for (let look = 0; ; look += 1) {
    const found = tokens.reduce((sum, token) => sum + killByToken(token), 0);
    ended += found;
    if (found === 0) break;
    if (look === LOOKS)
      return { ...known, ended, because: "processes of earlier steps there do not end" };
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
  }
  return { ...known, ended };
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

function writeEpoch({ folder, token, epoch }: FarRoot): void {
  const at = join(folder, "roots", token);
  mkdirSync(at, { recursive: true, mode: 0o700 });
  const aside = join(at, `.epoch-${process.pid}`);
  writeFileSync(aside, String(epoch));
  renameSync(aside, join(at, "epoch"));
}

/**
 * Does what the words say.
 *
 * @param become makes this process a runner behind its stdin and stdout
 */
export async function runFarSide(
  [mode, folder = "", token = "", epoch, ...ends]: readonly string[],
  become: () => Promise<void>,
): Promise<void> {
  const root: FarRoot = { folder, token, epoch: Number(epoch) };
  switch (mode) {
    case "hello":
      process.stdout.write(answerLine({ version: VERSION, protocol: WIRE_PROTOCOL, ended: 0 }));
      break;
    case "take":
      process.stdout.write(answerLine(await takeHost(root, ends)));
      break;
    case "run":
      if (mayBegin(root)) await become();
      else
        process.stderr.write("a later daemon of the same root uses this machine\n", () =>
          process.exit(1),
        );
      break;
    default:
      process.stderr.write("far-host.js is started by orchd: hello, take or run\n", () =>
        process.exit(2),
      );
  }
}
