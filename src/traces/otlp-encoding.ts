/**
 * Spans as an OTLP request, by `@opentelemetry/otlp-transformer`. The package is optional, and this
 * file alone loads it. Its serializer wants the spans of an SDK: what it reads of them is made
 * here.
 */
import type { Attributes, Span } from "./span.ts";

/** The package, and the releases that it was tried with. */
export const PACKAGE = "@opentelemetry/otlp-transformer";

/** In which form spans are sent, or written. */
export type Encoding = "protobuf" | "json";

/** Makes requests, and reads the answers to them. */
export interface OtlpEncoder {
  readonly contentType: string;
  encode(spans: readonly Span[]): Uint8Array;
  /** How many spans were refused of a request that was taken, and why. Undefined: none. */
  refusedBy(answer: Uint8Array): { readonly count: number; readonly because: string } | undefined;
}

/** Whose spans they are. */
export interface SpanSource {
  /** `service.name` and all else that holds for every span. */
  readonly resource: Attributes;
  readonly version: string;
}

const KINDS = { internal: 0, server: 1 } as const;
const ERROR = 2;
const SAMPLED = 1;

interface Serializer {
  serializeRequest(spans: unknown): Uint8Array | undefined;
  deserializeResponse(bytes: Uint8Array): {
    readonly partialSuccess?: {
      readonly rejectedSpans?: unknown;
      readonly errorMessage?: unknown;
    } | null;
  };
}

/** Loads the package. Undefined where it is not installed. @throws what is wrong with it */
export async function loadEncoder(
  encoding: Encoding,
  source: SpanSource,
): Promise<OtlpEncoder | undefined> {
  let transformer: { ProtobufTraceSerializer: Serializer; JsonTraceSerializer: Serializer };
  try {
    // By name alone: the package may be missing, here and where types are checked.
    transformer = (await import(PACKAGE)) as typeof transformer;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
  const isJson = encoding === "json";
  const { JsonTraceSerializer, ProtobufTraceSerializer } = transformer;
  const serializer = isJson ? JsonTraceSerializer : ProtobufTraceSerializer;
  const shared = {
    resource: { attributes: source.resource },
    instrumentationScope: { name: "orchd", version: source.version },
  };
  return {
    contentType: isJson ? "application/json" : "application/x-protobuf",
    encode(spans) {
      const bytes = serializer.serializeRequest(spans.map((span) => sdkSpan(span, shared)));
      if (bytes === undefined) throw new Error(`${PACKAGE} made no request of the spans`);
      return bytes;
    },
    refusedBy: (answer) => refusedSpans(serializer, answer),
  };
}

function refusedSpans(
  serializer: Serializer,
  answer: Uint8Array,
): { readonly count: number; readonly because: string } | undefined {
  if (answer.length === 0) return undefined;
  try {
    const partial = serializer.deserializeResponse(answer).partialSuccess;
    const count = Number(partial?.rejectedSpans ?? 0);
    if (!(count > 0)) return undefined;
    const said = partial?.errorMessage;
    return { count, because: typeof said === "string" ? said : "it does not say why" };
  } catch {
    // The status said that it took them: a body that is none of OTLP's changes nothing.
    return undefined;
  }
}

function sdkSpan(span: Span, shared: object): object {
  const { traceId, spanId, parentSpanId, startMs, endMs, error } = span;
  const context = (id: string): object => ({ traceId, spanId: id, traceFlags: SAMPLED });
  return {
    ...shared,
    name: span.name,
    kind: KINDS[span.kind],
    spanContext: () => context(spanId),
    parentSpanContext: parentSpanId === undefined ? undefined : context(parentSpanId),
    startTime: timeOf(startMs),
    endTime: timeOf(endMs),
    duration: timeOf(endMs - startMs),
    ended: true,
    status: error === undefined ? { code: 0 } : { code: ERROR, message: error },
    attributes: span.attributes,
    droppedAttributesCount: 0,
    events: span.events.map(({ name, atMs, attributes }) => ({
      name,
      time: timeOf(atMs),
      attributes,
    })),
    droppedEventsCount: span.droppedEvents,
    links: [],
    droppedLinksCount: 0,
  };
}

/** Milliseconds as seconds and nanoseconds. */
function timeOf(ms: number): [seconds: number, nanoseconds: number] {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}
