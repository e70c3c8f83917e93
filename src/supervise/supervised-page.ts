/**
 * The page beside the daemon, with one token for the daemon's life, so that a link stays good when
 * the page starts again.
 *
 * The link holds the token. It goes to a person at a terminal, or to whatever reads the daemon's
 * stdout, and never into the log.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import type { PageSettings } from "../core/settings.ts";
import { pageProgram, readAnswer } from "./page-program.ts";
import { SupervisedProgram, type SupervisionPorts } from "./supervised-program.ts";

/** Where the page is that a person asked for. */
const USUAL_LISTEN = { host: "127.0.0.1", port: 4114 } as const;

/** What the page's supervision needs. */
export interface SupervisedPageOptions extends SupervisionPorts {
  /** orchd.yaml's `page`, as it is in force. */
  readonly settings: () => PageSettings | undefined;
  /** A person asked for the page: it is shown although orchd.yaml has none. */
  readonly asked: boolean;
  /** Shows a person the link. Undefined: there is nobody who may see it. */
  readonly showLink: ((link: string) => void) | undefined;
}

/** Keeps the page running. */
export class SupervisedPage {
  readonly #options: SupervisedPageOptions;
  readonly #program: SupervisedProgram<PageSettings>;
  /** 43 characters, from 32 bytes of chance. */
  readonly #token = randomBytes(32).toString("base64url");
  /** The page that a person asked for. */
  #usual: PageSettings | undefined;
  #shown: string | undefined;

  constructor(options: SupervisedPageOptions) {
    this.#options = options;
    const { program, roots, settings } = options;
    this.#program = new SupervisedProgram({
      ...options,
      name: "the page",
      settings: () => settings() ?? this.#usual,
      start: (page) => pageProgram(program(), roots, page, this.#token),
      onAnswer: (line, page) => this.#answered(line, page),
    });
  }

  /** Starts the page, where one is wanted: the daemon is ready. */
  async begin(): Promise<void> {
    const { asked, log } = this.#options;
    if (asked) this.#usual = await usualPage((sentence) => log.warn({}, sentence));
    this.#program.begin();
  }

  /** The settings were read again. The page starts, ends or starts again where they say so. */
  refresh(): void {
    this.#program.refresh();
  }

  /** Ends the page. Resolves within a good second, when its process is gone. */
  close(): Promise<void> {
    return this.#program.close();
  }

  #answered(line: string, page: PageSettings): void {
    const { log, showLink } = this.#options;
    const answer = readAnswer(line);
    if (answer === undefined) {
      log.warn({}, "the page serves, but did not say where");
      return;
    }
    const { place, link, token } = answer;
    const hidden = token !== undefined && page.tokenFile === undefined && showLink === undefined;
    log.info(
      { page: place },
      `the page is at ${place}` +
        (hidden
          ? "; its token is new at each start and stands in no log: give page.tokenFile in " +
            "orchd.yaml, or listen on a unix socket"
          : ""),
    );
    if (link === undefined || link === this.#shown) return;
    this.#shown = link;
    showLink?.(link);
  }
}

/**
 * The settings of a page that a person asked for at the command line: with requests allowed, at the
 * usual port, or at a free one if another program has that.
 *
 * @param tell hears, in a sentence, that the usual port is taken
 */
async function usualPage(tell: (sentence: string) => void): Promise<PageSettings> {
  const { host, port } = USUAL_LISTEN;
  const free = await freePort(host, port);
  if (free !== port)
    tell(`port ${port} of ${host} is taken by another program: the page has port ${free}`);
  return { listen: `${host}:${free}`, requests: true, trustProxy: false };
}

/** The port if it is free, else one that is. */
async function freePort(host: string, port: number): Promise<number> {
  const server = createServer();
  try {
    return await new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port, exclusive: true }, () => {
        const address = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : port);
      });
    });
  } catch {
    return port === 0 ? port : await freePort(host, 0);
  } finally {
    server.close();
  }
}
