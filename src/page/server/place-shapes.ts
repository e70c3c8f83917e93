/** What the route of places answers, as zod: see shapes.ts. */
import * as z from "zod";
import { because, daemon, orNull, time } from "./shapes.ts";

const labels = z.array(z.string());
const text = orNull(z.string());

/** Where steps run and what waits: `orchd places --json`. */
export const placesShape = z
  .strictObject({
    at: time,
    daemon: orNull(daemon),
    asOf: orNull(time).meta({ description: "as of when the places said this; null: never" }),
    places: z.array(
      z
        .strictObject({
          place: z.string(),
          engine: z.string(),
          engineVersion: text,
          labels,
          since: time,
          because: orNull(because).meta({ description: "why it takes no work; null: it does" }),
          running: z.int().meta({ description: "how many steps run there now" }),
          hosts: z.array(
            z.strictObject({
              host: z.string(),
              labels,
              threads: z.int(),
              node: text,
              version: text,
              protocol: orNull(z.int()),
              platform: text,
              because: orNull(because),
              running: z.int(),
            }),
          ),
        })
        .meta({ id: "Place" }),
    ),
    waiting: z.array(
      z.strictObject({
        labels,
        steps: z.int(),
        starting: z.int(),
        runs: z.array(z.string()),
        because: orNull(because).meta({ description: "null: they wait for room alone" }),
      }),
    ),
    unread: z.int(),
  })
  .meta({ id: "Places" });
