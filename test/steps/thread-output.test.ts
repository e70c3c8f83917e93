/** Every way in which code writes to descriptors 1 and 2, and which bytes of it are captured. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { afterAll, beforeAll, expect, it } from "vitest";
import { redirectOutput } from "../../src/steps/thread-output.ts";

let taken: [string, string][] = [];
const { writeSync, write, writeFileSync, appendFileSync } = fs;
const streams = (["stdout", "stderr"] as const).map((name) => {
  const { write: before, end } = process[name];
  return () => void Object.assign(process[name], { write: before, end });
});
beforeAll(() =>
  redirectOutput((stream, chunk) => void taken.push([stream, Buffer.from(chunk).toString("utf8")])),
);
afterAll(() => {
  Object.assign(fs, { writeSync, write, writeFileSync, appendFileSync });
  syncBuiltinESMExports();
  for (const restore of streams) restore();
});

/** What was captured of an act. */
async function captured(act: () => unknown): Promise<[string, string][]> {
  taken = [];
  await act();
  return taken;
}

const BYTES = Buffer.from("abcdef");
const HEX = Buffer.from("ä").toString("hex");
const asked = (...given: unknown[]): number =>
  (fs.writeSync as (...all: unknown[]) => number)(...given);

it.each<[string, unknown[], string, number]>([
  ["a text", ["äb"], "äb", 3],
  ["bytes", [BYTES], "abcdef", 6],
  ["a part by offset", [BYTES, 2], "cdef", 4],
  ["a part by offset and length", [BYTES, 1, 3], "bcd", 3],
  ["a part by length", [BYTES, undefined, 2], "ab", 2],
  ["null for all", [BYTES, null, null], "abcdef", 6],
  ["a part by an object", [BYTES, { offset: 3, length: 2 }], "de", 2],
  ["all by an object", [BYTES, {}], "abcdef", 6],
  [
    "a view of other memory",
    [new Uint16Array(new Uint8Array([65, 66, 67, 68]).buffer, 2, 1)],
    "CD",
    2,
  ],
  ["a text in hexadecimal", [HEX, null, "hex"], "ä", 2],
  ["a text in UTF-16", ["A", null, "utf16le"], "A\0", 2],
  ["a text in UTF-8, by name", ["ä", null, "UTF8"], "ä", 2],
  ["a text in UTF-8, by its other name", ["ä", null, "utf-8"], "ä", 2],
])("writeSync of %s", async (_, given, text, size) => {
  let written: unknown;
  expect(await captured(() => (written = asked(1, ...given)))).toEqual([["stdout", text]]);
  expect(written).toBe(size);
  expect(await captured(() => asked(2, ...given))).toEqual([["stderr", text]]);
});

it("write calls back later, with how much it took and what", async () => {
  const done = await new Promise<unknown[]>((resolve) => {
    let later = false;
    fs.write(2, BYTES, 1, 2, null, (...all) => resolve([later, ...all]));
    later = true;
  });
  expect(done).toEqual([true, null, 2, BYTES]);
  expect(taken.at(-1)).toEqual(["stderr", "bc"]);
  const text = await new Promise<unknown[]>((resolve) => {
    (fs.write as (...all: unknown[]) => void)(1, HEX, null, "hex", (...all: unknown[]) =>
      resolve(all),
    );
  });
  expect(text).toEqual([null, 2, HEX]);
  expect(taken.at(-1)).toEqual(["stdout", "ä"]);
});

it("other descriptors and files are written as ever", async () => {
  const path = `${process.env["ORCHD_TEST_SESSION"] ?? "/tmp"}/thread-output-${process.pid}`;
  const lines = await captured(() => {
    const fd = fs.openSync(path, "w");
    asked(fd, BYTES, 1, 2);
    fs.closeSync(fd);
    fs.appendFileSync(path, "x");
  });
  expect(lines).toEqual([]);
  expect(fs.readFileSync(path, "utf8")).toBe("bcx");
  fs.writeFileSync(path, "new");
  expect(fs.readFileSync(path, "utf8")).toBe("new");
  fs.rmSync(path);
});

it.each(["writeFileSync", "appendFileSync"] as const)("%s of a descriptor", async (name) => {
  const all = fs[name] as (...given: unknown[]) => void;
  expect(await captured(() => all(1, "äb"))).toEqual([["stdout", "äb"]]);
  expect(await captured(() => all(2, BYTES))).toEqual([["stderr", "abcdef"]]);
  expect(await captured(() => all(1, HEX, "hex"))).toEqual([["stdout", "ä"]]);
  expect(await captured(() => all(1, HEX, { encoding: "hex" }))).toEqual([["stdout", "ä"]]);
  expect(await captured(() => all(1, "x", { mode: 0o600 }))).toEqual([["stdout", "x"]]);
});

it.each(["stdout", "stderr"] as const)(
  "process.%s stays open whatever is done to it",
  async (name) => {
    const stream = process[name] as unknown as Record<
      "write" | "end",
      (...all: unknown[]) => unknown
    >;
    const calls: string[] = [];
    const lines = await captured(async () => {
      expect(stream.write("a")).toBe(true);
      expect(stream.write(HEX, "hex", () => calls.push("written"))).toBe(true);
      stream.write("b", () => calls.push("short"));
      expect(stream.end("c", "utf8", () => calls.push("ended"))).toBe(process[name]);
      stream.end(() => calls.push("only"));
      stream.end();
      stream.write("after");
      expect(calls).toEqual([]);
      await Promise.resolve();
    });
    expect(calls).toEqual(["written", "short", "ended", "only"]);
    expect(lines.filter(([, text]) => text !== "")).toEqual(
      ["a", "ä", "b", "c", "after"].map((text) => [name, text]),
    );
  },
);
