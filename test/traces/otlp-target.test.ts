/** Where spans go: what is given, then OpenTelemetry's variables, then the usual collector. */
import { expect, it } from "vitest";
import { otlpTarget, resourceOf, type OtlpTarget } from "../../src/traces/otlp-target.ts";
import { tempRoot } from "../support/temp-root.ts";

function target(given: Parameters<typeof otlpTarget>[0], env: Record<string, string>): OtlpTarget {
  const read = otlpTarget(given, env);
  if (!read.ok) throw new Error(read.because);
  return read.target;
}

it("adds the path of traces to an endpoint, and none to one of traces alone", () => {
  const url = (given: string | undefined, env = {}): string =>
    target({ endpoint: given }, env).url.href;
  expect(url(undefined)).toBe("http://localhost:4318/v1/traces");
  expect(url("http://c:4318")).toBe("http://c:4318/v1/traces");
  expect(url("https://c/otlp/")).toBe("https://c/otlp/v1/traces");
  expect(url("https://c/v1/traces")).toBe("https://c/v1/traces");
  expect(url("https://c/otlp?key=1")).toBe("https://c/otlp/v1/traces?key=1");
  expect(url(undefined, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://e:1" })).toBe(
    "http://e:1/v1/traces",
  );
  const traces = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://t:2/x" };
  expect(url(undefined, traces)).toBe("http://t:2/x");
  expect(url("http://c", traces)).toBe("http://c/v1/traces");
});

it("joins headers, the given ones last, with percent signs read", () => {
  const env = {
    OTEL_EXPORTER_OTLP_HEADERS: "api-key=a%20b, x = 1,broken,=no",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x=2",
  };
  expect(target({ headers: { y: "3" } }, env).headers).toEqual({
    "api-key": "a b",
    x: "2",
    y: "3",
  });
});

it("refuses in a sentence what cannot be", () => {
  const because = (given: object, env: Record<string, string> = {}): string => {
    const read = otlpTarget(given, env);
    return read.ok ? "" : read.because;
  };
  expect(because({ endpoint: "localhost:4318" })).toContain("write it like http://localhost:4318");
  expect(because({}, { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" })).toContain("http/protobuf");
  expect(because({ headers: { a: "b\r\nc: d" } })).toContain('the header "a"');
  expect(because({}, { OTEL_EXPORTER_OTLP_CERTIFICATE: "/nowhere/ca.pem" })).toContain("ENOENT");
});

it("takes the protocol, the time limit and the compression from the environment", () => {
  const env = {
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_EXPORTER_OTLP_TIMEOUT: "5000",
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
  };
  const read = target({}, env);
  expect(read).toMatchObject({ encoding: "json", timeoutMs: 5_000, isCompressed: true });
  expect(target({}, {})).toMatchObject({ encoding: "protobuf", timeoutMs: 10_000 });
});

it("names the service by orchd.yaml, else by the environment, else orchd", () => {
  const own = { "service.name": "orchd", "host.name": "h" };
  const env = {
    OTEL_SERVICE_NAME: "named",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=test",
  };
  expect(resourceOf(own, undefined, {})).toEqual(own);
  expect(resourceOf(own, undefined, env)).toEqual({
    "service.name": "named",
    "host.name": "h",
    "deployment.environment": "test",
  });
  expect(resourceOf(own, "ours", env)["service.name"]).toBe("ours");
});

it.each([
  ["1", 1],
  ["600000", 600_000],
  ["600001", 600_000],
  ["1e12", 600_000],
  ["0", 10_000],
  ["-1", 10_000],
  ["soon", 10_000],
  ["Infinity", 10_000],
  [" ", 10_000],
])("a time limit of %j is %i ms", (given, ms) => {
  expect(target({}, { OTEL_EXPORTER_OTLP_TIMEOUT: given }).timeoutMs).toBe(ms);
});

it("reads each file of TLS from its own variable, that of traces first", () => {
  const { root } = tempRoot({ ca: "CA", cert: "CERT", key: "KEY", own: "OWN" });
  const env = {
    OTEL_EXPORTER_OTLP_CERTIFICATE: `${root}/ca`,
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: `${root}/cert`,
    OTEL_EXPORTER_OTLP_CLIENT_KEY: `${root}/key`,
  };
  const texts = (more = {}): unknown =>
    Object.fromEntries(
      Object.entries(target({}, { ...env, ...more }).tls).map(([name, read]) => [
        name,
        String(read),
      ]),
    );
  expect(texts()).toEqual({ ca: "CA", cert: "CERT", key: "KEY" });
  const own = (name: string): object => ({ [`OTEL_EXPORTER_OTLP_TRACES_${name}`]: `${root}/own` });
  expect(texts(own("CERTIFICATE"))).toEqual({ ca: "OWN", cert: "CERT", key: "KEY" });
  expect(texts(own("CLIENT_CERTIFICATE"))).toEqual({ ca: "CA", cert: "OWN", key: "KEY" });
  expect(texts(own("CLIENT_KEY"))).toEqual({ ca: "CA", cert: "CERT", key: "OWN" });
  expect(target({}, {}).tls).toEqual({ ca: undefined, cert: undefined, key: undefined });
});

it.each([
  ["gzip", true],
  ["none", false],
  ["", false],
])("a compression of %j packs: %s", (given, isCompressed) => {
  const env = { OTEL_EXPORTER_OTLP_COMPRESSION: given };
  expect(target({}, env).isCompressed).toBe(isCompressed);
});
