/** The words by which the daemon starts the page, and how it reads the page's answer. */
import { expect, it } from "vitest";
import type { PageSettings } from "../../src/core/settings.ts";
import { pageProgram, readAnswer } from "../../src/supervise/page-program.ts";

const roots = { root: "/r", schedules: "/r/schedules", runs: "/elsewhere/runs" };
const page: PageSettings = { requests: false, trustProxy: false };
const program = (more: Partial<PageSettings>) =>
  pageProgram("/o.js", roots, { ...page, ...more }, "TOKEN");
const ROOTS = ["--root", "/r", "--schedules", "/r/schedules", "--runs", "/elsewhere/runs"];
const withToken = { env: { ORCHD_PAGE_TOKEN: "TOKEN" }, secrets: ["TOKEN"] };
const withoutToken = { env: {}, secrets: [] };

it.each<[Partial<PageSettings>, readonly string[], object]>([
  [{}, [], withoutToken],
  [{ requests: true, base: "/o" }, ["--allow-requests", "--base", "/o"], withoutToken],
  [{ listen: "127.0.0.1:4114" }, ["--listen", "127.0.0.1:4114"], withToken],
  [{ listen: "unix:p.sock" }, ["--listen", "unix:/r/p.sock"], withoutToken],
  [{ listen: "unix:/run/p.sock" }, ["--listen", "unix:/run/p.sock"], withoutToken],
  [
    { listen: "0.0.0.0:80", tokenFile: "t" },
    ["--listen", "0.0.0.0:80", "--token-file", "/r/t"],
    withoutToken,
  ],
  [{ listen: "[::1]:80", trustProxy: true }, ["--listen", "[::1]:80", "--trust-proxy"], withToken],
])("%j", (more, words, secrets) => {
  expect(program(more)).toEqual({
    path: "/o.js",
    words: ["page", "--json", ...ROOTS, ...words],
    ...secrets,
  });
});

it.each([
  [
    { url: "http://h:1/", token: "T" },
    { place: "http://h:1/", link: "http://h:1/#token=T" },
  ],
  [
    { url: "http://h:1/o/#token=T", token: "T" },
    { place: "http://h:1/o/", link: "http://h:1/o/#token=T" },
  ],
  [
    { url: "http://h:1/", token: null },
    { place: "http://h:1/", link: "http://h:1/" },
  ],
  [{ url: null, socket: "/s", token: null }, { place: "/s" }],
  [{ url: "unix:/s", socket: "/s" }, { place: "/s" }],
  [{}, undefined],
  [null, undefined],
])("the answer %j", (answer, read) => {
  const got = readAnswer(JSON.stringify(answer));
  if (read === undefined) expect(got).toBeUndefined();
  else expect(got).toMatchObject(read);
});

it("an answer that is no JSON is none", () => {
  expect(readAnswer("page: http://h:1/")).toBeUndefined();
});
