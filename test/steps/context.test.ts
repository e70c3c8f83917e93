/** The lines of `context.log`, whatever is given to them, and results that go into files. */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { StepError } from "../../src/core/failure.ts";
import { stepLog } from "../../src/steps/context.ts";
import { removeStaged, stageResult } from "../../src/steps/staged-result.ts";
import { tempRoot } from "../support/temp-root.ts";

const circle: Record<string, unknown> = {};
circle["itself"] = circle;

describe("a line of context.log", () => {
  const lines: string[] = [];
  const log = stepLog((line) => lines.push(line));
  const said = (message: unknown, fields?: unknown): unknown => {
    log.info(message as string, fields as object);
    return JSON.parse(lines.pop()!);
  };
  const head = { level: "info", message: "m" };

  it.each(["debug", "info", "warn", "error"] as const)("has the level %s", (level) => {
    log[level]("m");
    expect(lines.pop()).toBe(`{"level":"${level}","message":"m"}`);
  });

  it.each<[unknown, unknown]>([
    [undefined, head],
    [null, head],
    [{ bytes: 12 }, { ...head, bytes: 12 }],
    [
      { big: 2n ** 64n, in: [1n] },
      { ...head, big: "18446744073709551616", in: ["1"] },
    ],
    [
      { level: "fatal", message: "another", x: 1 },
      { ...head, x: 1 },
    ],
    [{ toJSON: () => "short" }, { ...head, fields: "short" }],
    [
      { secret: 1, toJSON: () => ({ shown: 2 }) },
      { ...head, shown: 2 },
    ],
    [new Date(0), { ...head, fields: "1970-01-01T00:00:00.000Z" }],
    [circle, { ...head, fields: "[object Object]" }],
    ["two", { ...head, fields: "two" }],
    [0, { ...head, fields: 0 }],
  ])("with the fields %o", (fields, line) => {
    expect(said("m", fields)).toEqual(line);
  });

  it.each<[unknown, string]>([
    [7, "7"],
    [undefined, "undefined"],
    [{ a: 1 }, "[object Object]"],
    [Object.create(null), "[object Object]"],
  ])("takes %o as its message", (message, text) => {
    expect(said(message)).toEqual({ level: "info", message: text });
  });

  it("has an error as a step's error, masked", () => {
    const mask = (error: StepError): StepError => ({ ...error, message: "***" });
    const masked = stepLog((line) => lines.push(line), mask);
    masked.error("m", Object.assign(new TypeError("secret"), { code: "X" }));
    expect(JSON.parse(lines.pop()!)).toMatchObject({
      level: "error",
      message: "m",
      error: { name: "TypeError", message: "***", code: "X" },
    });
    expect(said("m", new Error("plain"))).toMatchObject({ error: { message: "plain" } });
  });

  it("has an error among its fields in the same way, also one with a toJSON", () => {
    const mask = (error: StepError): StepError => ({ ...error, message: "***" });
    const masked = stepLog((line) => lines.push(line), mask);
    const cause = new RangeError("why");
    masked.warn("m", { tried: 2, in: [new TypeError("secret")], err: new Error("out", { cause }) });
    expect(JSON.parse(lines.pop()!)).toMatchObject({
      message: "m",
      tried: 2,
      in: [{ name: "TypeError", message: "***" }],
      err: { name: "Error", message: "***", cause: { name: "RangeError", message: "why" } },
    });
    const odd = Object.assign(new Error("odd"), { toJSON: () => ({ token: "t" }) });
    expect(said("m", { odd })).toMatchObject({ odd: { name: "Error", message: "odd" } });
    expect(lines).toEqual([]);
  });
});

describe("a result goes into files", () => {
  const LIMIT = 65_536;
  const staged = (value: unknown, outputs?: readonly string[]) => {
    const folder = mkdtempSync(join(tempRoot().root, "staged-"));
    const result = stageResult(JSON.stringify(value), outputs, folder);
    const texts = (result?.files ?? []).map(({ ref, file }) => {
      const text = readFileSync(file, "utf8");
      expect(ref.bytes).toBe(Buffer.byteLength(text));
      return text;
    });
    return { result, texts, folder };
  };

  it("from more than 64 KiB of bytes on, not of letters", () => {
    const quotes = 2;
    expect(staged("x".repeat(LIMIT - quotes)).result).toBeUndefined();
    expect(staged("x".repeat(LIMIT - quotes + 1)).texts).toHaveLength(1);
    expect(staged("☃".repeat(22_000)).texts).toHaveLength(1);
    expect(staged("☃".repeat(21_844)).result).toBeUndefined();
  });

  it("a long member alone; a short one stays, unless it could be taken for a file", () => {
    const long = "x".repeat(LIMIT);
    const looks = { $artifact: "a".repeat(64), bytes: 3 };
    const { result, texts } = staged({ long, short: 1, looks }, ["long", "short", "looks"]);
    expect(texts).toEqual([JSON.stringify(long), JSON.stringify(looks)]);
    expect(result!.value).toEqual({
      long: { ...result!.files[0]!.ref },
      short: 1,
      looks: { ...result!.files[1]!.ref },
    });
  });

  it("all short members of a long result become one", () => {
    const names = Array.from({ length: 9_000 }, (_, index) => `name${index}`);
    const value = Object.fromEntries(names.map((name) => [name, 1]));
    const { result, texts } = staged(value, names);
    expect(texts).toEqual([JSON.stringify(value)]);
    expect(result!.value).toEqual({ ...result!.files[0]!.ref });
  });

  it("that are gone again where nobody takes it", () => {
    const { result, folder } = staged("x".repeat(LIMIT));
    expect(readdirSync(folder)).toHaveLength(1);
    removeStaged(result!.files);
    removeStaged(result!.files);
    expect(readdirSync(folder)).toEqual([]);
    expect(stageResult(JSON.stringify("x".repeat(LIMIT)), undefined, "/no/folder")).toBeUndefined();
  });
});
