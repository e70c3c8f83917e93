/** The API's GET routes on hono: each reads its params, and answers as JSON. */
import type { HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import type * as z from "zod";
import { didYouMean } from "../../core/did-you-mean.ts";
import { problemOf, PROBLEM_TYPE, refusal, type Problem } from "./problem.ts";
import { Raw, type PageSource, type Route, type RouteShape } from "./route.ts";
import { SharedAnswers } from "./shared-answers.ts";

/** Below this path the API is. */
export const API = "/api/v1";

/** An app that answers whatever is thrown with a problem. */
export function makeApp(): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  app.onError((error) => answerOf(problemOf(error)));
  return app;
}

/** Adds the routes of a list. */
export function addRoutes(
  app: Hono<{ Bindings: HttpBindings }>,
  routes: readonly Route[],
  source: PageSource,
): void {
  const shared = new SharedAnswers();
  for (const route of routes)
    app.get(API + route.path.replaceAll(/\{(\w+)\}/g, ":$1"), async (c) => {
      const url = new URL(c.req.url);
      const params = readParams(route, c.req.param(), url.searchParams);
      const read = (): object | Promise<object> =>
        route.read(source, params, c.req.header("accept") ?? "");
      if (route.isShared === true) {
        const bytes = await shared.give(url.pathname + url.search, async () =>
          new TextEncoder().encode(JSON.stringify(await read())),
        );
        return json(bytes, 200, "application/json");
      }
      const answer = await read();
      return answer instanceof Raw
        ? json(answer.text, 200, answer.type)
        : json(JSON.stringify(answer), 200, "application/json");
    });
}

/** A problem as an answer. */
export function answerOf(problem: Problem): Response {
  const { status, headers, text } = answerParts(problem);
  return new Response(text, { status, headers });
}

/** A problem as an answer, in its parts. */
export function answerParts(problem: Problem): {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly text: string;
} {
  const { status } = problem;
  const headers = {
    "content-type": PROBLEM_TYPE,
    "cache-control": "no-store",
    ...(status === 401 ? { "www-authenticate": 'Bearer realm="orchd"' } : {}),
    ...(status === 405 ? { allow: "GET, HEAD" } : {}),
    ...(status === 503 ? { "retry-after": "5" } : {}),
  };
  return { status, headers, text: JSON.stringify(problem) };
}

function json(body: string | Uint8Array<ArrayBuffer>, status: number, type: string): Response {
  return new Response(body, {
    status,
    headers: { "content-type": type, "cache-control": "no-store" },
  });
}

/** What the path and the query hold. @throws Refusal where they are not what the route takes */
export function readParams(
  { params, path }: RouteShape,
  inPath: Readonly<Record<string, string>>,
  query: URLSearchParams,
): Record<string, unknown> {
  const given = new Map<string, string>();
  for (const [name, value] of query) {
    if (given.has(name)) throw refusal(400, `"${name}" is given twice; give it once.`);
    if (name in inPath || !Object.hasOwn(params.shape, name)) {
      const known = Object.keys(params.shape).filter((own) => !path.includes(`{${own}}`));
      const takes = known.length === 0 ? "it takes none" : `it takes ${known.join(", ")}`;
      const near = didYouMean(name, known) || ".";
      throw refusal(400, `this address takes no "${name}"${near} Of params ${takes}.`);
    }
    given.set(name, value);
  }
  const read = params.safeParse({ ...Object.fromEntries(given), ...inPath });
  if (read.success) return read.data;
  throw refusal(400, issueText(read.error.issues[0]!, given));
}

function issueText(issue: z.core.$ZodIssue, given: ReadonlyMap<string, string>): string {
  const name = String(issue.path[0] ?? "");
  const value = given.get(name);
  if (value === undefined) return `"${name}" is needed; give it in the query.`;
  const shown = JSON.stringify(value.slice(0, 60));
  if (issue.code === "invalid_value")
    return `${name}: ${shown} is none of ${issue.values.join(", ")}.`;
  if (issue.code === "too_big" && issue.origin === "string")
    return `${name}: it is longer than ${String(issue.maximum)} characters.`;
  if (issue.code === "too_big")
    return `${name}: ${shown} is too many; ${String(issue.maximum)} is the most.`;
  if (issue.code === "too_small")
    return `${name}: ${shown} is too few; ${String(issue.minimum)} is the least.`;
  return `${name}: ${shown} is no whole number.`;
}
