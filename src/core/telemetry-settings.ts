/** `telemetry:` of orchd.yaml: where the daemon has traces sent. Pure. */
import * as z from "zod";
import { secretSchema } from "./schema-parts.ts";

const text = z.string().min(1).max(4_096);
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "is no header's name");

export const telemetrySchema = z.strictObject({
  endpoint: text
    .regex(/^https?:\/\//i, "must be an address: http://localhost:4318")
    .optional()
    .describe(
      "the OTLP collector, by HTTP; default: $OTEL_EXPORTER_OTLP_ENDPOINT, or " +
        "http://localhost:4318",
    ),
  headers: z
    .record(headerName, z.union([text, secretSchema]))
    .optional()
    .describe("headers of each request; a token as {secret: NAME}; default: none"),
  service: text
    .optional()
    .describe("`service.name` of the spans; without it $OTEL_SERVICE_NAME counts, or orchd"),
});

/** Where traces go, as written. */
export type TelemetrySettings = z.infer<typeof telemetrySchema>;
