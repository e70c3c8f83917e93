/** Where the page listens, as a person writes it. */
import { expect, it } from "vitest";
import { isLoopback, readListenAddress } from "../../src/core/listen-address.ts";

it.each([
  ["127.0.0.1:4114", { kind: "tcp", host: "127.0.0.1", port: 4114 }],
  ["localhost:80", { kind: "tcp", host: "localhost", port: 80 }],
  ["[::1]:0", { kind: "tcp", host: "::1", port: 0 }],
  ["page.example.org:65535", { kind: "tcp", host: "page.example.org", port: 65_535 }],
  ["unix:/run/p.sock", { kind: "unix", path: "/run/p.sock" }],
  ["unix:p.sock", { kind: "unix", path: "p.sock" }],
])("%s", (text, address) => {
  expect(readListenAddress(text)).toEqual({ ok: true, address });
});

it.each(["", "4114", ":4114", "h:", "h:65536", "h:80/", "::1:80", "[x]:80", "unix:", "unix:a\0b"])(
  "%j is none",
  (text) => {
    expect(readListenAddress(text)).toMatchObject({ ok: false });
  },
);

it("a socket's path has to fit", () => {
  expect(readListenAddress(`unix:/${"x".repeat(106)}`).ok).toBe(true);
  expect(readListenAddress(`unix:/${"ü".repeat(54)}`)).toMatchObject({
    because: "a socket's path has at most 107 bytes; name a shorter one",
  });
});

it("loopback is this machine alone", () => {
  const loopback = ["127.0.0.1", "127.9.8.7", "localhost", "::1"];
  const others = ["0.0.0.0", "::", "127.0.0.1.example.org", "localhost.example.org", "10.0.0.1"];
  expect([...loopback, ...others].filter(isLoopback)).toEqual(loopback);
});
