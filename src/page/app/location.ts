/**
 * The address is the page's whole state: a link that is copied shows the same to the next person.
 * Only the token and the theme are kept elsewhere, since neither is part of what is shown.
 *
 * All addresses lie below the document's base, which the server writes into index.html: so the
 * page works below any path of a reverse proxy.
 */
import { signal } from "@preact/signals";

/** Where the page is. */
export interface Address {
  /** Below the base, without slashes at its ends: `""` is Overview, `runs/etl@…` is a run. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** The zone goes along to the next page: it says how to read times, not what is shown. */
const KEPT = "zone";

const base = new URL(document.baseURI);

/** The present address, where the browser did not take it: see {@link go}. */
let untaken: string | undefined;

/** The present address. */
export const address = signal<Address>(read());

addEventListener("popstate", () => {
  untaken = undefined;
  address.value = read();
});
document.addEventListener("click", followLink);

function present(): URL {
  return new URL(untaken ?? location.href);
}

function read(): Address {
  const { pathname, search } = present();
  const path = pathname.startsWith(base.pathname)
    ? pathname.slice(base.pathname.length)
    : pathname.slice(1);
  return {
    path: decodePath(path.replace(/\/+$/, "")),
    query: new URLSearchParams(search),
  };
}

/** A `%` that is no escape stays as it is. */
function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** What a query holds; a key without a value is left out. */
export type Query = Readonly<Record<string, string | number | null | undefined>>;

/**
 * An address on this page, as an absolute URL, with the zone that is chosen.
 *
 * @param parts the path's parts, each escaped: `hrefOf(["runs", run])`
 */
export function hrefOf(parts: readonly string[], query: Query = {}, hash = ""): string {
  const url = new URL(parts.map(escapePart).join("/"), base);
  const zone = address.value.query.get(KEPT);
  for (const [key, value] of Object.entries({ ...query, [KEPT]: query[KEPT] ?? zone }))
    if (value !== null && value !== undefined && value !== "")
      url.searchParams.set(key, String(value));
  url.hash = hash;
  return url.href;
}

/** `@` needs no escape, and a run's id is easier to read with it. */
function escapePart(part: string): string {
  return encodeURIComponent(part).replaceAll("%40", "@");
}

/** The present address with some keys of its query changed; null and "" take a key away. */
export function withQuery(changes: Query): string {
  const url = present();
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") url.searchParams.delete(key);
    else url.searchParams.set(key, String(value));
  }
  return url.href;
}

/**
 * Goes to an address. Some browsers take a hundred changes in half a minute and throw at the next,
 * which a person who types reaches: the page goes on, and the next change brings all of it.
 *
 * `replace`: without a new entry in the browser's history.
 */
export function go(href: string, { replace = false } = {}): void {
  const moves = new URL(href).pathname !== present().pathname;
  try {
    if (replace) history.replaceState(null, "", href);
    else history.pushState(null, "", href);
    untaken = undefined;
  } catch {
    untaken = href;
  }
  address.value = read();
  if (moves) scrollTo(0, 0);
}

/** Changes the query of the present address: `setQuery({ state: "running" })`. */
export function setQuery(changes: Query, { replace = true } = {}): void {
  go(withQuery(changes), { replace });
}

/** A plain click on a link within the page changes the page, and does not load it again. */
function followLink(event: MouseEvent): void {
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey);
  if (!isPlain || event.altKey || event.defaultPrevented) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const href = link?.getAttribute("href");
  if (link === null || href === null || href === undefined) return;
  if (link.hasAttribute("download") || link.getAttribute("target") === "_blank") return;
  const url = new URL(href, base);
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return;
  if (url.pathname.slice(base.pathname.length).startsWith("api/")) return;
  event.preventDefault();
  go(url.href);
}
