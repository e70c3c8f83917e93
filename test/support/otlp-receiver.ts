/**
 * A collector of OTLP over HTTP, as the public protocol has it: requests in protobuf and in JSON.
 * Protobuf is read by field numbers, without a package, so that the sender's own cannot hide a
 * fault.
 */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { onTestFinished } from "vitest";

/** A span as the collector sees it. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Record<string, unknown>;
  readonly events: readonly {
    readonly name: string;
    readonly atMs: number;
    readonly attributes: Record<string, unknown>;
  }[];
  readonly status: { readonly code: number; readonly message: string };
  readonly resource: Record<string, unknown>;
  readonly scope: string;
}

/** One request. */
export interface ReceivedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly spans: readonly ReceivedSpan[];
}

/** How the collector answers. */
export interface OtlpAnswer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array | string;
  /** It hangs up without an answer. */
  readonly hangsUp?: boolean;
  /** The spans of the request do not count as taken. Default: where the status is no 2xx. */
  readonly taken?: boolean;
}

/** A collector on loopback. */
export class OtlpReceiver {
  readonly requests: ReceivedRequest[] = [];
  /** The spans of requests that were taken, in their order, doubles among them. */
  readonly spans: ReceivedSpan[] = [];
  readonly #server: Server;
  /** Called for each request. */
  answer: (request: ReceivedRequest) => OtlpAnswer | Promise<OtlpAnswer> = () => ({ status: 200 });

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("error", () => undefined);
      request.on("end", () => {
        const sent = Buffer.concat(chunks);
        const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(sent) : sent;
        const isJson = request.headers["content-type"] === "application/json";
        const received = {
          path: request.url ?? "",
          headers: request.headers,
          spans: isJson ? spansOfJson(body.toString()) : spansOfProtobuf(body),
        };
        this.requests.push(received);
        void Promise.resolve(this.answer(received)).then((answer) => {
          if (answer.taken ?? answer.status < 300) this.spans.push(...received.spans);
          if (answer.hangsUp === true) return request.destroy();
          response.writeHead(answer.status, {
            "Content-Type": request.headers["content-type"],
            ...answer.headers,
          });
          response.end(answer.body ?? "");
          return undefined;
        });
      });
    });
  }

  /** Listens until the test ends. @param port default: a free one */
  static async open(port = 0): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver();
    await receiver.listen(port);
    onTestFinished(() => receiver.close());
    return receiver;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Hangs up, and listens no more. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  /** The spans by id. @throws Error where two spans of one id differ */
  get distinct(): ReadonlyMap<string, ReceivedSpan> {
    const spans = new Map<string, ReceivedSpan>();
    for (const span of this.spans) {
      const key = `${span.traceId}-${span.spanId}`;
      const known = spans.get(key);
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(span))
        throw new Error(`two spans have the id ${key}: ${known.name} and ${span.name}`);
      spans.set(key, span);
    }
    return spans;
  }
}

// --- JSON ---

interface JsonValue {
  readonly stringValue?: string;
  readonly intValue?: string | number;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
  readonly arrayValue?: { readonly values: readonly JsonValue[] };
}
type JsonAttributes = readonly { readonly key: string; readonly value: JsonValue }[];

/** Reads a request of JSON. */
export function spansOfJson(text: string): ReceivedSpan[] {
  // oxlint-disable-next-line typescript/no-explicit-any -- OTLP's own shape
  const { resourceSpans } = JSON.parse(text) as { resourceSpans: any[] };
  return resourceSpans.flatMap((one) =>
    // oxlint-disable-next-line typescript/no-explicit-any -- OTLP's own shape
    one.scopeSpans.flatMap((scoped: any) =>
      // oxlint-disable-next-line typescript/no-explicit-any -- OTLP's own shape
      scoped.spans.map((span: any) => ({
        traceId: hexOf(span.traceId, 16),
        spanId: hexOf(span.spanId, 8),
        parentSpanId: span.parentSpanId === undefined ? "" : hexOf(span.parentSpanId, 8),
        name: span.name,
        kind: span.kind,
        startMs: Number(BigInt(span.startTimeUnixNano) / 1_000_000n),
        endMs: Number(BigInt(span.endTimeUnixNano) / 1_000_000n),
        attributes: jsonAttributes(span.attributes),
        // oxlint-disable-next-line typescript/no-explicit-any -- OTLP's own shape
        events: (span.events ?? []).map((event: any) => ({
          name: event.name,
          atMs: Number(BigInt(event.timeUnixNano) / 1_000_000n),
          attributes: jsonAttributes(event.attributes),
        })),
        status: { code: span.status?.code ?? 0, message: span.status?.message ?? "" },
        resource: jsonAttributes(one.resource.attributes),
        scope: scoped.scope.name,
      })),
    ),
  );
}

function hexOf(text: string, bytes: number): string {
  if (!new RegExp(`^(?!0+$)[0-9a-f]{${bytes * 2}}$`).test(text))
    throw new Error(`${JSON.stringify(text)} is no id of ${bytes} bytes`);
  return text;
}

function jsonAttributes(attributes: JsonAttributes = []): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, jsonValue(value)]));
}

function jsonValue(value: JsonValue): unknown {
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.intValue !== undefined) return Number(value.intValue);
  if (value.arrayValue !== undefined) return value.arrayValue.values.map(jsonValue);
  return value.boolValue ?? value.doubleValue;
}

// --- Protobuf ---

/** The fields of a message: by number, each as its raw values. */
type Fields = Map<number, (Buffer | bigint)[]>;

function fieldsOf(bytes: Buffer): Fields {
  const fields: Fields = new Map();
  let at = 0;
  const varint = (): bigint => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new RangeError("the message ends within a number");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number): Buffer => {
    if (at + length > bytes.length) throw new RangeError("the message ends within a field");
    return bytes.subarray(at, (at += length));
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const kind = tag & 7;
    if (![0, 1, 2, 5].includes(kind)) throw new TypeError(`wire type ${kind} is unknown`);
    const value =
      kind === 0
        ? varint()
        : kind === 1
          ? take(8).readBigUInt64LE()
          : kind === 5
            ? BigInt(take(4).readUInt32LE())
            : take(Number(varint()));
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value]);
  }
  return fields;
}

const messages = (fields: Fields, number: number): Fields[] =>
  (fields.get(number) ?? []).map((bytes) => fieldsOf(bytes as Buffer));
const message = (fields: Fields, number: number): Fields =>
  messages(fields, number).at(-1) ?? new Map();
const bytesOf = (fields: Fields, number: number): Buffer =>
  (fields.get(number)?.at(-1) as Buffer | undefined) ?? Buffer.alloc(0);
const textOf = (fields: Fields, number: number): string =>
  new TextDecoder("utf-8", { fatal: true }).decode(bytesOf(fields, number));
const numberOf = (fields: Fields, number: number): bigint =>
  (fields.get(number)?.at(-1) as bigint | undefined) ?? 0n;
const msOf = (fields: Fields, number: number): number =>
  Number(numberOf(fields, number) / 1_000_000n);

/** Reads a request of protobuf, by the field numbers of opentelemetry-proto 1.x. */
export function spansOfProtobuf(body: Buffer): ReceivedSpan[] {
  return messages(fieldsOf(body), 1).flatMap((one) => {
    const resource = attributesOf(message(one, 1), 1);
    return messages(one, 2).flatMap((scoped) =>
      messages(scoped, 2).map((span) => ({
        traceId: hexOf(bytesOf(span, 1).toString("hex"), 16),
        spanId: hexOf(bytesOf(span, 2).toString("hex"), 8),
        parentSpanId: bytesOf(span, 4).toString("hex"),
        name: textOf(span, 5),
        kind: Number(numberOf(span, 6)),
        startMs: msOf(span, 7),
        endMs: msOf(span, 8),
        attributes: attributesOf(span, 9),
        events: messages(span, 11).map((event) => ({
          name: textOf(event, 2),
          atMs: msOf(event, 1),
          attributes: attributesOf(event, 3),
        })),
        status: {
          code: Number(numberOf(message(span, 15), 3)),
          message: textOf(message(span, 15), 2),
        },
        resource,
        scope: textOf(message(scoped, 1), 1),
      })),
    );
  });
}

function attributesOf(fields: Fields, number: number): Record<string, unknown> {
  return Object.fromEntries(
    messages(fields, number).map((pair) => [textOf(pair, 1), valueOf(message(pair, 2))]),
  );
}

function valueOf(value: Fields): unknown {
  if (value.has(1)) return textOf(value, 1);
  if (value.has(2)) return numberOf(value, 2) === 1n;
  if (value.has(3)) return Number(BigInt.asIntN(64, numberOf(value, 3)));
  if (value.has(4)) {
    const bits = Buffer.alloc(8);
    bits.writeBigUInt64LE(numberOf(value, 4));
    return bits.readDoubleLE();
  }
  return messages(message(value, 5), 1).map(valueOf);
}
