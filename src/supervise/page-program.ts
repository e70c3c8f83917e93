/**
 * The page as the daemon starts it: `orchd page` with the words that orchd.yaml's `page` stands
 * for. The daemon loads nothing of the page.
 */
import { resolve } from "node:path";
import { isLoopback, readListenAddress, type ListenAddress } from "../core/listen-address.ts";
import type { PageSettings } from "../core/settings.ts";
import type { NodeProgram } from "./node-child.ts";
import { rootWords, type ProgramRoots } from "./supervised-program.ts";

/** The variable by which the page gets its token. Without it the page makes one at each start. */
export const PAGE_TOKEN_VARIABLE = "ORCHD_PAGE_TOKEN";

/** What the page answers once it serves: the one line of its stdout. */
export interface PageAnswer {
  /** Where it is, for people, without a token: an address, or a socket's path. */
  readonly place: string;
  /** The link that opens it in a browser; undefined where it listens on a socket. */
  readonly link?: string;
  readonly token?: string;
}

/**
 * The program that shows a root.
 *
 * @param path the command line's built program
 * @param token the token of this daemon's page, where the settings call for one
 */
export function pageProgram(
  path: string,
  roots: ProgramRoots,
  page: PageSettings,
  token: string,
): NodeProgram {
  const needsToken = wantsToken(page);
  return {
    path,
    words: wordsOf(roots, page),
    env: needsToken ? { [PAGE_TOKEN_VARIABLE]: token } : {},
    secrets: needsToken ? [token] : [],
  };
}

function wordsOf(roots: ProgramRoots, page: PageSettings): string[] {
  const { listen, requests, tokenFile, trustProxy, base } = page;
  const { root } = roots;
  const words = ["page", "--json", ...rootWords(roots)];
  if (listen !== undefined) words.push("--listen", listenWord(listen, root));
  if (requests) words.push("--allow-requests");
  if (tokenFile !== undefined) words.push("--token-file", resolve(root, tokenFile));
  if (trustProxy) words.push("--trust-proxy");
  if (base !== undefined) words.push("--base", base);
  return words;
}

/** Whether the page has one token, made at the daemon's start: it listens on loopback. */
function wantsToken({ listen, tokenFile }: PageSettings): boolean {
  const address = addressOf(listen);
  return tokenFile === undefined && address?.kind === "tcp" && isLoopback(address.host);
}

/** Where it listens, for a program with another working directory. */
function listenWord(listen: string, root: string): string {
  const address = addressOf(listen);
  return address?.kind === "unix" ? `unix:${resolve(root, address.path)}` : listen;
}

function addressOf(listen: string | undefined): ListenAddress | undefined {
  const read = listen === undefined ? undefined : readListenAddress(listen);
  return read?.ok === true ? read.address : undefined;
}

/** Reads the page's answer. @returns undefined where it is none */
export function readAnswer(line: string): PageAnswer | undefined {
  try {
    const { url, socket, token } = JSON.parse(line) as Record<string, unknown>;
    const secret = typeof token === "string" && token !== "" ? token : undefined;
    if (typeof url === "string" && /^https?:/.test(url)) {
      const place = url.replace(/#.*$/s, "");
      if (secret === undefined) return { place, link: place };
      return { place, link: `${place}#token=${secret}`, token: secret };
    }
    return typeof socket === "string" ? { place: socket } : undefined;
  } catch {
    return undefined;
  }
}
