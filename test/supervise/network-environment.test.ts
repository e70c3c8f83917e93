import { expect, it } from "vitest";
import { networkEnvironment } from "../../src/supervise/network-environment.ts";

it("passes on proxies, certificates and the folder of secrets, and no secret of a step", () => {
  const passed = {
    CREDENTIALS_DIRECTORY: "/run/credentials",
    NODE_EXTRA_CA_CERTS: "/etc/ca.pem",
    https_proxy: "http://proxy:3128",
    NO_PROXY: "localhost",
    // It says that there is none.
    http_proxy: "",
  };
  const env = { ...passed, OTEL_SERVICE_NAME: "x", AWS_SECRET: "y", EMPTY: undefined };
  expect(networkEnvironment(env)).toEqual(passed);
  expect(networkEnvironment(env, "OTEL_")).toEqual({ ...passed, OTEL_SERVICE_NAME: "x" });
});
