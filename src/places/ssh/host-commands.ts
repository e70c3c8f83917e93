/**
 * orchd's folder on another machine: what is where in it, and the commands that use it.
 *
 *     ~/.orchd/                          `folder` of the place
 *       0.1.0-3f2a…/node_modules/        the package of one build: never changed once it is there
 *       files/0.1.0-3f2a…/               what daemons of this build sent there, by hash
 *       roots/TOKEN/                     what belongs to one place of one root (far-host.ts)
 */
import type { SshPlaceSettings } from "../../core/place-settings.ts";
import { TOKEN_VARIABLE } from "../../core/task.ts";
import { FAR_PROGRAMS } from "./far-package.ts";
import { FOLDER_PROGRAM } from "./folder-program.ts";
import { shellWord } from "./ssh-words.ts";

/** The place's folder, as the programs there take it. Empty: the one in the user's home. */
const folderOf = ({ folder }: SshPlaceSettings): string => shellWord(folder ?? "");

const nodeOf = ({ node }: SshPlaceSettings): string => shellWord(node ?? "node");

/**
 * Looks for the package, or puts it there: folder-program.ts. It needs no file there.
 *
 * @param id the package's
 */
export function folderCommand(
  settings: SshPlaceSettings,
  mode: "look" | "put",
  id: string,
): string {
  const text = Buffer.from(FOLDER_PROGRAM).toString("base64");
  const load = `'eval(Buffer.from("${text}","base64").toString())'`;
  return `${nodeOf(settings)} -e ${load} ${mode} ${shellWord(id)} ${folderOf(settings)}`;
}

/**
 * Runs the package's own program there: daemon/far-host.ts. The words are no secrets.
 *
 * @param folder the place's folder, absolute, as `look` gave it
 * @param token in the program's environment, so that it is found by it; undefined: none
 */
export function hostCommand(
  settings: SshPlaceSettings,
  folder: string,
  id: string,
  words: readonly string[],
  token?: string,
): string {
  const program = `${folder}/${id}/${FAR_PROGRAMS}/far-host.js`;
  const marked = token === undefined ? "" : `env ${shellWord(`${TOKEN_VARIABLE}=${token}`)} `;
  return marked + [nodeOf(settings), shellWord(program), ...words.map(shellWord)].join(" ");
}

/** Where runners keep what they are sent. */
export function filesFolder(folder: string, id: string): string {
  return `${folder}/files/${id}`;
}
