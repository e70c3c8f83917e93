/**
 * Hostile texts: each gives an error or a value, never a hang and never the end of the process
 * (promise 35).
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { printable } from "../../src/schedules/problem.ts";
import { trials } from "../support/figures.ts";
import { decodeUtf8, readSourceText } from "../../src/schedules/source-text.ts";

const MIB = 1_048_576;
const GOOD = `name: log-digest
params: { path: /var/log/dpkg.log, list: [1, "two", null] }
schedule:
  - { cron: "*/5 * * * *", timezone: Europe/Berlin }
  - cron: '@daily'
steps:
  read: &read { uses: ./steps/read.ts, params: { path: "\${params.path}" } }
  shell:
    run: |
      gzip -c x > y
    after: [read]
  again: { <<: *read, after: shell }
`;

/** Processor time in milliseconds: other processes of the machine do not lengthen it. */
function cpuNow(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

function messageOf(text: string, format: "yaml" | "json" = "yaml"): string | undefined {
  const read = readSourceText(text, format);
  return read.ok ? undefined : read.faults.map(({ message }) => message).join("; ");
}

it("reads a good text", () => {
  const read = readSourceText(GOOD, "yaml");
  expect(read.ok && read.source.value).toMatchObject({
    steps: { again: { uses: "./steps/read.ts", after: "shell" } },
  });
});

describe("a bomb is refused at once", () => {
  const repeat = (text: string, size = MIB): string => text.repeat(Math.floor(size / text.length));
  const laughs = `a: &a [l,l,l,l,l,l,l,l,l]\n${"bcdefghij"
    .split("")
    .map((name, index) => `${name}: &${name} [${`*${"abcdefghij"[index]},`.repeat(9)}]`)
    .join("\n")}\n`;
  it.each([
    ["open lists", repeat("["), /nested more than 64 deep/],
    ["open maps", repeat("{"), /nested more than 64 deep/],
    ["nested lists, line by line", repeat("- "), /nested more than 64 deep/],
    [
      "nested maps, line by line",
      Array.from({ length: 400 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n"),
      /nested more than 64 deep/,
    ],
    ["a hundred lists", `a: ${"[".repeat(100)}${"]".repeat(100)}`, /nested more than 64 deep/],
    ["aliases of aliases", laughs, /alias/],
    ["many aliases", `- &a x\n${repeat("- *a\n")}`, /alias/],
    ["many words", repeat("[], "), /words|valid YAML/],
    [
      "many keys",
      Array.from({ length: 100_000 }, (_, index) => `k${index}: 1`).join("\n"),
      /words/,
    ],
  ])("%s", (_, text, message) => {
    const before = cpuNow();
    expect(messageOf(text)).toMatch(message);
    expect(cpuNow() - before).toBeLessThan(5_000);
  });

  it("a hundred deep in JSON", () => {
    expect(messageOf(`{"a":${"[".repeat(100)}${"]".repeat(100)}}`, "json")).toMatch(
      /nested more than 64 deep/,
    );
    expect(messageOf("[".repeat(MIB), "json")).toMatch(/valid JSON/);
  });

  it("but what a person writes deep passes", () => {
    expect(messageOf(`a: ${"[".repeat(30)}${"]".repeat(30)}`)).toBeUndefined();
  });
});

it("ends quickly, whatever is repeated for a megabyte", () => {
  const slow: string[] = [];
  for (const piece of [
    "? ",
    "&a ",
    "'",
    '"',
    "|\n",
    "a\n",
    "a:\n",
    "# c\n",
    "!x ",
    "\t",
    "%a\n",
    "---\n",
    ": ",
    ">",
    "\0",
    ",",
    "- - a\n ",
    "\n",
    "[]",
    "a: |\n b\n",
    "\\",
    'a: "',
    "%YAML 1.2\n---\n",
    "<<: *a\n",
    "\u2028",
  ]) {
    const before = cpuNow();
    readSourceText(piece.repeat(Math.floor(MIB / piece.length)), "yaml");
    const took = cpuNow() - before;
    if (took > 5_000) slow.push(`${JSON.stringify(piece)}: ${took} ms`);
  }
  expect(slow).toEqual([]);
  // 13 s of processor time: what counts is each piece's.
}, 300_000);

it("gives a value or a sentence for any mutant of a good text", () => {
  const mutation = fc.tuple(
    fc.nat({ max: GOOD.length }),
    fc.nat({ max: 6 }),
    fc.oneof(
      fc.string({ maxLength: 4 }),
      fc.constantFrom(
        "{",
        "[",
        "&a",
        "*a",
        "!!x",
        "? ",
        "- ",
        ": ",
        "\t",
        "%",
        "<<: ",
        "|",
        ">",
        "'",
        '"',
        "\0",
        "\ud800",
        "__proto__: ",
      ),
    ),
  );
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
      const text = mutations.reduce(
        (one, [at, cut, put]) => one.slice(0, at) + put + one.slice(at + cut),
        GOOD,
      );
      const read = readSourceText(text, "yaml");
      if (!read.ok) {
        expect(read.faults.length).toBeGreaterThan(0);
        for (const { message } of read.faults)
          expect(printable(message)).not.toMatch(/[\u0000-\u001f]/);
        return;
      }
      read.source.locate(["steps", "read", "params", "path"]);
      expect(Object.getPrototypeOf(Object.prototype)).toBeNull();
      expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    }),
    { numRuns: trials(300, 10_000) },
  );
}, 120_000);

it("gives the same for JSON as JSON.parse, and refuses what JSON.parse refuses", () => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.string({ minLength: 1 }).filter((key) => key !== "__proto__"),
        fc.jsonValue({ maxDepth: 4 }),
        { minKeys: 1 },
      ),
      fc.nat({ max: 2 }),
      (value, indent) => {
        const hasProto = JSON.stringify(value).includes("__proto__");
        const read = readSourceText(JSON.stringify(value, null, indent), "json");
        if (read.ok) expect(read.source.value).toEqual(JSON.parse(JSON.stringify(value)));
        else expect(hasProto ? [] : read.faults).toEqual([]);
      },
    ),
    { numRuns: 500 },
  );
  for (const text of [
    "{a: 1}",
    "{'a': 1}",
    '{"a": 1,}',
    "a: 1",
    '{"a": NaN}',
    "// x\n{}",
    '{"a": 01}',
  ])
    expect(`${text} ${messageOf(text, "json")}`).toMatch(/is not valid JSON/);
});

it("knows where each part stands", () => {
  const read = readSourceText(GOOD, "yaml");
  if (!read.ok) throw new Error("not read");
  const at = (...path: (string | number)[]): string =>
    `${read.source.locate(path)?.line}:${read.source.locate(path)?.column}`;
  expect(at("name")).toBe("1:7");
  expect(at("schedule", 1, "cron")).toBe("5:11");
  expect(at("schedule", 1, "nothing")).toBe("5:5");
  expect(at("steps", "shell")).toBe("8:3");
  expect(at("steps", "shell", "after", 0)).toBe("11:13");
  expect(at("steps", "again", "uses")).toBe("12:3");
  expect(read.source.locate(["name"], true)).toEqual({ line: 1, column: 1 });
});

it("takes UTF-8 and nothing else", () => {
  expect(decodeUtf8(Buffer.from("\ufeffä"))).toEqual({ ok: true, text: "ä" });
  for (const bytes of [[0xff, 0xfe, 0x61, 0], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf]])
    expect(decodeUtf8(Buffer.from(bytes))).toMatchObject({ ok: false });
});

it("says where it is not UTF-8", () => {
  const placeOf = (...parts: (string | number)[]) => {
    const decoded = decodeUtf8(
      Buffer.concat(
        parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from([part]))),
      ),
    );
    return decoded.ok ? undefined : decoded.position;
  };
  expect(placeOf("a: b\nc: ä", 0xff, "\n")).toEqual({ line: 2, column: 5 });
  expect(placeOf("\ufeffa: \ufffd", 0xff)).toEqual({ line: 1, column: 5 });
  expect(placeOf("a: ", 0xc3)).toEqual({ line: 1, column: 4 });
});

it("says where JSON is broken, whatever the engine says", () => {
  const placeOf = (text: string) => {
    const read = readSourceText(text, "json");
    return read.ok
      ? undefined
      : `${read.faults[0]!.position?.line}:${read.faults[0]!.position?.column}`;
  };
  expect(placeOf("// x\n{}")).toBe("1:1");
  expect(placeOf('{"a":\n }')).toBe("2:2");
  expect(placeOf('{"a": tru}')).toBe("1:10");
  expect(placeOf('{"a": "}", "b": }')).toBe("1:17");
  expect(placeOf('{"a": 1')).toBe("1:8");
  expect(placeOf(`[${"{},".repeat(300_000)}x]`)).toBe("1:900002");
});

it("a text with a colon and a blank is told to be put in quotes", () => {
  for (const text of [
    "description: a: b\n",
    "steps: { a: { run: echo a: b } }\n",
    "a:\n  - b: c: d\n",
  ])
    expect(messageOf(text)).toMatch(
      /^a text that holds a colon and a blank must be in quotes, or .* below \|: (?:Nested|Block)/,
    );
});

it("says of JSON that ends too early where it ends, at its last line", () => {
  for (const [text, place] of [
    ["{", "1:2"],
    ['{"a":\n  [1,\n   2', "3:5"],
    ['{"a": "b', "1:9"],
    ['{"a": 1,\n', "2:1"],
    ["[tru", "1:5"],
  ] as const) {
    const read = readSourceText(text, "json");
    if (read.ok) throw new Error(`${text} was read`);
    const [{ message, position }] = read.faults as [(typeof read.faults)[0]];
    expect([text, `${position?.line}:${position?.column}`]).toEqual([text, place]);
    expect(message).toMatch(/^is not valid JSON: /);
    expect(message).not.toMatch(/position|line \d/);
  }
});
