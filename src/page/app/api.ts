/**
 * Questions to the API, with the token. The token comes once, behind the `#` of the printed link:
 * no server sees it there. It is taken out of the address bar and lives as long as the tab.
 */

/** An error of the API, as RFC 9457 has it: `detail` is the command line's sentence. */
export interface Problem {
  /** The HTTP status; 0 where nobody answered. */
  readonly status: number;
  readonly title: string;
  readonly detail: string;
}

/** What a question gives. */
export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem };

const TOKEN_KEY = "orchd-token";
const token = takeToken();

function takeToken(): string | undefined {
  const given = /^#(?:.*&)?token=([^&]+)/.exec(location.hash)?.[1];
  if (given !== undefined) {
    history.replaceState(null, "", location.pathname + location.search);
    keep(decodeURIComponent(given));
    return decodeURIComponent(given);
  }
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? undefined;
  } catch {
    return undefined;
  }
}

/** A browser that keeps nothing still shows the page, until it is loaded again. */
function keep(value: string): void {
  try {
    sessionStorage.setItem(TOKEN_KEY, value);
  } catch {
    // Storage is forbidden here.
  }
}

/** Headers of every question. */
export function headers(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return token === undefined ? { ...more } : { ...more, Authorization: `Bearer ${token}` };
}

/** The URL of a route: `apiUrl("runs?limit=50")`. */
export function apiUrl(route: string): string {
  return new URL(`api/v1/${route}`, document.baseURI).href;
}

/** The value of a route: `get<RunPage>("runs/etl@…")`. It never throws but when aborted. */
export async function get<T>(route: string, signal?: AbortSignal): Promise<Answer<T>> {
  return ask<T>(route, { headers: headers({ Accept: "application/json" }), ...given(signal) });
}

/**
 * Leaves a request.
 *
 * @param body as a request file
 * @param id the request's own id: sent again with it, the request is not made twice
 */
export async function post(
  body: Readonly<Record<string, unknown>>,
  id: string,
): Promise<Answer<{ readonly id: string }>> {
  const detail =
    "The page's server does not answer. It may have the request: press the button again. The " +
    "request is made once.";
  const answer = await ask<{ readonly id: string }>("requests", {
    method: "POST",
    headers: headers({ "Content-Type": "application/json", "Idempotency-Key": id }),
    body: JSON.stringify(body),
  });
  if (answer.ok || answer.problem.status !== 0) return answer;
  return { ok: false, problem: { ...answer.problem, detail } };
}

function given(signal: AbortSignal | undefined): RequestInit {
  return signal === undefined ? {} : { signal };
}

/** @throws AbortError where the caller gave the question up */
async function ask<T>(route: string, init: RequestInit): Promise<Answer<T>> {
  try {
    const response = await fetch(apiUrl(route), { cache: "no-store", ...init });
    const value: unknown = await response.json().catch(noJson);
    if (response.ok && value !== undefined) return { ok: true, value: value as T };
    return { ok: false, problem: problemOf(response, value) };
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    const detail = "The page's server does not answer. It is asked again until it does.";
    return { ok: false, problem: { status: 0, title: "No answer", detail } };
  }
}

/** An answer that breaks off is none. @throws what is no fault of the text */
function noJson(error: unknown): undefined {
  if (error instanceof SyntaxError) return undefined;
  throw error;
}

/** What went wrong, in a sentence. */
export function problemOf(
  { status, statusText }: Pick<Response, "status" | "statusText">,
  value: unknown,
): Problem {
  const { title, detail } = (value ?? {}) as Partial<Record<"title" | "detail", unknown>>;
  return {
    status,
    title: typeof title === "string" ? title : statusText || `Status ${status}`,
    detail: typeof detail === "string" ? detail : plainDetail(status),
  };
}

function plainDetail(status: number): string {
  if (status === 401)
    return "This page needs a token. Open the link that `orchd page` prints: it holds one.";
  if (status === 403) return "The token of this page may read, and may not ask for anything.";
  return `The page's server answered with status ${status}.`;
}
