/**
 * Puts orchd's package on another machine, and says whether that machine can run steps:
 * `orchd place prepare NAME`. The place itself asks the same as it connects, and puts nothing.
 */
import { gzipSync } from "node:zlib";
import type { Clock } from "../../clock.ts";
import type { SshPlaceSettings } from "../../core/place-settings.ts";
import { folderCommand, hostCommand } from "./host-commands.ts";
import { farPackage, type FarPackage } from "./far-package.ts";
import type { HostAnswer } from "./far-side.ts";
import { answerIn, type FolderAnswer } from "./folder-program.ts";
import { SshConnection, type ConnectionState, type FarAnswer } from "./ssh-connection.ts";
import { lastLine } from "./ssh-sentence.ts";
import { hostText } from "./ssh-words.ts";

/** How long the package may take to get there, in milliseconds. */
const COPY_MS = 10 * 60_000;
/** How long the package may take to answer, in milliseconds. */
const TRY_MS = 20_000;
/** The oldest Node that runs a step: package.json's `engines`. */
const OLDEST = [20, 19] as const;

/** A machine that can run steps. */
export interface FarMachine {
  readonly node: string;
  readonly platform: string;
  /** The place's folder there, absolute. */
  readonly folder: string;
  readonly state: "whole" | "broken" | "missing";
}

/** A machine, or why it cannot run steps: a sentence. */
export type Looked =
  | { readonly ok: true; readonly machine: FarMachine }
  | { readonly ok: false; readonly because: string };

/** The package was put there, or was there. */
export type Prepared =
  | {
      readonly ok: true;
      readonly machine: FarMachine;
      readonly id: string;
      readonly version: string;
      readonly protocol: number;
      /** `there`: nothing was to do. */
      readonly did: "copied" | "replaced" | "there";
      /** The packages of earlier builds that were removed. */
      readonly removed: readonly string[];
    }
  | { readonly ok: false; readonly because: string };

/** Asks a machine for its Node, its platform, and whether the package is there and whole. */
export async function lookAt(
  connection: SshConnection,
  settings: SshPlaceSettings,
  given: FarPackage = farPackage(),
): Promise<Looked> {
  const list = JSON.stringify(given.files.map(({ path, sha256 }) => ({ path, sha256 })));
  const answer = await connection.ask(folderCommand(settings, "look", given.id), list);
  return machineIn(connection, settings, answer);
}

/**
 * Puts the package there unless it is there, and tries it: it removes packages that nobody uses.
 *
 * @param protocol what the daemon speaks
 */
export async function prepareHost(
  connection: SshConnection,
  settings: SshPlaceSettings,
  protocol: number,
  given: FarPackage = farPackage(),
): Promise<Prepared> {
  const looked = await lookAt(connection, settings, given);
  if (!looked.ok) return looked;
  const { machine } = looked;
  if (machine.state !== "whole") {
    const command = folderCommand(settings, "put", given.id);
    const answer = await connection.ask(command, packed(given), COPY_MS);
    const put = machineIn(connection, settings, answer);
    if (!put.ok) return put;
  }
  const command = hostCommand(settings, machine.folder, given.id, ["tidy", machine.folder]);
  const tried = await tryPackage(connection, settings, command, protocol);
  if (!tried.ok) return tried;
  const did = { whole: "there", broken: "replaced", missing: "copied" } as const;
  const { id } = given;
  const { version, removed = [] } = tried.answer;
  return { ok: true, machine, id, version, protocol, did: did[machine.state], removed };
}

/** Runs the package's own program there. It answers, in the daemon's protocol, or says why not. */
export async function tryPackage(
  connection: SshConnection,
  settings: SshPlaceSettings,
  command: string,
  protocol: number,
): Promise<
  | { readonly ok: true; readonly answer: HostAnswer }
  | { readonly ok: false; readonly because: string; readonly isOver?: boolean | undefined }
> {
  const said = await connection.ask(command, "", TRY_MS);
  const answer = answerIn(said.stdout) as Partial<HostAnswer> | undefined;
  const name = hostText(settings);
  if (typeof answer?.protocol !== "number" || typeof answer.version !== "string")
    return { ok: false, because: failure(connection, settings, said) };
  if (answer.protocol !== protocol)
    return {
      ok: false,
      because:
        `orchd ${answer.version} on ${name} speaks protocol ${answer.protocol}, and this daemon ` +
        `${protocol}: prepare the place again`,
    };
  if (answer.because !== undefined)
    return {
      ok: false,
      because: `${name} cannot be used: ${answer.because}`,
      isOver: answer.isOver,
    };
  return { ok: true, answer: answer as HostAnswer };
}

/** The list, and the bytes in its order. */
function packed({ files }: FarPackage): Buffer {
  const list = files.map(({ path, sha256, bytes }) => ({ path, sha256, size: bytes.length }));
  const head = Buffer.from(`${JSON.stringify(list)}\n`);
  return gzipSync(Buffer.concat([head, ...files.map(({ bytes }) => bytes)]));
}

function machineIn(connection: SshConnection, settings: SshPlaceSettings, said: FarAnswer): Looked {
  const answer = answerIn(said.stdout);
  if (answer === undefined) return { ok: false, because: failure(connection, settings, said) };
  const { node, platform, folder, state } = answer;
  const because = unfit(settings, answer);
  if (because !== undefined || folder === undefined || state === undefined)
    return { ok: false, because: because ?? failure(connection, settings, said) };
  return { ok: true, machine: { node, platform, folder, state } };
}

/** Why a machine that answers cannot run steps. Undefined: it can. */
function unfit(
  settings: SshPlaceSettings,
  { node, platform, folder, because, code }: FolderAnswer,
): string | undefined {
  const name = hostText(settings);
  const [major = 0, minor = 0] = node.split(".").map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    return (
      `the Node on ${name} is ${node}, and orchd needs ${OLDEST.join(".")} or newer: install one ` +
      "there, and name it under node if it is not the first on the PATH"
    );
  if (!platform.startsWith("linux/")) return `${name} is ${platform}, and steps run on Linux alone`;
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return `the disk of ${name} is full: orchd's folder ${folder} needs 5 MB there`;
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return `orchd's folder ${folder} cannot be written on ${name}: ${because}`;
    default:
      return because === undefined
        ? undefined
        : `orchd's package cannot be put on ${name}: ${because}`;
  }
}

/** Why a command gave no answer. */
function failure(
  connection: SshConnection,
  settings: SshPlaceSettings,
  { status, stdout, stderr }: FarAnswer,
): string {
  const name = hostText(settings);
  const node = settings.node ?? "node";
  if (status === 255) return connection.sentence(stderr);
  if (status === 127 || /not found|No such file|Unknown command/i.test(stderr))
    return (
      `there is no ${node} on ${name}: install Node ${OLDEST.join(".")} or newer there, or give ` +
      "its path under node (what a login shell adds to PATH does not count)"
    );
  if (status === 126)
    return `${node} cannot be run on ${name}: ${lastLine(stderr) ?? "status 126"}`;
  const said = lastLine(stderr) ?? lastLine(stdout);
  return `${name} gave no answer${said === undefined ? "" : `: ${said}`}`;
}

/** Connects, puts the package there unless it is there, tries it, and ends the connection. */
export async function prepareOnce(
  clock: Clock,
  settings: SshPlaceSettings,
  protocol: number,
  given?: FarPackage,
): Promise<Prepared> {
  let connection!: SshConnection;
  const state = await new Promise<ConnectionState>((resolve) => {
    connection = new SshConnection({
      clock,
      settings,
      onState: (next) => {
        if (next.kind !== "connecting") resolve(next);
      },
    });
    connection.open();
  });
  try {
    if (state.kind === "down") return { ok: false, because: state.because };
    return await prepareHost(connection, settings, protocol, given);
  } finally {
    await connection.close();
  }
}
