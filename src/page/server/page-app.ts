/** Everything that the page answers: the API's routes, requests, events, metrics and the app. */
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Context, Hono } from "hono";
import { readHere } from "../../views/here.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { API, addRoutes, answerOf, makeApp, readParams } from "./api.ts";
import type { EventStreams } from "./event-streams.ts";
import { EVENTS, HERE, POST_REQUESTS } from "./other-routes.ts";
import type { Gate } from "./gate.ts";
import { latePart } from "./late-part.ts";
import { problem, shown } from "./problem.ts";
import { RequestDesk } from "./request-desk.ts";
import type { PageSource } from "./route.ts";
import { ROUTES } from "./routes.ts";
import { findRunNear } from "../../views/near-run.ts";
import { StaticFiles } from "./static-files.ts";

/** What an app is made of. */
export interface PageParts {
  readonly source: PageSource;
  /** The folder of the app's files. */
  readonly assets: string;
  /** The path below which the page is served; empty: at the top. */
  readonly base: string;
  readonly streams: EventStreams;
  readonly gate: Gate;
}

type App = Hono<{ Bindings: HttpBindings }>;
type Asked = Context<{ Bindings: HttpBindings }>;

/** The app of one page. */
export function pageApp({ source, assets, base, streams, gate }: PageParts): App {
  const app = makeApp();
  app.use(async (c, next) => {
    const forbidden = gate.forbids(c.env.incoming, c.req.path);
    if (forbidden !== undefined) return answerOf(forbidden);
    return next();
  });
  addRoutes(app, ROUTES, source);
  app.get(API + HERE.path, (c) => {
    const { roots, store, now } = source;
    const here = readHere(roots, store, gate.may(c.env.incoming), now());
    return plain(JSON.stringify(here), "application/json");
  });
  addRequests(app, source, base);
  addEvents(app, source, streams);
  // Loaded with the first question: it is of hundreds of shapes.
  for (const path of [`${API}/openapi.json`, "/openapi.json"])
    app.get(path, async () => {
      const { openApiDocument } = await openApi(source.beforeLoad);
      return plain(JSON.stringify(openApiDocument()), "application/json");
    });
  // Loaded with the first scrape: prom-client and what it needs are two hundred files.
  let metrics: Metrics | undefined;
  app.get("/metrics", async (c) => {
    const late = await metricsCode(source.beforeLoad);
    metrics ??= new late.Metrics(source.roots.runs);
    const { contentType, body } = await metrics.text(source.now(), c.req.header("accept"));
    return plain(body, contentType);
  });
  app.get("/healthz", () => plain("ok\n"));
  app.get("/readyz", () => {
    // Whatever cannot be read makes this throw: the page is up, and has nothing to show.
    source.store.pipelines();
    return plain("ok\n");
  });
  addFiles(app, new StaticFiles(assets, base));
  return app;
}

const openApi = latePart(() => import("./openapi.ts"));
const metricsCode = latePart(() => import("../metrics/metrics.ts"));

function addRequests(app: App, { store, beforeLoad }: PageSource, base: string): void {
  const desk = new RequestDesk(store, beforeLoad);
  app.post(API + POST_REQUESTS.path, async (c) => {
    const taken = await desk.take(c.env.incoming, c.req.header("idempotency-key"));
    const headers = {
      "content-type": "application/json",
      "cache-control": "no-store",
      location: `${base}${API}/requests/${taken.id}`,
    };
    return new Response(JSON.stringify(taken), { status: 202, headers });
  });
}

function addEvents(app: App, { roots, store }: PageSource, streams: EventStreams): void {
  app.get(API + EVENTS.path, (c) => {
    const query = readParams(EVENTS, {}, new URL(c.req.url).searchParams) as EventsQuery;
    const { pipeline, run, ids } = query;
    if (pipeline !== undefined) shown(knownPipeline(roots, pipeline));
    if (run !== undefined) shown(findRunNear(store, run));
    if (c.req.method === "HEAD")
      return new Response(null, { headers: { "content-type": "text/event-stream" } });
    const short = ids === "short";
    const last = c.req.header("last-event-id") ?? "";
    const from = short || last === "" ? query.from : last;
    streams.serve(c.env.outgoing, { pipeline, run, from, short });
    return RESPONSE_ALREADY_SENT;
  });
}

interface EventsQuery {
  readonly pipeline?: string;
  readonly run?: string;
  readonly from?: string;
  readonly ids?: "short" | "full";
}

/** The API's paths that are only read. */
const READ_ONLY: readonly RegExp[] = [...ROUTES, HERE, EVENTS]
  .map(({ path }) => path)
  .filter((path) => path !== POST_REQUESTS.path)
  .map((path) => new RegExp(`^${API}${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`));

function addFiles(app: App, files: StaticFiles): void {
  app.notFound((c: Asked) => {
    const { path, method } = c.req;
    if (method === "POST" && READ_ONLY.some((one) => one.test(path)))
      return answerOf(problem(405, `${path} takes GET; requests go to ${API}/requests.`));
    if (path === "/api" || path.startsWith("/api/"))
      return answerOf(
        problem(404, `there is no ${path}; ${API}/openapi.json lists what there is.`),
      );
    if (method !== "GET" && method !== "HEAD")
      return answerOf(problem(405, `${path} takes GET; requests go to ${API}/requests.`));
    const accepts = (c.req.header("accept-encoding") ?? "").includes("gzip");
    const { bytes, headers } = files.find(path, accepts);
    if (c.req.header("if-none-match") === headers["etag"])
      return new Response(null, { status: 304, headers });
    return new Response(new Uint8Array(bytes), { headers });
  });
}

function plain(text: string, type = "text/plain; charset=utf-8"): Response {
  return new Response(text, { headers: { "content-type": type, "cache-control": "no-store" } });
}
