/**
 * Which proxy an address is reached through, as `http_proxy`, `https_proxy` and `no_proxy` say. The
 * names may be in capitals; small letters come first. This machine itself never goes by a proxy:
 * another machine cannot reach it under that name.
 */
import { BlockList, isIP } from "node:net";

/** The variables of a process. */
export type Variables = Readonly<Record<string, string | undefined>>;

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** The host of an address as a socket takes it: an IPv6 address without its brackets. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[(.*)\]$/, "$1");

/** The port of an address. */
export const portOf = (url: URL): number =>
  url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);

/**
 * The proxy for an address; undefined if there is none.
 *
 * @throws Error, a sentence, if the variable's value is no proxy
 */
export function proxyFor(url: URL, env: Variables): URL | undefined {
  const host = hostOf(url);
  const name = url.protocol === "https:" ? "https_proxy" : "http_proxy";
  const value = variable(env, name);
  if (value === undefined || isHere(host) || isExcepted(host, portOf(url), env)) return undefined;
  const proxy = value.includes("://") ? value : `http://${value}`;
  if (!URL.canParse(proxy) || !/^https?:/.test(proxy))
    throw new Error(
      `the variable ${name} names no http or https proxy: give http://HOST:PORT, ` +
        "or add the host to no_proxy",
    );
  return new URL(proxy);
}

function variable(env: Variables, name: string): string | undefined {
  for (const value of [env[name], env[name.toUpperCase()]])
    if (value !== undefined && value.trim() !== "") return value.trim();
  return undefined;
}

function isHere(host: string): boolean {
  const version = isIP(host);
  return version === 0
    ? host === "localhost" || host.endsWith(".localhost")
    : LOOPBACK.check(host, version === 6 ? "ipv6" : "ipv4");
}

/** Whether `no_proxy` names a host: by name, domain, address or subnet; with a port or without. */
function isExcepted(host: string, port: number, env: Variables): boolean {
  const entries = (variable(env, "no_proxy") ?? "").toLowerCase().split(/[\s,]+/);
  return entries.some((entry) => {
    if (entry === "*") return true;
    const [name, ofPort] = splitPort(entry);
    if (name === "" || (ofPort !== undefined && ofPort !== port)) return false;
    return isIP(host) === 0 ? isNamed(host, name) : isWithin(host, name);
  });
}

/** `HOST:PORT`, `[V6]:PORT`, or without a port; a bare IPv6 address or subnet has colons, too. */
function splitPort(entry: string): readonly [name: string, port: number | undefined] {
  if (isIP(entry.split("/")[0]!) === 6) return [entry, undefined];
  const [, name = "", port] = /^(.*?)(?::(\d+))?$/.exec(entry)!;
  return [name.replace(/^\[(.*)\]$/, "$1"), port === undefined ? undefined : Number(port)];
}

function isNamed(host: string, entry: string): boolean {
  const domain = entry.replace(/^\*?\./, "");
  return domain !== "" && (host === domain || host.endsWith(`.${domain}`));
}

function isWithin(host: string, entry: string): boolean {
  const type = isIP(host) === 6 ? "ipv6" : "ipv4";
  const [net = "", bits] = entry.split("/");
  if (isIP(net) !== isIP(host)) return false;
  const list = new BlockList();
  if (bits === undefined) list.addAddress(net, type);
  else {
    const most = type === "ipv6" ? 128 : 32;
    if (!/^\d{1,3}$/.test(bits) || Number(bits) > most) return false;
    list.addSubnet(net, Number(bits), type);
  }
  return list.check(host, type);
}
