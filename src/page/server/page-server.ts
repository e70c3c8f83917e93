/**
 * The page of one root: it listens, and answers from the ledgers.
 *
 * Each request passes the gate first. Then hono finds the API's route, and everything else is a
 * file of the app. Every answer carries the same headers, a refusal too. Nothing here writes but
 * request files and the socket's name.
 *
 * A client can hold a connection open for a short time only: headers, bodies and idle connections
 * each have a limit, in bytes and in seconds. An event stream is the exception, and has limits of
 * its own.
 */
import { getRequestListener } from "@hono/node-server";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { isLoopback, type ListenAddress } from "../../core/listen-address.ts";
import { NotifyReader } from "../../ledger/notify-reading.ts";
import { RunStore } from "../../ledger/run-store.ts";
import type { NotifySetup } from "../../views/alerts-reading.ts";
import type { CacheSettings } from "../../views/cache-forecast.ts";
import { PipelineMemory } from "../../views/pipeline-memory.ts";
import type { Roots } from "../../views/roots.ts";
import { answerOf, answerParts } from "./api.ts";
import { EventStreams } from "./event-streams.ts";
import { Gate } from "./gate.ts";
import { pageApp } from "./page-app.ts";
import { problem, problemOf, PROBLEM_TYPE, type Problem } from "./problem.ts";
import { newToken, readTokenFile, Tokens } from "./tokens.ts";
import { listenOnSocket } from "./unix-socket.ts";

/** The most bytes of a request's headers. */
const MOST_HEADER_BYTES = 16_384;
const MOST_HEADERS = 100;
/** How long a request's headers may take, in milliseconds; its body; and an idle connection. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 30_000;
const IDLE_MS = 30_000;
/** The most connections at once. */
const MOST_CONNECTIONS = 4_000;

/** The headers of every answer: nothing but the page's own files may be loaded or run. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'none'; " +
    "frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
};

/** A request's path and query. A browser takes a backslash for a slash. */
const PATH = /^\/(?!\/)[\x21-\x5b\x5d-\x7e]*$/;

/** How a page serves. */
export interface PageSettings extends Roots {
  readonly listen: ListenAddress;
  readonly allowRequests: boolean;
  readonly tokenFile: string | undefined;
  /** The token of a page on loopback without a token file; undefined: a new one. */
  readonly token?: string | undefined;
  readonly trustProxy: boolean;
  /** How many event streams are open at most; default: a thousand. */
  readonly mostStreams?: number | undefined;
  /** The path below which everything is served: `/orchd`; empty: at the top. */
  readonly base: string;
  /** The folder of the app's files. */
  readonly assets: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What orchd.yaml says about the cache. */
  readonly cacheSettings: () => Promise<CacheSettings>;
  /** What orchd.yaml says about alerts. */
  readonly notifySetup: () => Promise<NotifySetup>;
  /** Makes sure that code can be loaded now. Throws a Node error. Default: nobody does. */
  readonly beforeLoad?: (() => void) | undefined;
}

/** A page that serves. */
export interface ServedPage {
  readonly url: string;
  readonly socket: string | null;
  readonly token: string | null;
  /** A remark about its start, in a sentence; undefined where there is none. */
  readonly remark: string | undefined;
  /** Ends every connection and gives the address back. */
  close(): Promise<void>;
}

/** Why a page does not serve. `exitCode`: 2 where it was asked for wrongly. */
export interface NoPage {
  readonly ok: false;
  readonly because: string;
  readonly exitCode: 1 | 2;
}

/** Starts a page. Resolves once it serves, or once it is sure that it cannot. */
export async function startPage(
  settings: PageSettings,
): Promise<{ readonly ok: true; readonly page: ServedPage } | NoPage> {
  const { listen, tokenFile, trustProxy, base } = settings;
  const isOwn = listen.kind === "unix" || isLoopback(listen.host);
  if (!isOwn && tokenFile === undefined && !trustProxy)
    return {
      ok: false,
      exitCode: 2,
      because:
        `${addressText(listen)} can be reached from other machines; name the tokens with ` +
        "--token-file, or put a proxy that knows its users before it and say --trust-proxy.",
    };
  const file = tokenFile === undefined ? undefined : readTokenFile(tokenFile);
  if (file?.ok === false) return { ok: false, exitCode: 2, because: file.because };
  const token =
    file === undefined && listen.kind === "tcp" && isLoopback(listen.host)
      ? (settings.token ?? newToken())
      : null;
  const tokens =
    file?.tokens ?? (token === null ? undefined : new Tokens([{ right: "operate", token }]));
  const gate = new Gate({ ...settings, tokens });
  const streams = new EventStreams(new RunStore(settings.runs), settings.mostStreams);
  const server = makeServer(settings, gate, streams);
  const listening = await listenOn(server, listen);
  if (!listening.ok) return { ok: false, exitCode: 1, because: `${listening.because}.` };
  const socket = listen.kind === "unix" ? listen.path : null;
  const remark = listening.replaced
    ? `${socket} was left by a page that ended without a word, and is this page's now.`
    : undefined;
  return {
    ok: true,
    page: {
      url: urlOf(server, listen, base, token),
      socket,
      token,
      remark,
      close() {
        streams.close();
        return closeServer(server);
      },
    },
  };
}

function makeServer(settings: PageSettings, gate: Gate, streams: EventStreams): Server {
  const { root, schedules, runs, now, cacheSettings, notifySetup, assets, base } = settings;
  const { beforeLoad } = settings;
  const store = new RunStore(runs);
  const memory = new PipelineMemory(store);
  const notifications = new NotifyReader(store);
  const source = {
    roots: { root, schedules, runs },
    store,
    memory,
    notifications,
    now,
    cacheSettings,
    notifySetup,
    beforeLoad,
  };
  const app = pageApp({ source, assets, base, streams, gate });
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    errorHandler: (error) => answerOf(problemOf(error)),
  });
  const server = createServer(
    {
      maxHeaderSize: MOST_HEADER_BYTES,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: IDLE_MS,
      connectionsCheckingInterval: 2_000,
    },
    (incoming, outgoing) => {
      for (const [name, value] of Object.entries(HEADERS)) outgoing.setHeader(name, value);
      const refused = takeBase(incoming, settings.base)
        ? gate.refuses(incoming)
        : problem(400, "the request names no path of this page.");
      if (refused === undefined) void listener(incoming, outgoing);
      else sendProblem(incoming, outgoing, refused);
    },
  );
  server.maxHeadersCount = MOST_HEADERS;
  server.maxConnections = MOST_CONNECTIONS;
  server.on("clientError", refuseSocket);
  return server;
}

/**
 * Takes the base out of the request, so that what follows knows none. A proxy may take it away
 * itself: a request without it is as good.
 *
 * @returns false where the request names no path
 */
function takeBase(incoming: IncomingMessage, base: string): boolean {
  const url = incoming.url ?? "";
  if (!PATH.test(url)) return false;
  if (base !== "" && (url === base || url.startsWith(`${base}/`) || url.startsWith(`${base}?`))) {
    const rest = url.slice(base.length);
    incoming.url = rest.startsWith("/") ? rest : `/${rest}`;
  }
  return PATH.test(incoming.url!);
}

function sendProblem(incoming: IncomingMessage, outgoing: ServerResponse, it: Problem): void {
  // A body that nobody reads is not waited for.
  if (incoming.method !== "GET") outgoing.setHeader("connection", "close");
  const { status, headers, text } = answerParts(it);
  outgoing.writeHead(status, headers).end(text);
}

/** Answers what Node's parser refuses: headers that are too long, or too slow. */
function refuseSocket(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const it =
    error.code === "HPE_HEADER_OVERFLOW"
      ? problem(431, `the headers are longer than ${MOST_HEADER_BYTES} bytes; send fewer.`)
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? problem(408, "the request did not come in time; send it again, whole.", 2)
        : problem(400, "this is no HTTP request.");
  const body = JSON.stringify(it);
  socket.end(
    `HTTP/1.1 ${it.status} ${it.title}\r\nconnection: close\r\ncontent-type: ${PROBLEM_TYPE}\r\n` +
      `cache-control: no-store\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

async function listenOn(
  server: Server,
  listen: ListenAddress,
): Promise<
  | { readonly ok: true; readonly replaced: boolean }
  | { readonly ok: false; readonly because: string }
> {
  if (listen.kind === "unix") return listenOnSocket(server, listen.path);
  const code = await new Promise<string | undefined>((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => resolve(error.code ?? "no code");
    server.once("error", failed);
    server.listen(listen.port, listen.host, () => {
      server.off("error", failed);
      resolve(undefined);
    });
  });
  if (code === undefined) return { ok: true, replaced: false };
  const address = addressText(listen);
  const why =
    code === "EADDRINUSE"
      ? "the port is in use, perhaps by another page; end that, or name another port"
      : code === "EACCES"
        ? "this user may not use that port; take one above 1023"
        : `it cannot be used (${code}); name another`;
  return { ok: false, because: `the page cannot listen on ${address}: ${why} with --listen` };
}

function addressText(listen: ListenAddress): string {
  if (listen.kind === "unix") return `unix:${listen.path}`;
  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  return `${host}:${listen.port}`;
}

/** What a browser opens. Port 0 stands for a free one, which is known only now. */
function urlOf(server: Server, listen: ListenAddress, base: string, token: string | null): string {
  if (listen.kind === "unix") return addressText(listen);
  const { port } = server.address() as AddressInfo;
  const hash = token === null ? "" : `#token=${token}`;
  return `http://${addressText({ ...listen, port })}${base}/${hash}`;
}

/** Ends it at once: a stream would go on for ever. Node removes the socket's name. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
