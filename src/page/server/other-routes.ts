/** The routes of the API that are no plain question of ledgers. */
import * as z from "zod";
import { text, type RouteShape } from "./route.ts";

/** `GET /events`. */
export const EVENTS: RouteShape = {
  path: "/events",
  id: "getEvents",
  summary:
    "Durable lines of ledgers as server-sent events: `id` is a position, `data` the raw line; " +
    "`Last-Event-ID` goes on after it, with nothing lost and nothing twice",
  params: z.strictObject({
    pipeline: text("only this pipeline's ledger, and those of its runs").optional(),
    run: text("only this run's ledger").optional(),
    from: z
      .string()
      .max(8_192)
      .optional()
      .meta({
        description:
          "a position, as an event's `id`; `start`: every line that there is; default: the lines " +
          "that come. The header Last-Event-ID comes before it",
      }),
    ids: z
      .enum(["full", "short"])
      .optional()
      .meta({
        description:
          "short: `FILE:SEQ` alone, and no stream can go on from it; an event `notify`, without " +
          "an id, tells that the answer of /alerts has changed",
      }),
  }),
};

/** `GET /here`. */
export const HERE: RouteShape = {
  path: "/here",
  id: "getHere",
  summary: "Which root this is, whether its daemon is up, and what this token may ask",
  params: z.strictObject({}),
};

/** `POST /requests`. */
export const POST_REQUESTS: RouteShape = {
  path: "/requests",
  id: "postRequest",
  summary: "Leave a request for the daemon: what a request file holds (docs/requests.md)",
  params: z.strictObject({}),
};
