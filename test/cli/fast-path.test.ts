import { describe, expect, it } from "vitest";
import { parseFastPage, parseFastStatus } from "../../src/cli/fast-path.ts";
import { parseProgram } from "../../src/cli/program.ts";

const KNOWN = [
  ["status"],
  ["status", "--json"],
  ["--json", "status"],
  ["status", "log-digest", "--json"],
  ["status", "log-digest@20261123T020000Z"],
  ["status", "--root", "/tmp/x", "--json"],
  ["--root=/tmp/x", "status", "p"],
  ["status", "--runs", "r", "--schedules=s"],
];

const LEFT = [
  ["status", "--watch"],
  ["status", "--at", "today"],
  ["status", "a", "b"],
  ["status", "--help"],
  ["status", "-h"],
  ["status", "--json=true"],
  ["status", "--root"],
  ["status", "--root", "--json"],
  ["status", "--root="],
  ["status", "--", "x"],
  ["status", "--root", "a", "--root", "b"],
  ["status", "--json", "--json"],
  ["runs", "--json"],
  [],
];

describe("the hand-written parser of orchd status", () => {
  it.each(KNOWN)("reads %s %s %s %s as yargs does", async (...words) => {
    const given = words.filter((word) => word !== undefined);
    const fast = parseFastStatus(given)!;
    const slow = await parseProgram(given, "0", 80);
    if (slow.kind !== "command") throw new Error("no command");
    expect(slow.command.name).toBe("status");
    for (const name of ["target", "root", "runs", "schedules"])
      expect(fast.text(name)).toBe(slow.args.text(name));
    expect(fast.flag("json")).toBe(slow.args.flag("json"));
  });

  it.each(LEFT.map((words) => [words]))("leaves %s to yargs", (words) => {
    expect(parseFastStatus(words)).toBeUndefined();
  });
});

const PAGES = [
  ["page"],
  ["page", "--json", "--allow-requests", "--trust-proxy"],
  ["page", "--listen", "127.0.0.1:0", "--token-file=t", "--base", "/orchd"],
  ["--root", "r", "page", "--schedules", "s", "--runs", "u", "--listen=unix:p.sock"],
];

const NO_PAGES = [
  ["page", "x"],
  ["page", "--help"],
  ["page", "--lisen", "127.0.0.1:0"],
  ["page", "--allow-requests=true"],
  ["page", "--allow-"],
  ["page", "--listen"],
  ["page", "--base", "--json"],
  ["status", "--listen", "127.0.0.1:0"],
  ["metrics"],
];

describe("the hand-written parser of orchd page", () => {
  it.each(PAGES.map((words) => [words]))("reads %s as yargs does", async (words) => {
    const fast = parseFastPage(words)!;
    const slow = await parseProgram(words, "0", 80);
    if (slow.kind !== "command") throw new Error("no command");
    expect(slow.command.name).toBe("page");
    for (const name of ["root", "runs", "schedules", "listen", "token-file", "base"])
      expect(fast.text(name)).toBe(slow.args.text(name));
    for (const name of Object.keys(slow.command.options))
      expect(fast.flag(name)).toBe(slow.args.flag(name));
  });

  it.each(NO_PAGES.map((words) => [words]))("leaves %s to yargs", (words) => {
    expect(parseFastPage(words)).toBeUndefined();
  });
});

describe("the words of every command", () => {
  const wrong: [string[], RegExp][] = [
    [["statsu"], /there is no command "statsu"; did you mean "status"\?/],
    [["--root", "/tmp", "foo"], /there is no command "foo"\./],
    [["run"], /orchd run needs <pipeline>/],
    [["run", "p", "--wiat"], /does not know "wiat"; did you mean "--wait"\?/],
    [["run", "p", "-p"], /--param needs a value|--p needs a value/],
    [["status", "a", "b"], /does not know "b"/],
    [["graph", "p", "--format", "svg"], /format/],
    [["--root", "/tmp"], /no command was given/],
  ];
  it.each(wrong)("refuses %s in one sentence", async (words, expected) => {
    const error = await parseProgram(words, "0", 80).then(
      () => undefined,
      (thrown: unknown) => thrown as Error & { status: number },
    );
    expect(error?.status).toBe(2);
    expect(error?.message).toMatch(expected);
    expect(error?.message).not.toMatch(/\n/);
  });

  it("lets options be repeated, given before and after, and negates nothing", async () => {
    const parsed = await parseProgram(
      ["run", "-p", "a=1", "p", "-p", "b.c=2", "--no-cache", "--wait"],
      "0",
      80,
    );
    if (parsed.kind !== "command") throw new Error("no command");
    expect(parsed.args.list("param")).toEqual(["a=1", "b.c=2"]);
    expect(parsed.args.text("pipeline")).toBe("p");
    expect(parsed.args.flag("no-cache")).toBe(true);
    expect(parsed.args.flag("wait")).toBe(true);
  });

  it("keeps numbers that are texts", async () => {
    const parsed = await parseProgram(["runs", "007", "-n", "5"], "0", 80);
    if (parsed.kind !== "command") throw new Error("no command");
    expect(parsed.args.text("pipeline")).toBe("007");
    expect(parsed.args.text("number")).toBe("5");
  });
});
