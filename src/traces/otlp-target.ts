/**
 * Where spans go, and under which names: what the command or orchd.yaml says, then OpenTelemetry's
 * own variables, then the usual collector on this machine.
 */
import { readFileSync } from "node:fs";
import { decodedPart } from "../core/decoded-part.ts";
import type { Encoding } from "./otlp-encoding.ts";
import type { Attributes } from "./span.ts";

const USUAL_ENDPOINT = "http://localhost:4318";
const PATH = "v1/traces";
const TIMEOUT_MS = 10_000;
/** A header's value without what would end the header. */
const HEADER = /^[\t\x20-\x7e\x80-\xff]*$/;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** A collector. */
export interface OtlpTarget {
  readonly url: URL;
  /** May hold secrets. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly encoding: Encoding;
  readonly isCompressed: boolean;
  /** Certificates of TLS, as PEM. */
  readonly tls: {
    readonly ca?: Buffer | undefined;
    readonly cert?: Buffer | undefined;
    readonly key?: Buffer | undefined;
  };
}

/** What the command, or orchd.yaml, says itself. */
export interface GivenTarget {
  readonly endpoint?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

/** The target, or a sentence about what is wrong with it. */
export function otlpTarget(
  given: GivenTarget,
  env: Env,
):
  | { readonly ok: true; readonly target: OtlpTarget }
  | { readonly ok: false; readonly because: string } {
  try {
    return { ok: true, target: targetOf(given, env) };
  } catch (error) {
    return { ok: false, because: (error as Error).message };
  }
}

function targetOf(given: GivenTarget, env: Env): OtlpTarget {
  const own = (name: string): string | undefined =>
    nonEmpty(env[`OTEL_EXPORTER_OTLP_TRACES_${name}`]) ??
    nonEmpty(env[`OTEL_EXPORTER_OTLP_${name}`]);
  const exact = given.endpoint === undefined ? env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] : "";
  const base = given.endpoint ?? env["OTEL_EXPORTER_OTLP_ENDPOINT"];
  const headers = {
    ...headersOf(env["OTEL_EXPORTER_OTLP_HEADERS"]),
    ...headersOf(env["OTEL_EXPORTER_OTLP_TRACES_HEADERS"]),
    ...given.headers,
  };
  for (const [name, value] of Object.entries(headers))
    if (!HEADER_NAME.test(name) || !HEADER.test(value))
      throw new Error(`the header ${JSON.stringify(name)} has a name or value that HTTP refuses.`);
  return {
    url: nonEmpty(exact) === undefined ? tracesUrl(nonEmpty(base)) : readUrl(exact!),
    headers,
    timeoutMs: timeoutOf(own("TIMEOUT")),
    encoding: encodingOf(own("PROTOCOL")),
    isCompressed: own("COMPRESSION") === "gzip",
    tls: {
      ca: fileOf(own("CERTIFICATE")),
      cert: fileOf(own("CLIENT_CERTIFICATE")),
      key: fileOf(own("CLIENT_KEY")),
    },
  };
}

/** The address of a collector's traces. An endpoint that names them already stays. */
function tracesUrl(endpoint: string = USUAL_ENDPOINT): URL {
  const url = readUrl(endpoint);
  if (!url.pathname.endsWith(`/${PATH}`))
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/${PATH}`;
  return url;
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && (url.protocol === "http:" || url.protocol === "https:")) return url;
  throw new Error("the endpoint is no http or https address; write it like http://localhost:4318.");
}

function encodingOf(protocol: string | undefined): Encoding {
  if (protocol === undefined || protocol === "http/protobuf") return "protobuf";
  if (protocol === "http/json") return "json";
  throw new Error(
    `OTEL_EXPORTER_OTLP_PROTOCOL is ${JSON.stringify(protocol)}; ` +
      "orchd sends http/protobuf and http/json.",
  );
}

function timeoutOf(given: string | undefined): number {
  const ms = given === undefined ? TIMEOUT_MS : Number(given);
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, 600_000) : TIMEOUT_MS;
}

function fileOf(path: string | undefined): Buffer | undefined {
  return path === undefined ? undefined : readFileSync(path);
}

/** `name=value,name=value` with percent encoding, as W3C Baggage has it. */
function headersOf(given: string | undefined): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const pair of (given ?? "").split(",")) {
    const at = pair.indexOf("=");
    const name = pair.slice(0, at).trim();
    if (at > 0 && name !== "") headers[name] = decodedPart(pair.slice(at + 1).trim());
  }
  return headers;
}

function nonEmpty(given: string | undefined): string | undefined {
  return given === undefined || given.trim() === "" ? undefined : given.trim();
}

/**
 * What holds for every span: the service, its instance and its host, and
 * `OTEL_RESOURCE_ATTRIBUTES`.
 *
 * @param own what orchd knows, `service.name` among it
 * @param service as orchd.yaml has it
 */
export function resourceOf(own: Attributes, service: string | undefined, env: Env): Attributes {
  const named = service ?? nonEmpty(env["OTEL_SERVICE_NAME"]);
  return {
    ...own,
    ...headersOf(env["OTEL_RESOURCE_ATTRIBUTES"]),
    ...(named === undefined ? {} : { "service.name": named }),
  };
}
