/** What the page's answers are made of: params, problems, tokens in files, and the app's files. */
import { chmodSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { iso } from "../../src/core/time.ts";
import { answerParts, readParams } from "../../src/page/server/api.ts";
import { problem, problemOf, refusal, type Refusal } from "../../src/page/server/problem.ts";
import { count, stretchOf, text, timeOf } from "../../src/page/server/route.ts";
import { StaticFiles } from "../../src/page/server/static-files.ts";
import { newToken, readTokenFile } from "../../src/page/server/tokens.ts";
import { tempRoot } from "../support/temp-root.ts";

const detailOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return `${(error as Refusal).problem.status} ${(error as Refusal).problem.detail}`;
  }
  return "no refusal";
};

describe("params", () => {
  const shape = {
    path: "/pipelines/{pipeline}/runs",
    id: "getRuns" as const,
    summary: "x",
    params: z.strictObject({
      pipeline: text("which"),
      limit: count("how many", 50, 500),
      which: z.enum(["failed", "all"]).optional(),
      q: z.string().max(5).optional(),
    }),
  };
  const read = (query: string): Record<string, unknown> =>
    readParams(shape, { pipeline: "etl" }, new URLSearchParams(query));

  it("are read from the path and the query, with their defaults", () => {
    expect(read("")).toEqual({ pipeline: "etl", limit: 50 });
    expect(read("limit=500&which=all&q=abcde")).toEqual({
      pipeline: "etl",
      limit: 500,
      which: "all",
      q: "abcde",
    });
  });

  it.each([
    ["limit=1&limit=2", '400 "limit" is given twice; give it once.'],
    [
      "limt=1",
      '400 this address takes no "limt"; did you mean "limit"? ' +
        "Of params it takes limit, which, q.",
    ],
    ["pipeline=other", '400 this address takes no "pipeline". Of params it takes limit, which, q.'],
    ["toString=1", '400 this address takes no "toString". Of params it takes limit, which, q.'],
    ["which=some", '400 which: "some" is none of failed, all.'],
    ["q=abcdef", "400 q: it is longer than 5 characters."],
    ["limit=501", '400 limit: "501" is too many; 500 is the most.'],
    ["limit=0", '400 limit: "0" is too few; 1 is the least.'],
    ["limit=many", '400 limit: "many" is no whole number.'],
    ["limit=1.5", '400 limit: "1.5" is no whole number.'],
  ])("?%s is refused", (query, sentence) => {
    expect(detailOf(() => read(query))).toBe(sentence);
  });

  it("that are needed are asked for, and that an address takes none is said", () => {
    const needs = { ...shape, params: z.strictObject({ a: z.string() }) };
    const asked = detailOf(() => readParams(needs, {}, new URLSearchParams("")));
    expect(asked).toBe('400 "a" is needed; give it in the query.');
    const none = { ...shape, params: z.strictObject({ pipeline: z.string() }) };
    expect(detailOf(() => readParams(none, { pipeline: "p" }, new URLSearchParams("day=1")))).toBe(
      '400 this address takes no "day". Of params it takes none.',
    );
  });

  it.each([
    [{}, ["11-27T12:00", "11-28T12:00"]],
    [{ to: "2026-11-20" }, ["11-19T00:00", "11-20T00:00"]],
    [{ from: "2h" }, ["11-28T10:00", "11-28T12:00"]],
    [{ from: "2026-11-20", to: "2026-11-20" }, ["11-20T00:00", "11-20T00:00"]],
    [{ from: "2027-01-01", to: "2027-01-02" }, ["01-01T00:00", "01-02T00:00"]],
    [{ from: "1h", to: "2h" }, "400 `to` lies before `from`; swap them."],
    [
      { from: "2027-01-01" },
      "400 `from` lies in the future, and without `to` the end is now; give `to` too.",
    ],
  ])("%j is a stretch of time, or none", (params, expected) => {
    const now = Date.parse("2026-11-28T12:00:00Z");
    const told = (): string[] => {
      const { from, to } = stretchOf(params, now);
      return [from, to].map((time) => iso(time).slice(5, 16));
    };
    if (typeof expected === "string") expect(detailOf(told)).toBe(expected);
    else expect(told()).toEqual(expected);
  });

  it("hold times as people type them", () => {
    const now = Date.parse("2026-11-28T12:00:00Z");
    expect(timeOf("90m", "from", now)).toBe(now - 5_400_000);
    expect(detailOf(() => timeOf("someday", "from", now))).toMatch(/^400 .*from.*someday/);
  });
});

describe("a problem", () => {
  it.each([
    [400, 2],
    [401, 5],
    [403, 5],
    [404, 3],
    [405, 5],
    [409, 5],
    [413, 2],
    [415, 2],
    [421, 5],
    [422, 5],
    [431, 2],
    [500, 1],
    [503, 1],
  ])("of status %d has the command line's exit status %d", (status, exitCode) => {
    expect(problem(status, "x")).toMatchObject({ type: "about:blank", status, exitCode });
    expect(problem(status, "x", 7).exitCode).toBe(7);
  });

  it.each<[unknown, number, RegExp]>([
    [Object.assign(new Error("no"), { code: "EACCES" }), 500, /^no; let the page's user read/],
    [Object.assign(new Error("no"), { code: "EPERM" }), 500, /^no; let the page's user read/],
    [Object.assign(new Error("no"), { code: "ENOTDIR" }), 500, /^no; name the folder of ledgers/],
    [Object.assign(new Error("no"), { code: "ENOSPC" }), 503, /^no; make room on that disk/],
    [Object.assign(new Error("no"), { code: "EDQUOT" }), 503, /^no; make room on that disk/],
    [Object.assign(new Error("no"), { code: "EMFILE" }), 503, /LimitNOFILE/],
    [Object.assign(new Error("no"), { code: "ENFILE" }), 503, /LimitNOFILE/],
    [new Error("odd"), 500, /^odd; `orchd verify` says/],
    [new Error("x".repeat(900)), 500, /^x{500}; `orchd verify`/],
    [undefined, 500, /^it gave no reason;/],
    [{ message: "" }, 500, /^it gave no reason;/],
    [refusal(409, "taken."), 409, /^taken\.$/],
  ])("of what was thrown (%#)", (thrown, status, detail) => {
    const made = problemOf(thrown);
    expect(made.status).toBe(status);
    expect(made.detail).toMatch(detail);
  });

  it("tells a client what to do in its headers", () => {
    const headers = (status: number): Record<string, string> =>
      answerParts(problem(status, "x")).headers;
    expect(headers(401)["www-authenticate"]).toBe('Bearer realm="orchd"');
    expect(headers(405)["allow"]).toBe("GET, HEAD");
    expect(headers(503)["retry-after"]).toBe("5");
    expect(headers(404)).toEqual({
      "content-type": "application/problem+json",
      "cache-control": "no-store",
    });
  });
});

describe("a token file", () => {
  const TOKEN = "t".repeat(16);
  const read = (content: string, mode = 0o600): string | Record<string, unknown> => {
    const path = join(tempRoot().root, "tokens");
    writeFileSync(path, content);
    chmodSync(path, mode);
    const file = readTokenFile(path);
    return file.ok ? { of: file.tokens.rightOf(TOKEN) } : file.because.replace(path, "PATH");
  };

  it.each([
    [`read ${TOKEN}\n`, "read"],
    [`operate\t${TOKEN}`, "operate"],
    [`# a comment\n\n  read ${"o".repeat(16)}  \r\nread ${TOKEN}`, "read"],
    [`read ${"o".repeat(16)}`, undefined],
  ])("is read (%#)", (content, right) => {
    expect(read(content)).toEqual({ of: right });
    expect(read(content, 0o640)).toEqual({ of: right });
  });

  it.each([
    ["", "it holds no token; write lines `read TOKEN` or `operate TOKEN`"],
    ["# only this", "it holds no token; write lines `read TOKEN` or `operate TOKEN`"],
    [`\n${TOKEN}`, "line 2: write `read TOKEN` or `operate TOKEN`"],
    [`admin ${TOKEN}`, "line 1: write `read TOKEN` or `operate TOKEN`"],
    [`read ${TOKEN} more`, "line 1: write `read TOKEN` or `operate TOKEN`"],
    [`read ${"t".repeat(15)}`, "line 1: the token is too short; take 16 characters"],
    ["#".repeat(65_537), "it is longer than 64 KiB"],
  ])("is refused, and no line of it is shown (%#)", (content, because) => {
    expect(read(content)).toBe(`the token file PATH: ${because}.`);
  });

  it.each([0o604, 0o602, 0o601, 0o644])("that others may open is refused, mode %o", (mode) => {
    expect(read(`read ${TOKEN}`, mode)).toMatch(/every user of this machine may open it; run/);
  });

  it("that is none is refused", () => {
    const { root } = tempRoot();
    expect(readTokenFile(root)).toMatchObject({ ok: false });
    const gone = readTokenFile(join(root, "gone"));
    expect(gone).toMatchObject({ because: expect.stringContaining("cannot be read (ENOENT)") });
  });

  it("may hold what a page makes, which differs each time", () => {
    expect(newToken()).toMatch(/^[\w-]{32}$/);
    expect(newToken()).not.toBe(newToken());
  });
});

describe("the app's files", () => {
  const LONG = "let a = 1;\n".repeat(200);
  function app(base = ""): { files: StaticFiles; folder: string } {
    const folder = tempRoot().root;
    mkdirSync(join(folder, "assets"));
    writeFileSync(join(folder, "index.html"), '<base href="/" /><title>x</title>');
    writeFileSync(join(folder, "main-ABCD1234.js"), LONG);
    writeFileSync(join(folder, "assets/a.css"), "a{}");
    writeFileSync(join(folder, "logo.png"), Buffer.alloc(4_096));
    writeFileSync(join(folder, ".hidden.js"), "x");
    return { files: new StaticFiles(folder, base), folder };
  }

  it("come with their types, and are kept for ever where their name has a hash", () => {
    const { files } = app();
    expect(files.find("/main-ABCD1234.js", false)).toMatchObject({
      bytes: Buffer.from(LONG),
      headers: {
        "content-type": "text/javascript; charset=utf-8",
        "cache-control": "public, max-age=31536000, immutable",
        vary: "accept-encoding",
      },
    });
    expect(files.find("/assets/a.css", false).headers).toMatchObject({
      "content-type": "text/css; charset=utf-8",
      "cache-control": "no-cache",
    });
  });

  it.each(["/", "/runs", "/runs/etl@20261128T020000Z", "/pipelines/a.b"])(
    "are the app's page at its address %s, below its base",
    (path) => {
      expect(app("/orchd").files.find(path, false).bytes.toString()).toBe(
        '<base href="/orchd/" /><title>x</title>',
      );
    },
  );

  it.each(["/none.js", "/assets/none.css", "/assets.css", "/logo.png/x.png"])(
    "are not there: %s",
    (path) => {
      expect(detailOf(() => app().files.find(path, false))).toBe(
        `404 the page has no file ${path}.`,
      );
    },
  );

  it("are none that is hidden, nor above the folder: the app's page stands there", () => {
    const { files } = app();
    for (const path of ["/.hidden.js", "/../tokens.js", "/assets/../../x.js", "/%2e%2e/x.js"])
      expect(files.find(path, false).bytes.toString()).toContain("<title>");
  });

  it("say so where the build made none", () => {
    const empty = new StaticFiles(tempRoot().root, "");
    expect(detailOf(() => empty.find("/", false))).toMatch(/^404 .*`npm run build` makes them/);
  });

  it("are compressed where that gains something, anew for each version", () => {
    const { files, folder } = app();
    const first = files.find("/main-ABCD1234.js", true);
    expect(first.headers["content-encoding"]).toBe("gzip");
    expect(gunzipSync(first.bytes).toString()).toBe(LONG);
    expect(files.find("/main-ABCD1234.js", true).bytes).toBe(first.bytes);
    expect(first.headers["etag"]).not.toBe(files.find("/main-ABCD1234.js", false).headers["etag"]);
    expect(files.find("/assets/a.css", true).headers["content-encoding"]).toBeUndefined();
    expect(files.find("/logo.png", true).headers["content-encoding"]).toBeUndefined();
    writeFileSync(join(folder, "main-ABCD1234.js"), LONG.replaceAll("1", "2"));
    utimesSync(join(folder, "main-ABCD1234.js"), 1, 1);
    const second = files.find("/main-ABCD1234.js", true);
    expect(gunzipSync(second.bytes).toString()).toBe(LONG.replaceAll("1", "2"));
    expect(second.headers["etag"]).not.toBe(first.headers["etag"]);
  });
});
