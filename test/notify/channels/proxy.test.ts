import { describe, expect, it } from "vitest";
import { proxyFor } from "../../../src/notify/channels/proxy.ts";

const of = (url: string, env: Record<string, string>): string | undefined =>
  proxyFor(new URL(url), env)?.href;
const P = "http://proxy.example:3128/";

describe("the proxy of an address", () => {
  it.each<[url: string, env: Record<string, string>, proxy: string | undefined]>([
    ["http://a.example", {}, undefined],
    ["http://a.example", { http_proxy: P }, P],
    ["https://a.example", { http_proxy: P }, undefined],
    ["https://a.example", { https_proxy: P }, P],
    ["https://a.example", { HTTPS_PROXY: P }, P],
    ["https://a.example", { https_proxy: P, HTTPS_PROXY: "http://other:1/" }, P],
    ["https://a.example", { https_proxy: " ", HTTPS_PROXY: P }, P],
    ["https://a.example", { https_proxy: "proxy.example:3128" }, P],
    ["https://a.example", { https_proxy: "10.0.0.1:3128" }, "http://10.0.0.1:3128/"],
    ["https://a.example", { https_proxy: "https://p:1" }, "https://p:1/"],
    ["https://a.example", { https_proxy: P, no_proxy: "*" }, undefined],
    ["https://a.example", { https_proxy: P, no_proxy: "b.example, a.example" }, undefined],
    ["https://a.example", { https_proxy: P, NO_PROXY: "A.Example" }, undefined],
    ["https://x.a.example", { https_proxy: P, no_proxy: "a.example" }, undefined],
    ["https://x.a.example", { https_proxy: P, no_proxy: ".a.example" }, undefined],
    ["https://x.a.example", { https_proxy: P, no_proxy: "*.a.example" }, undefined],
    ["https://ba.example", { https_proxy: P, no_proxy: "a.example" }, P],
    ["https://a.example", { https_proxy: P, no_proxy: "a.example:8443" }, P],
    ["https://a.example:8443", { https_proxy: P, no_proxy: "a.example:8443" }, undefined],
    ["https://a.example", { https_proxy: P, no_proxy: "a.example:443" }, undefined],
    ["https://a.example", { https_proxy: P, no_proxy: ", ,." }, P],
    ["https://10.1.2.3", { https_proxy: P, no_proxy: "10.0.0.0/8" }, undefined],
    ["https://10.1.2.3", { https_proxy: P, no_proxy: "10.1.2.3" }, undefined],
    ["https://11.1.2.3", { https_proxy: P, no_proxy: "10.0.0.0/8" }, P],
    ["https://10.1.2.3", { https_proxy: P, no_proxy: "10.0.0.0/99 fe80::/10 10.0.0.0/x" }, P],
    ["https://[fd00::1]", { https_proxy: P, no_proxy: "fd00::/8" }, undefined],
    ["https://[fd00::1]", { https_proxy: P, no_proxy: "[fd00::1]:443" }, undefined],
    ["https://[fd00::1]", { https_proxy: P, no_proxy: "fd00::1" }, undefined],
    ["https://[fd00::1]", { https_proxy: P, no_proxy: "fd00::2" }, P],
    ["http://localhost:80", { http_proxy: P }, undefined],
    ["http://127.3.2.1", { http_proxy: P }, undefined],
    ["http://[::1]", { http_proxy: P }, undefined],
  ])("of %s with %o is %s", (url, env, proxy) => {
    expect(of(url, env)).toBe(proxy);
  });

  it.each(["socks5://p:1080", "http://", "http://a b"])("is not %s", (https_proxy) => {
    expect(() => of("https://a.example", { https_proxy })).toThrow(
      "the variable https_proxy names no http or https proxy",
    );
  });
});
