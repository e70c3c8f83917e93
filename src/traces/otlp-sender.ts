/**
 * One OTLP request over HTTP, and what its answer means. It tries once: trace-export.ts retries.
 */
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { gzipSync } from "node:zlib";
import type { OtlpEncoder } from "./otlp-encoding.ts";
import type { OtlpTarget } from "./otlp-target.ts";
import type { Span } from "./span.ts";
import { beginning } from "../core/whole-characters.ts";

/** The most that is read of an answer, in bytes. */
const LONGEST_ANSWER = 65_536;
/** How much of an answer is quoted, in characters. */
const QUOTED = 200;
/** Statuses by which OTLP says that the same request may be tried again. */
const PASSING: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** Statuses that blame the request's content. All others blame the way to the collector. */
const BLAMING: ReadonlySet<number> = new Set([400, 413, 415, 422]);

/** What became of a request. */
export type Sent =
  | { readonly kind: "taken"; readonly refused?: { count: number; because: string } | undefined }
  /** The same spans may be taken later. */
  | { readonly kind: "later"; readonly because: string; readonly afterMs?: number | undefined }
  /** These spans are never taken. */
  | { readonly kind: "never"; readonly because: string };

/** Sends spans to one collector. */
export type SpanSender = (spans: readonly Span[], signal: AbortSignal) => Promise<Sent>;

/** Sends by HTTP. @param now milliseconds since 1970, for a `Retry-After` that is a date */
export function otlpSender(
  target: OtlpTarget,
  encoder: OtlpEncoder,
  now: () => number,
): SpanSender {
  return async (spans, signal) => {
    let body: Uint8Array;
    try {
      body = encoder.encode(spans);
    } catch (error) {
      // What a ledger says may be nothing that OTLP can: it must not hold up all that comes after.
      return { kind: "never", because: `OTLP cannot say them (${(error as Error).message})` };
    }
    try {
      const { status, answer, retryAfter } = await post(target, encoder.contentType, body, signal);
      if (status >= 200 && status < 300)
        return { kind: "taken", refused: encoder.refusedBy(answer) };
      const because = `it answers ${status}${quoted(answer)}`;
      if (BLAMING.has(status)) return { kind: "never", because };
      const afterMs = PASSING.has(status) ? readRetryAfter(retryAfter, now()) : undefined;
      return { kind: "later", because, afterMs };
    } catch (error) {
      return { kind: "later", because: reasonOf(error as NodeJS.ErrnoException) };
    }
  };
}

/** Writes each request as a line. The encoder is one of JSON. */
export function lineSender(encoder: OtlpEncoder, write: (line: string) => void): SpanSender {
  return async (spans) => {
    if (spans.length > 0) write(`${new TextDecoder().decode(encoder.encode(spans))}\n`);
    return { kind: "taken" };
  };
}

interface Answer {
  readonly status: number;
  readonly answer: Buffer;
  readonly retryAfter: string | undefined;
}

function post(
  { url, headers, timeoutMs, isCompressed, tls }: OtlpTarget,
  contentType: string,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<Answer> {
  const body = isCompressed ? gzipSync(bytes) : bytes;
  // Node 20 lets go of an AbortSignal.timeout that only AbortSignal.any knows: it never fires. And
  // each AbortSignal.any holds some bytes for as long as its signals live: this one always does.
  const ends = new AbortController();
  const end = (): void => ends.abort();
  const timer = setTimeout(end, timeoutMs);
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  const answer = new Promise<Answer>((resolve, reject) => {
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const request = send(
      url,
      {
        method: "POST",
        ...tls,
        signal: ends.signal,
        headers: {
          ...headers,
          "Content-Type": contentType,
          "Content-Length": body.length,
          ...(isCompressed ? { "Content-Encoding": "gzip" } : {}),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        const done = (): void =>
          resolve({
            status: response.statusCode ?? 0,
            answer: Buffer.concat(chunks),
            retryAfter: response.headers["retry-after"],
          });
        response.on("data", (chunk: Buffer) => {
          length += chunk.length;
          if (length > LONGEST_ANSWER) response.destroy();
          else chunks.push(chunk);
        });
        response.on("end", done).on("close", done).on("error", done);
      },
    );
    request.on("error", reject);
    request.end(body);
  });
  return answer.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  });
}

/** Milliseconds; undefined where the header says nothing. */
function readRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const seconds = /^\s*\d{1,9}\s*$/.test(header) ? Number(header) : undefined;
  const ms = seconds === undefined ? Date.parse(header) - now : seconds * 1_000;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** A collector says in its answer, often as JSON or HTML, what it does not like. */
function quoted(answer: Buffer): string {
  const text = answer
    .toString("utf8")
    .replaceAll(/[^\x20-\x7e]+/g, " ")
    .trim();
  return text === "" ? "" : `: ${beginning(text, QUOTED)}`;
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === "ABORT_ERR") return "it does not answer in time";
  if (code === "ECONNREFUSED") return "nothing listens there";
  if (code === "ENOTFOUND") return "its host's name is unknown";
  return message;
}
