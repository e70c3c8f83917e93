/**
 * One HTTP request, for the channels that send by one and for the heartbeat: with TLS, through the
 * proxy that the environment names, with an end that the caller's signal sets.
 *
 * - The status decides. An answer's body only explains, so it is read to 64 KiB and for 5 s: what a
 *   receiver has taken is not sent again because its answer never ends.
 * - A redirect is an answer like any other, and is not followed: most programs make a GET of a
 *   redirected POST, and a message would be lost where the sender believes that it arrived. A
 *   redirect may also lead the token to another host.
 * - A connection is used once. Messages are rare, and an idle connection that the receiver closes
 *   is the most frequent cause of a failed request.
 *
 * Rejected: `fetch` of Node 20, which takes neither a proxy nor a certificate file without the
 * package undici, and hides which of the two failed.
 */
import { request as httpRequest, STATUS_CODES } from "node:http";
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { Clock } from "../../clock.ts";
import { decodedPart } from "../../core/decoded-part.ts";
import { defined } from "../../core/defined.ts";
import { DAY_MS } from "../../core/time.ts";
import { connectionFault } from "./connection-fault.ts";
import { hostOf, portOf, proxyFor, type Variables } from "./proxy.ts";

/** The most of an answer's body that is read, in bytes. */
const BODY_BYTES = 64 * 1024;
/** How long an answer's body is waited for once its status is there, in milliseconds. */
const BODY_MS = 5_000;

/** What is to be sent. */
export interface HttpCall {
  readonly method: "GET" | "POST";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The certificates that are trusted, as PEM, in place of Node's own. */
  readonly ca?: string;
}

/** What a request needs of the world. */
export interface HttpHost {
  readonly clock: Clock;
  /** The variables that may name a proxy. */
  readonly env: Variables;
}

/** What became of it. `because` begins with the host and may hold what the receiver said. */
export type HttpOutcome =
  | {
      readonly answered: true;
      readonly status: number;
      readonly body: string;
      readonly contentType: string;
      /** When it may be asked again, in milliseconds from now, where the answer says so. */
      readonly retryAfterMs?: number;
    }
  | { readonly answered: false; readonly because: string };

/** A status with its usual words: `404 Not Found`. */
export const statusText = (status: number): string =>
  `${status} ${STATUS_CODES[status] ?? ""}`.trim();

/**
 * Sends a request and reads the answer. Never throws.
 *
 * @param signal ends it at once
 */
export async function callHttp(
  call: HttpCall,
  host: HttpHost,
  signal: AbortSignal,
): Promise<HttpOutcome> {
  const name = hostOf(call.url);
  let proxy: URL | undefined;
  try {
    signal.throwIfAborted();
    proxy = proxyFor(call.url, host.env);
  } catch (error) {
    return unanswered(error, name, signal);
  }
  const through = proxy === undefined ? "" : `the proxy ${proxy.host}`;
  let tunnel: Duplex | undefined;
  if (proxy !== undefined && call.url.protocol === "https:") {
    const opened = await openTunnel(proxy, call.url, signal);
    if ("because" in opened) return { answered: false, because: opened.because };
    tunnel = opened.socket;
  }
  // With an open tunnel it is the receiver that fails; without one it is the proxy.
  const reached = proxy === undefined || tunnel !== undefined ? name : through;
  try {
    return await exchange(start(call, proxy, tunnel, signal), call.body, host.clock);
  } catch (error) {
    tunnel?.destroy();
    return unanswered(error, reached, signal);
  }
}

function unanswered(error: unknown, host: string, signal: AbortSignal): HttpOutcome {
  if (signal.aborted) return { answered: false, because: `${host} did not answer in time` };
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ERR_INVALID_CHAR" || code === "ERR_INVALID_HTTP_TOKEN")
    return {
      answered: false,
      because: "one of the headers has a name or a value that HTTP does not allow",
    };
  // A sentence of proxyFor.
  if (code === undefined && message.startsWith("the variable"))
    return { answered: false, because: message };
  return { answered: false, because: connectionFault(error, host) };
}

/** Begins the request: to the receiver, to the proxy, or through the proxy's tunnel. */
function start(
  { method, url, headers, body, ca }: HttpCall,
  proxy: URL | undefined,
  tunnel: Duplex | undefined,
  signal: AbortSignal,
): ClientRequest {
  const secure = url.protocol === "https:";
  const plain = proxy !== undefined && !secure ? proxy : undefined;
  const target = plain ?? url;
  const host = hostOf(url);
  const options: RequestOptions = {
    method,
    signal,
    host: hostOf(target),
    port: portOf(target),
    path: plain === undefined ? `${url.pathname}${url.search}` : withoutUser(url).href,
    setHost: false,
    headers: {
      Host: url.host,
      ...authorization("Authorization", url),
      ...(plain === undefined ? {} : authorization("Proxy-Authorization", plain)),
      ...headers,
      ...(body === undefined ? {} : { "Content-Length": String(Buffer.byteLength(body)) }),
      Connection: "close",
    },
  };
  if (!secure)
    return plain?.protocol === "https:"
      ? httpsRequest({ ...options, agent: false })
      : httpRequest({ ...options, agent: false });
  const tls = defined({ ca, servername: isIP(host) === 0 ? host : undefined });
  return httpsRequest(
    tunnel === undefined
      ? { ...options, ...tls, agent: false }
      : { ...options, createConnection: () => connectTls({ ...tls, host, socket: tunnel }) },
  );
}

/** Sends the body and waits for the answer. */
function exchange(
  request: ClientRequest,
  body: string | undefined,
  clock: Clock,
): Promise<HttpOutcome> {
  return new Promise((resolve, reject) => {
    /** Set once the status is there: what breaks off afterwards was an answer all the same. */
    let settle: (() => void) | undefined;
    const broken = (error: Error): void => (settle === undefined ? reject(error) : settle());
    request.on("error", broken);
    // As after an answer that would change the protocol: it has no response and no error.
    request.on("close", () => broken(Object.assign(new Error("closed"), { code: "ECONNRESET" })));
    request.on("response", (response) => {
      let text = Buffer.alloc(0);
      settle = () => {
        timer.cancel();
        request.destroy();
        resolve(answerOf(response, text.toString("utf8", 0, BODY_BYTES), clock));
      };
      const timer = clock.after(BODY_MS, settle);
      response.on("data", (chunk: Buffer) => {
        text = Buffer.concat([text, chunk]);
        if (text.length >= BODY_BYTES) settle!();
      });
      for (const end of ["end", "error", "close"]) response.on(end, settle);
    });
    request.end(body);
  });
}

function answerOf(response: IncomingMessage, body: string, clock: Clock): HttpOutcome {
  return {
    answered: true,
    status: response.statusCode ?? 0,
    body,
    contentType: response.headers["content-type"] ?? "",
    ...defined({ retryAfterMs: retryAfter(response.headers["retry-after"], clock.now()) }),
  };
}

/** Reads `Retry-After`: seconds, or a date. At most a day: no receiver decides for longer. */
export function retryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  const isNumber = /^\d+(\.\d+)?$/.test(text);
  if (!isNumber && !/^[A-Za-z]{3}/.test(text)) return undefined;
  const wait = isNumber ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isFinite(wait) ? Math.min(Math.max(0, Math.ceil(wait)), DAY_MS) : undefined;
}

/** Has the proxy connect to an https receiver. */
function openTunnel(
  proxy: URL,
  url: URL,
  signal: AbortSignal,
): Promise<{ readonly socket: Duplex } | { readonly because: string }> {
  const authority = `${url.hostname}:${portOf(url)}`;
  const name = `the proxy ${proxy.host}`;
  return new Promise((resolve) => {
    const request = (proxy.protocol === "https:" ? httpsRequest : httpRequest)({
      method: "CONNECT",
      agent: false,
      signal,
      host: hostOf(proxy),
      port: portOf(proxy),
      path: authority,
      headers: { Host: authority, ...authorization("Proxy-Authorization", proxy) },
    });
    request.on("error", (error) =>
      resolve({
        because: signal.aborted ? `${name} did not answer in time` : connectionFault(error, name),
      }),
    );
    const refuse = (status: number): void => {
      request.destroy();
      resolve({ because: `${name} answered ${statusText(status)} and does not connect` });
    };
    // Without a CONNECT listener Node would destroy the socket that the proxy gives.
    request.on("connect", (response, socket) => {
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) resolve({ socket });
      else refuse(status);
    });
    request.on("response", (response) => refuse(response.statusCode ?? 0));
    request.end();
  });
}

/** `user:password@` of an address, as a header: it must not stand in the request's line. */
function authorization(header: string, { username, password }: URL): Record<string, string> {
  if (username === "" && password === "") return {};
  const pair = `${decodedPart(username)}:${decodedPart(password)}`;
  return { [header]: `Basic ${Buffer.from(pair).toString("base64")}` };
}

function withoutUser(url: URL): URL {
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  bare.hash = "";
  return bare;
}
