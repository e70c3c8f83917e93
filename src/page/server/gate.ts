/**
 * Whether a request may come in: asked before anything else looks at it.
 *
 * The order: the host (a page of another site that had its own name lead to this machine still
 * names itself there), the method, the origin of a POST, the token, and what a POST may do. What
 * stands outside of the API holds nothing of the root: the app's files, and whether the page lives.
 *
 * A path has many spellings (`/x/../api`, `/%61pi`). So the token is asked for by the path that the
 * router goes by, and the rest, which no path changes, before there is a router.
 */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { isLoopback, type ListenAddress } from "../../core/listen-address.ts";
import { problem, type Problem } from "./problem.ts";
import type { Right, Tokens } from "./tokens.ts";

/** Which requests come in. */
export interface GateRules {
  readonly listen: ListenAddress;
  /** Undefined: no token is needed. */
  readonly tokens: Tokens | undefined;
  readonly allowRequests: boolean;
  /** A proxy says which host was asked for. */
  readonly trustProxy: boolean;
}

/** The names of this machine that a browser here may use, and that lead nowhere else. */
const LOCAL_NAMES = ["localhost", "127.0.0.1", "[::1]"];
const ANY_HOSTS = new Set(["0.0.0.0", "::"]);
const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/i;
const BEARER = /^Bearer +([\x21-\x7e]{1,512})$/i;

/** The gate of one page. */
export class Gate {
  readonly #rules: GateRules;
  #hosts: ReadonlySet<string>;

  constructor(rules: GateRules) {
    this.#rules = rules;
    this.#hosts = hostsOf(rules.listen);
  }

  /** Why a request is refused, whatever it asks for; undefined where it may come in. */
  refuses({ method = "GET", headers }: IncomingMessage): Problem | undefined {
    const asked = this.#hostOf(headers);
    if (asked === undefined)
      return problem(
        421,
        "this page does not answer under that host's name; " +
          "open it under the address that `orchd page` printed, or start it with --trust-proxy.",
      );
    if (method !== "GET" && method !== "HEAD" && method !== "POST")
      return problem(405, `the page takes GET and POST, and no ${method.slice(0, 20)}.`);
    if (method === "POST" && isForeign(headers, asked))
      return problem(403, "a page of another origin may not ask for anything here.");
    return undefined;
  }

  /**
   * Why who asks may not have this; undefined where it may.
   *
   * @param path as the router has it
   */
  forbids({ method = "GET", headers }: IncomingMessage, path: string): Problem | undefined {
    const right = method !== "POST" && isOpen(path) ? "read" : this.#rightOf(headers);
    if (right === undefined)
      return problem(
        401,
        "no token, or a wrong one; send `Authorization: Bearer TOKEN` " +
          "with a token that `orchd page` printed or that its token file has.",
      );
    if (method !== "POST") return undefined;
    if (!this.#rules.allowRequests)
      return problem(
        405,
        "this page only shows; start it with --allow-requests to ask the daemon for something.",
      );
    return right === "operate"
      ? undefined
      : problem(403, "this token may only read; a request needs an `operate` token.");
  }

  /** What who asks may do: `operate` where requests are allowed, and its token may leave them. */
  may({ headers }: IncomingMessage): Right {
    return this.#rules.allowRequests && this.#rightOf(headers) === "operate" ? "operate" : "read";
  }

  /** The host that was asked for, in lower case; undefined where the page is not that host. */
  #hostOf(headers: IncomingHttpHeaders): string | undefined {
    const { trustProxy } = this.#rules;
    const forwarded = trustProxy ? first(headers["x-forwarded-host"]) : undefined;
    const host = (forwarded ?? headers.host ?? "").toLowerCase();
    const name = HOST.exec(host)?.[1];
    return name !== undefined && (trustProxy || this.#isOwn(name)) ? host : undefined;
  }

  /** An address that is new is looked for: a machine that wakes up elsewhere has another one. */
  #isOwn(name: string): boolean {
    const { listen } = this.#rules;
    if (!this.#hosts.has(name) && isOfAll(listen) && isIP(name.replaceAll(/[[\]]/g, "")) > 0)
      this.#hosts = hostsOf(listen);
    return this.#hosts.has(name);
  }

  #rightOf({ authorization }: IncomingHttpHeaders): Right | undefined {
    const { tokens } = this.#rules;
    if (tokens === undefined) return "operate";
    const token = BEARER.exec(authorization ?? "")?.[1];
    return token === undefined ? undefined : tokens.rightOf(token);
  }
}

/** What holds nothing of the root, and so needs no token. */
function isOpen(path: string): boolean {
  return !/^\/(?:api|metrics|openapi\.json)(?:[/?]|$)/.test(path);
}

/**
 * Whether a POST comes from a page of another origin. What is no browser sends no origin; a browser
 * sends one with each POST, and `null` where it hides it.
 */
function isForeign(headers: IncomingHttpHeaders, asked: string): boolean {
  const { origin } = headers;
  const site = headers["sec-fetch-site"];
  if (site === "cross-site" || site === "same-site") return true;
  if (origin === undefined) return false;
  const [, host] = /^https?:\/\/([^/]+)$/i.exec(origin) ?? [];
  return host?.toLowerCase() !== asked;
}

/** The names under which the page is asked, without a port: ssh -L leads another port here. */
function hostsOf(listen: ListenAddress): ReadonlySet<string> {
  const names = new Set(LOCAL_NAMES);
  if (listen.kind === "unix" || isLoopback(listen.host)) {
    if (listen.kind === "tcp") names.add(inHost(listen.host));
    return names;
  }
  if (!isOfAll(listen)) return names.add(inHost(listen.host));
  names.add(hostname().toLowerCase());
  for (const { address } of Object.values(networkInterfaces()).flatMap((own) => own ?? []))
    names.add(inHost(address));
  return names;
}

/** Whether a page answers under each of the machine's addresses. */
function isOfAll(listen: ListenAddress): boolean {
  return listen.kind === "tcp" && ANY_HOSTS.has(listen.host);
}

/** A host as a `Host` header has it. */
function inHost(host: string): string {
  return (host.includes(":") ? `[${host}]` : host).toLowerCase();
}

function first(value: string | string[] | undefined): string | undefined {
  return (Array.isArray(value) ? value[0] : value)?.split(",")[0]?.trim();
}
