/** What a command came to: its error in words, and its result, masked, cut or in files. */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Masker } from "../../src/core/mask.ts";
import {
  exitError,
  recordedOutput,
  SIGNAL_NAMES,
  signalError,
  writtenOutput,
} from "../../src/places/shell-result.ts";
import { tempRoot } from "../support/temp-root.ts";

const NOTHING = new Masker([]);

describe("the error of a command", () => {
  it("names its status, and quotes what it said last", () => {
    expect(exitError(3, "")).toEqual({
      name: "ExitError",
      message: "the command ended with status 3",
      code: "ORCHD_EXIT_STATUS",
      exitStatus: 3,
    });
    expect(exitError(0, "no").exitStatus).toBe(0);
    expect(exitError(null, "no")).not.toHaveProperty("exitStatus");
    const { message } = exitError(1, "x".repeat(501));
    expect(message).toBe(`the command ended with status 1: ${"x".repeat(500)}`);
  });

  it("names its signal, as Node does where a number has several names", () => {
    expect(signalError("SIGKILL", "bye")).toEqual({
      name: "ExitError",
      message: "the command was ended by SIGKILL: bye",
      code: "ORCHD_SIGNAL",
    });
    const names = [6, 29, 17, 9, 15].map((number) => SIGNAL_NAMES.get(number));
    expect(names).toEqual(["SIGABRT", "SIGIO", "SIGCHLD", "SIGKILL", "SIGTERM"]);
  });
});

describe("the result of a command", () => {
  const written = (text: string | undefined, outputs?: string[], masker = NOTHING) =>
    writtenOutput(
      () => (text === undefined ? undefined : Buffer.from(text)),
      { step: "a", outputs },
      masker,
    );
  const said = (...given: Parameters<typeof written>): string => {
    const read = written(...given);
    return read.ok ? `ok ${read.json}` : read.error.message;
  };

  it("is what it wrote, and null where it wrote nothing", () => {
    expect(written(undefined)).toEqual({ ok: true, json: "null" });
    expect(written('{ "a": 1 }', ["a"])).toEqual({ ok: true, json: '{"a":1}' });
  });

  it("that is not JSON, or lacks an output, fails with its own code", () => {
    expect(written("nope")).toEqual({
      ok: false,
      outcome: "failed",
      error: {
        name: "BadOutput",
        message: expect.stringContaining('step "a"') as string,
        code: "ORCHD_BAD_OUTPUT",
      },
    });
    expect(said('{"a":1}', ["a", "b"])).toContain('"b"');
  });

  it("that is not JSON is quoted to 60 characters, masked before it is cut", () => {
    expect(said("x".repeat(61))).toContain("x".repeat(60));
    expect(said("x".repeat(61))).not.toContain("x".repeat(61));
    // The cut goes through the secret.
    const secret = "hunter2hunter2";
    const quoted = said(`${"x".repeat(55)}${secret}`, undefined, new Masker([secret]));
    expect(quoted).toContain(`${"x".repeat(55)}***`);
    expect(quoted).not.toContain("hunt");
  });

  it("is recorded without secrets, says so, and lies in files where it is large", () => {
    const told: string[] = [];
    const record = (json: string, artifacts: string | undefined, secrets: string[] = []) =>
      recordedOutput(json, { artifacts, outputs: undefined }, new Masker(secrets), (line) =>
        told.push(line),
      );
    const root = join(tempRoot().root, "artifacts");
    mkdirSync(root);
    expect(record('"plain"', root)).toEqual({ ok: true, json: '"plain"' });
    expect(told).toEqual([]);
    expect(record('"it is hunter2x"', root, ["hunter2x"])).toEqual({
      ok: true,
      json: '"it is ***"',
    });
    expect(told).toHaveLength(1);
    const large = JSON.stringify("y".repeat(1024 * 1024));
    expect(record(large, undefined)).toEqual({ ok: true, json: large });
    const staged = record(large, root);
    expect([Object.keys(staged), readdirSync(root).length]).toEqual([["ok", "staged"], 1]);
  });
});
