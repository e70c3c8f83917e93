/** Every GET route of the API. */
import * as z from "zod";
import { defined } from "../../core/defined.ts";
import { namesMinute } from "../../core/given-time.ts";
import { STATUSES } from "../../core/status.ts";
import { readAlerts, readAlertsSummary } from "../../views/alerts-reading.ts";
import { comingSlots } from "../../views/coming-slots.ts";
import { runGraph } from "../../views/graph.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { priceByLedgers } from "../../views/ledger-price.ts";
import { findRunNear, readRunNear } from "../../views/near-run.ts";
import { newestSlot } from "../../views/near-slots.ts";
import { readPipelineFile } from "../../views/pipeline-file.ts";
import { readPlacesView } from "../../views/places-reading.ts";
import { readPipelinePage } from "../../views/pipeline-page-reading.ts";
import { readOverview, readStrips } from "../../views/overview-reading.ts";
import { plannedByLedger } from "../../views/planned.ts";
import { readRequestRow, readRequests } from "../../views/request-list.ts";
import { diffRuns } from "../../views/run-diff.ts";
import { readLedgerLines } from "../../views/run-lines.ts";
import { readRunCursor, readRunPages } from "../../views/run-pages.ts";
import { latePart } from "./late-part.ts";
import { readRunLog } from "../../views/run-log.ts";
import { readRunPage } from "../../views/run-page-reading.ts";
import { noSuchStep } from "../../views/run-reading.ts";
import { searchRuns } from "../../views/run-search.ts";
import { slotAnswers } from "../../views/slot-answer.ts";
import { slotDecisions } from "../../views/slot-decisions.ts";
import { readSlotGrid, strangeDecision, WANTED } from "../../views/slot-grid-reading.ts";
import { readStatus } from "../../views/status-view.ts";
import { refusal, shown } from "./problem.ts";
import {
  count,
  moment,
  Raw,
  route,
  stretchOf,
  text,
  timeOf,
  type PageSource,
  type Route,
} from "./route.ts";

const pipeline = text("a pipeline's name");
const run = text("a run's id");
const SECOND_MS = 1_000;
/** A hundred long names. */
const LONGEST_NAMES = 8_192;

const status = route({
  path: "/status",
  id: "getStatus",
  summary: "What is scheduled, running and failing: as `orchd status --json`",
  params: z.strictObject({}),
  isShared: true,
  read({ roots, memory, now }) {
    const at = now();
    return shown(readStatus(roots, undefined, at, (name) => memory.view(name, at))).view;
  },
});

const next = route({
  path: "/next",
  id: "getNext",
  summary: "The coming slots: as `orchd next --json`, by the versions in force",
  params: z.strictObject({
    pipeline: pipeline.optional(),
    n: count("how many at most", 10, 1_000),
    from: moment("slots after this").optional(),
  }),
  read({ roots, store, memory, now }, params) {
    const from = params.from === undefined ? now() : timeOf(params.from, "from", now());
    if (params.pipeline !== undefined) shown(knownPipeline(roots, params.pipeline));
    const names = params.pipeline === undefined ? store.pipelines() : [params.pipeline];
    const planned = names.flatMap((name) => {
      const state = memory.firing(name, now());
      return state === undefined || state.removed ? [] : [plannedByLedger(name, state, now())];
    });
    return comingSlots(planned, from, params.n as number);
  },
});

const onePipeline = route({
  path: "/pipelines/{pipeline}",
  id: "getPipeline",
  summary: "One pipeline: how it stands, what it did, what comes",
  params: z.strictObject({ pipeline }),
  read: ({ roots, memory, now }, params) =>
    shown(readPipelinePage(roots, params.pipeline, now(), memory)).page,
});

const file = route({
  path: "/pipelines/{pipeline}/file",
  id: "getPipelineFile",
  summary: "A pipeline's file as it stands, with what is wrong at its lines",
  params: z.strictObject({ pipeline }),
  read: ({ roots }, params) => shown(readPipelineFile(roots, params.pipeline)).page,
});

const slots = route({
  path: "/pipelines/{pipeline}/slots",
  id: "getPipelineSlots",
  summary: "The slots that were decided, in the order of the ledger",
  params: z.strictObject({
    pipeline,
    from: moment("the first moment; default: a day before `to`").optional(),
    to: moment("the last moment; default: now").optional(),
    decision: z.enum(["fired", "caught_up", "skipped", "missed", "backfilled"]).optional(),
  }),
  read({ roots, store, now }, params) {
    shown(knownPipeline(roots, params.pipeline));
    const { from, to } = stretchOf(params, now());
    const found = slotDecisions(store, params.pipeline, from, to);
    return found.filter(
      ({ decision }) => params.decision === undefined || decision === params.decision,
    );
  },
});

const why = route({
  path: "/pipelines/{pipeline}/why",
  id: "getWhy",
  summary: "Why a slot did or did not run; without a time, the newest one",
  params: z.strictObject({ pipeline, at: moment("the slot").optional() }),
  read({ roots, store, now }, params) {
    const present = now();
    const whole = (time: number): number => Math.floor(time / SECOND_MS) * SECOND_MS;
    const given = params.at === undefined ? undefined : whole(timeOf(params.at, "at", present));
    shown(knownPipeline(roots, params.pipeline));
    const time = given ?? newestSlot(store, params.pipeline) ?? whole(present);
    const until = params.at !== undefined && namesMinute(params.at) ? time + 59_000 : time;
    return shown(slotAnswers(store, params.pipeline, time, until, present)).answers;
  },
});

const runs = route({
  path: "/runs",
  id: "getRuns",
  summary: "The history of runs, newest first, a page at a time",
  params: z.strictObject({
    pipeline: pipeline.optional(),
    status: z.enum(STATUSES).optional(),
    since: moment("only runs made since then").optional(),
    q: text("only runs with these words in their id, status, tags, steps or reasons").optional(),
    cursor: z.string().max(500).optional().meta({ description: "where the page before ended" }),
    limit: count("how many at most", 50, 500),
  }),
  read({ roots, store, now }, params) {
    const { pipeline: only, since, cursor, q } = params;
    const sinceMs = since === undefined ? Number.NEGATIVE_INFINITY : timeOf(since, "since", now());
    if (only !== undefined) shown(knownPipeline(roots, only));
    const from = cursor === undefined ? undefined : readRunCursor(cursor);
    if (from === null)
      throw refusal(400, "cursor: it is none that this page gave; leave it out to begin again.");
    return readRunPages(store, only === undefined ? store.pipelines() : [only], {
      filter: { status: params.status, sinceMs },
      q,
      from,
      limit: params.limit as number,
    });
  },
});

const search = route({
  path: "/search",
  id: "search",
  summary: "The newest runs that some words are about: their ids, tags, steps and reasons",
  params: z.strictObject({
    q: text("words, in any case; all of them have to be there"),
    limit: count("how many at most", 50, 500),
  }),
  read: ({ store }, { q, limit }) => searchRuns(store, q, limit as number),
});

const oneRun = route({
  path: "/runs/{run}",
  id: "getRun",
  summary: "One run, with its attempts, values and cache: more than `orchd status RUN --json`",
  params: z.strictObject({ run }),
  read({ store }, params) {
    shown(findRunNear(store, params.run));
    return shown(readRunPage(store, params.run)).page;
  },
});

const ledger = route({
  path: "/runs/{run}/ledger",
  id: "getRunLedger",
  summary: "A run's ledger, line by line, as it stands in its file",
  params: z.strictObject({
    run,
    from: count("the number of the first line", 1, 1_000_000_000),
    limit: count("how many at most", 1_000, 10_000),
  }),
  read({ store }, params, accept) {
    const { path } = shown(findRunNear(store, params.run));
    const page = readLedgerLines(path, params.from as number, params.limit as number);
    if (accept.includes("application/x-ndjson"))
      return new Raw("application/x-ndjson", page.lines.map((line) => `${line}\n`).join(""));
    const { next: after, fault } = page;
    const rest = JSON.stringify({ next: after, fault }).slice(1);
    return new Raw("application/json", `{"lines":[${page.lines.join(",")}],${rest}`);
  },
});

const log = route({
  path: "/runs/{run}/log",
  id: "getRunLog",
  summary: "What a run's steps printed, in the order in which they printed it",
  params: z.strictObject({
    run,
    step: text("only this step's lines").optional(),
    stream: z.enum(["stdout", "stderr", "log", "orchd"]).optional(),
    from: z.coerce
      .number()
      .int()
      .min(-100_000)
      .max(1_000_000_000)
      .default(1)
      .meta({ description: "the number of the first line; below 0: lines before the end" }),
    q: text("only lines with this text, in any case").optional(),
    limit: count("how many at most", 500, 5_000),
  }),
  async read({ store }, params) {
    const { run: id, from, limit, step, stream, q } = params;
    shown(findRunNear(store, id));
    const page = await readRunLog(store, id, { from, limit: limit as number, step, stream, q });
    // A page that follows a log asks each second: the ledger is read only where nothing fits.
    if (step !== undefined && page.lines.length === 0) {
      const { state } = shown(readRunNear(store, id));
      if (!state.steps.has(step)) shown(noSuchStep(state, step));
    }
    return page;
  },
});

const graph = route({
  path: "/runs/{run}/graph",
  id: "getRunGraph",
  summary: "A run's steps, and what each needs",
  params: z.strictObject({ run }),
  read: ({ store }, params) => runGraph(shown(readRunNear(store, params.run)).state),
});

const diff = route({
  path: "/diff",
  id: "getDiff",
  summary: "Two runs compared: as `orchd diff --json`",
  params: z.strictObject({ a: run, b: run }),
  read({ store }, { a, b }) {
    const before = shown(readRunNear(store, a)).state;
    return diffRuns(before, shown(readRunNear(store, b)).state);
  },
});

const schemas = latePart(() => import("../../core/json-schemas.ts"));

const schema = route({
  path: "/schema/{what}",
  id: "getSchema",
  summary: "A JSON Schema: as `orchd schema` prints it",
  params: z.strictObject({ what: text("pipeline, ledger, request or settings") }),
  async read({ beforeLoad }: PageSource, { what }) {
    // Loaded with the first question: the schemas of all files are more than the page itself.
    const { SCHEMAS } = await schemas(beforeLoad);
    const made = Object.hasOwn(SCHEMAS, what) ? SCHEMAS[what] : undefined;
    if (made !== undefined) return made();
    const names = Object.keys(SCHEMAS).join(", ");
    throw refusal(404, `there is no schema of "${what}"; there is one of ${names}.`);
  },
});

const overview = route({
  path: "/overview",
  id: "getOverview",
  summary: "Did it run, what did not and why, what runs, what comes, what changed",
  params: z.strictObject({
    strips: count("how many pipelines get their strip of last slots, from the first", 1e6, 1e6),
  }),
  isShared: true,
  read({ roots, memory, notifications, now }, { strips }) {
    const { pipelines, ...rest } = readOverview(roots, now(), memory, strips as number);
    const alerts = readAlertsSummary(notifications, Date.parse(rest.from));
    return { ...rest, ...defined({ alerts }), pipelines };
  },
});

const strips = route({
  path: "/strips",
  id: "getStrips",
  summary: "The last slots of some pipelines, for the rows of the Overview",
  params: z.strictObject({
    pipelines: z.string().max(LONGEST_NAMES).meta({ description: "their names, by commas" }),
  }),
  read: ({ memory, now }, { pipelines }) => readStrips(pipelines.split(","), now(), memory),
});

const grid = route({
  path: "/slots",
  id: "getSlots",
  summary: "The decisions of all pipelines on one time axis",
  params: z.strictObject({
    from: moment("the first moment; default: a day before `to`").optional(),
    to: moment("the last moment; default: now").optional(),
    decision: text("decisions by commas, `late` or `not_run`: which marks are given").optional(),
    pipeline: pipeline.optional(),
    cells: count("how many cells the axis has", 240, 2_000),
  }),
  isShared: true,
  read({ roots, memory, now }, params) {
    const present = now();
    if (params.pipeline !== undefined) shown(knownPipeline(roots, params.pipeline));
    const { from, to } = stretchOf(params, present);
    const { decision, cells } = params;
    const strange = strangeDecision(decision);
    if (strange !== undefined)
      throw refusal(
        400,
        `decision: ${JSON.stringify(strange.slice(0, 60))} is none of ${WANTED.join(", ")}.`,
      );
    const query = { from, to, decision, pipeline: params.pipeline, cells: cells as number };
    return readSlotGrid(roots, query, present, memory);
  },
});

const price = route({
  path: "/backfill/price",
  id: "getBackfillPrice",
  summary: "What a backfill would cost, by the ledgers: as `orchd backfill --dry-run --json`",
  params: z.strictObject({
    pipeline,
    from: moment("the first moment, included"),
    to: moment("the last moment, included"),
    which: z.enum(["missing", "failed", "all"]).default("missing"),
    maxActive: count("how many of its runs at once", 1, 1_000_000),
  }),
  async read({ roots, store, now, cacheSettings }, params) {
    const present = now();
    const { from, to } = stretchOf(params, present);
    if (from > present)
      throw refusal(400, "`from` lies in the future; a backfill makes runs of past slots.");
    shown(knownPipeline(roots, params.pipeline));
    const plan = { from, to, which: params.which, maxActive: Number(params.maxActive) };
    const settings = await cacheSettings();
    return shown(priceByLedgers(store, params.pipeline, settings, plan, present)).price;
  },
});

const requests = route({
  path: "/requests",
  id: "getRequests",
  summary: "What was asked of the daemon and what became of it, newest first",
  params: z.strictObject({
    cursor: text("where the page before ended").optional(),
    limit: count("how many at most", 50, 500),
  }),
  read: ({ store }, { cursor, limit }) => readRequests(store, { cursor, limit: limit as number }),
});

const oneRequest = route({
  path: "/requests/{id}",
  id: "getRequest",
  summary: "One request",
  params: z.strictObject({ id: text("the request's id") }),
  read({ store }, { id }) {
    const row = readRequestRow(store, id);
    if (row !== undefined) return row;
    throw refusal(
      404,
      `no request "${id}" is known; a refused one is forgotten an hour after its answer.`,
    );
  },
});

const alerts = route({
  path: "/alerts",
  id: "getAlerts",
  summary: "What fires, what waits to be sent, what was sent and what was given up",
  params: z.strictObject({}),
  isShared: true,
  async read({ store, memory, notifications, notifySetup, now }) {
    const setup = await notifySetup();
    const at = now();
    const silenceOf = (name: string) => memory.silence(name, at);
    return readAlerts({ store, setup, silenceOf, reader: notifications }, at);
  },
});

const places = route({
  path: "/places",
  id: "getPlaces",
  summary: "Where steps run, why a place takes no work, and what waits: `orchd places --json`",
  params: z.strictObject({}),
  isShared: true,
  read: ({ store, now }) => readPlacesView(store, now()),
});

/** All of them. A path that stands for another one's begin comes after it. */
export const ROUTES: readonly Route[] = [
  status,
  overview,
  strips,
  grid,
  next,
  onePipeline,
  file,
  slots,
  why,
  runs,
  search,
  oneRun,
  ledger,
  log,
  graph,
  diff,
  price,
  requests,
  oneRequest,
  alerts,
  places,
  schema,
];
