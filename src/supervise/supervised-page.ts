/**
 * The page beside the daemon: kept running by a {@link Supervisor}, with one token for the daemon's
 * life, so that a link stays good when the page starts again.
 *
 * The link holds the token. It goes to a person at a terminal, or to whatever reads the daemon's
 * stdout, and never into the log.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:net";
import type { Clock } from "../clock.ts";
import type { PageSettings } from "../core/settings.ts";
import { TOKEN_VARIABLE } from "../core/task.ts";
import type { Log } from "../log.ts";
import { startNode } from "./node-child.ts";
import { pageProgram, readAnswer, type PageRoots } from "./page-program.ts";
import { Supervisor, type Child, type ChildListener } from "./supervisor.ts";

/** Where the page is that a person asked for. */
const USUAL_LISTEN = { host: "127.0.0.1", port: 4114 } as const;

/** What the page's supervision needs. */
export interface SupervisedPageOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly roots: PageRoots;
  /** orchd.yaml's `page`, as it is in force. */
  readonly settings: () => PageSettings | undefined;
  /** A person asked for the page: it is shown although orchd.yaml has none. */
  readonly asked: boolean;
  /** The command line's built program. */
  readonly program: () => string;
  /** What later daemons find the process by, if it outlives this one (`ORCHD_RUNNER_TOKEN`). */
  readonly mark: string;
  /** Shows a person the link. Undefined: there is nobody who may see it. */
  readonly showLink: ((link: string) => void) | undefined;
}

/** Keeps the page running. */
export class SupervisedPage {
  readonly #options: SupervisedPageOptions;
  readonly #supervisor: Supervisor<PageSettings>;
  /** 43 characters, from 32 bytes of chance. */
  readonly #token = randomBytes(32).toString("base64url");
  #begun = false;
  /** The page that a person asked for. */
  #usual: PageSettings | undefined;
  #shown: string | undefined;

  constructor(options: SupervisedPageOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#supervisor = new Supervisor("the page", {
      clock,
      log,
      start: (page, listener) => this.#start(page, listener),
    });
  }

  /** Starts the page, where one is wanted: the daemon is ready. */
  async begin(): Promise<void> {
    const { asked, log } = this.#options;
    if (asked) this.#usual = await usualPage((sentence) => log.warn({}, sentence));
    this.#begun = true;
    this.refresh();
  }

  /** The settings were read again. The page starts, ends or starts again where they say so. */
  refresh(): void {
    if (this.#begun) this.#supervisor.want(this.#options.settings() ?? this.#usual);
  }

  /** Ends the page. Resolves within a good second, when its process is gone. */
  close(): Promise<void> {
    return this.#supervisor.close();
  }

  #start(page: PageSettings, listener: ChildListener): Child {
    const { program, roots, mark, clock } = this.#options;
    const node = pageProgram(program(), roots, page, this.#token);
    const marked = { ...node, env: { ...node.env, [TOKEN_VARIABLE]: mark } };
    return startNode(marked, clock, listener, (line) => this.#answered(line, page));
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
