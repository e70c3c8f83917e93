import { describe, expect, it } from "vitest";
import { ChannelSecrets } from "../../src/notify/secrets.ts";

const over = (values: Record<string, string>): ChannelSecrets =>
  new ChannelSecrets({
    get: (name) => {
      const value = values[name];
      if (value === undefined) throw new Error(`The secret ${name} is not there.`);
      return value;
    },
  });

describe("the secrets of channels", () => {
  it("are read by name, and a text is itself", () => {
    const secrets = over({ TOKEN: "s3cr3t-t0ken" });
    expect(secrets.read("plain")).toBe("plain");
    expect(secrets.read({ secret: "TOKEN" })).toBe("s3cr3t-t0ken");
    expect(() => secrets.read({ secret: "OTHER" })).toThrow("The secret OTHER is not there.");
  });

  it("are masked in each form once they were read", () => {
    const secrets = over({ TOKEN: 's3cr3t/"t0ken"' });
    expect(secrets.mask('it is s3cr3t/"t0ken"')).toBe('it is s3cr3t/"t0ken"');
    secrets.read({ secret: "TOKEN" });
    const base64 = Buffer.from('user:s3cr3t/"t0ken"').toString("base64");
    for (const form of [
      's3cr3t/"t0ken"',
      JSON.stringify('s3cr3t/"t0ken"').slice(1, -1),
      encodeURIComponent('s3cr3t/"t0ken"'),
      Buffer.from('s3cr3t/"t0ken"').toString("hex"),
    ])
      expect(secrets.mask(`<${form}>`)).toBe("<***>");
    expect(secrets.mask(`Basic ${base64}`)).toContain("***");
  });

  it("are masked though the file has another value by now", () => {
    const values = { TOKEN: "first-token" };
    const secrets = over(values);
    secrets.read({ secret: "TOKEN" });
    values.TOKEN = "second-token";
    expect(secrets.read({ secret: "TOKEN" })).toBe("second-token");
    expect(secrets.mask("first-token second-token")).toBe("*** ***");
  });

  it("are masked in the parts of an address", () => {
    const url =
      "https://bob:pa%24sword9@hooks.example.org/services/T0000001/xyzw?token=q1w2e3r4&a=b";
    const secrets = over({ URL: url });
    secrets.read({ secret: "URL" });
    expect(secrets.mask(`POST ${url}: 404`)).toBe("POST ***: 404");
    for (const part of [
      "/services/T0000001/xyzw?token=q1w2e3r4&a=b",
      "/services/T0000001/xyzw",
      "T0000001",
      "q1w2e3r4",
      "pa$sword9",
      "pa%24sword9",
    ])
      expect(secrets.mask(`no ${part} here`), part).toBe("no *** here");
    expect(secrets.mask("12 services")).toBe("12 services");
    expect(secrets.mask("getaddrinfo ENOTFOUND hooks.example.org")).toContain("hooks.example.org");
  });

  it("remember 256 values at most", () => {
    let n = 0;
    const secrets = new ChannelSecrets({ get: () => `value-${(n += 1)}-of-many` });
    for (let i = 0; i < 300; i += 1) secrets.read({ secret: "TOKEN" });
    expect(secrets.mask("value-300-of-many value-45-of-many")).toBe("*** ***");
    expect(secrets.mask("value-1-of-many")).toBe("value-1-of-many");
  });

  it("are learned from settings, before any channel sends", () => {
    const secrets = over({ TOKEN: "s3cr3t-t0ken", URL: "https://x.example/T0000001/a" });
    secrets.learn({
      channels: {
        a: { kind: "slack", url: { secret: "URL" } },
        b: { kind: "webhook", url: "https://y.example", headers: { A: { secret: "TOKEN" } } },
        c: { kind: "gotify", url: "https://z.example", token: { secret: "MISSING" } },
        d: { kind: "command", run: ["a", "b"], timeout: 5 },
      },
      heartbeat: null,
    });
    secrets.learn(undefined);
    expect(secrets.mask("s3cr3t-t0ken at T0000001")).toBe("*** at ***");
  });

  it("mask nothing for a blank value", () => {
    const secrets = over({ TOKEN: " " });
    secrets.read({ secret: "TOKEN" });
    expect(secrets.mask("a b c")).toBe("a b c");
  });
});
