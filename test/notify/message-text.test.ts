import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ALERT_KINDS, type Alert, type AlertItem, type FaultKind } from "../../src/core/alert.ts";
import { TEMPLATE_WORDS } from "../../src/core/message-template.ts";
import { commandsOf, messageOf } from "../../src/notify/message-text.ts";
import { trials } from "../support/figures.ts";

const RUN = "etl@20261128T164316Z";
const FAILED: Alert = {
  key: "0123456789abcdef0123456789abcdef",
  kind: "failed",
  channel: "ops",
  pipeline: "etl",
  run: RUN,
  status: "failed",
  because: 'step "load" failed: exit status 3',
  at: "2026-11-28T16:43:16.481Z",
  cause: "etl/pipeline.jsonl:7",
  count: 1,
  telling: 1,
};
const item = (pipeline: string, more: Partial<AlertItem> = {}): AlertItem => ({
  kind: "failed",
  pipeline,
  because: "it broke",
  at: FAILED.at,
  count: 1,
  ...more,
});
/** What no message may hold, but for line feeds in its text. */
const UNSAFE = new RegExp(
  "[\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e" +
    "\\u2060-\\u2069\\ufeff]|\\p{Surrogate}",
  "u",
);

describe("the text of a message", () => {
  it("says what, why and when, ends with the log, and names a link and commands", () => {
    const log = [
      { step: "load", line: "connecting" },
      { step: "load", line: "refused" },
    ];
    const { title, text, url } = messageOf(FAILED, { log, page: "https://orchd.example/base" });
    expect(title).toBe("etl failed");
    expect(url).toBe(`https://orchd.example/base/runs/${RUN}`);
    expect(text).toBe(`etl failed

Run:      ${RUN}
Status:   failed
Because:  step "load" failed: exit status 3
At:       2026-11-28 16:43:16 UTC

The log ends with:

  connecting
  refused

More:
  https://orchd.example/base/runs/${RUN}
  orchd status ${RUN}
  orchd logs ${RUN}
`);
  });

  it("names the steps of the log's lines where there are several", () => {
    const log = [
      { step: "a", line: "one" },
      { step: "b", line: "two" },
    ];
    expect(messageOf(FAILED, { log }).text).toContain("  a | one\n  b | two\n");
  });

  it("tells what context.log wrote as `orchd logs` does", () => {
    const line = JSON.stringify({ level: "warn", message: "only 2\nfiles", bytes: 12 });
    const { text } = messageOf(FAILED, { log: [{ step: "a", line }] });
    expect(text).toContain('The log ends with:\n\n  warn: only 2\\nfiles {"bytes":12}\n');
  });

  it("has the last twenty lines, each on one line, as a terminal would show it", () => {
    const log = Array.from({ length: 30 }, (_, n) => ({
      step: "a",
      line: `\u001b[31m10%\r${n}%\u001b[0m\t|\u202e done\u001b]0;title\u0007\r`,
    }));
    const lines = messageOf(FAILED, { log })
      .text.split("\n")
      .filter((line) => line.includes("%"));
    expect(lines).toHaveLength(20);
    expect(lines[19]).toBe("  29% |\\u202e done");
  });

  it("counts, and tells that it is told again or tried", () => {
    expect(messageOf({ ...FAILED, count: 3 }).title).toBe("etl failed 3 times");
    expect(messageOf({ ...FAILED, telling: 2, count: 9 }).title).toBe(
      "Reminder: etl failed 9 times",
    );
    expect(messageOf(FAILED, { test: true }).title).toBe("Test: etl failed");
  });

  it.each(ALERT_KINDS)("has a title and a command for %s, of a pipeline and of none", (kind) => {
    for (const pipeline of ["etl", undefined])
      for (const run of [RUN, undefined]) {
        const { pipeline: _, run: __, ...rest } = FAILED;
        const alert: Alert = {
          ...rest,
          kind,
          ...(pipeline === undefined ? {} : { pipeline }),
          ...(run === undefined ? {} : { run }),
        };
        const { title, text } = messageOf(alert);
        expect(title).toMatch(/^(?:etl |[A-Z])/);
        expect(text).toContain(`\n  ${commandsOf(alert)[0]}\n`);
      }
  });

  it.each(ALERT_KINDS.filter((kind): kind is FaultKind => kind !== "recovered"))(
    "has a title for what is over: %s",
    (of) => {
      const { title } = messageOf({ ...FAILED, kind: "recovered", of });
      expect(title).toMatch(/^etl recovered: |again$/);
    },
  );

  it.each([
    [999, "etl missed 999 slots"],
    [1_000, "etl missed at least 1000 slots"],
  ])("says of missed slots that no more are counted: %i", (count, title) => {
    expect(messageOf({ ...FAILED, kind: "missed", count }).title).toBe(title);
  });

  it("names each of a group", () => {
    const others = [item("load", { count: 2 }), item("report", { kind: "missed", count: 12 })];
    const { title, text } = messageOf({ ...FAILED, count: 18, others });
    expect(title).toBe("3 alerts: etl failed 4 times, load failed 2 times, report missed 12 slots");
    expect(text).toContain(
      "With it:\n\n- load failed 2 times: it broke\n- report missed 12 slots: it broke\n",
    );
    const many = Array.from({ length: 50 }, (_, n) => item(`p${n}`));
    const all = messageOf({ ...FAILED, count: 10_000, others: many });
    expect(all.title).toMatch(/^Over 50 alerts: etl failed, p0 failed, .*…$/);
    expect(all.text).toContain("\n- and more: `orchd alerts` has them\n");
    const long = many.map((one) => ({ ...one, because: "x".repeat(2_000) }));
    expect(messageOf({ ...FAILED, count: 51, others: long }).text).toMatch(/\n- and \d+ more\n/);
  });

  it("takes secrets out before it cuts", () => {
    const mask = (text: string): string => text.replaceAll("hunter2hunter2", "***");
    const because = `${"x".repeat(4_088)}hunter2hunter2 ${"y".repeat(1_000)}`;
    const log = [{ step: "a", line: `hunter2\u001b[1mhunter2${"z".repeat(500)}` }];
    const { text } = messageOf({ ...FAILED, because }, { mask, log });
    expect(text).not.toContain("hunter");
    expect(text).toContain("  ***zzz");
  });

  it("has no link where the page's address is none", () => {
    for (const page of ["javascript:alert(1)", "orchd.example", ""])
      expect(messageOf(FAILED, { page })).not.toHaveProperty("url");
    const { pipeline: _, run: __, ...daemon } = FAILED;
    const link = (alert: Alert): string | undefined =>
      messageOf(alert, { page: "http://127.0.0.1:4114/" }).url;
    expect(link(daemon)).toBe("http://127.0.0.1:4114/alerts");
    expect(link({ ...daemon, pipeline: "etl" })).toBe("http://127.0.0.1:4114/pipelines/etl");
  });
});

describe("a template", () => {
  it("has every word, and replaces no word that a value brings", () => {
    const template = TEMPLATE_WORDS.map((word) => `${word}={{ ${word} }}`).join("\r\n");
    const alert = { ...FAILED, because: "it said {{run}} and {{log}}", count: 2 };
    const log = [{ step: "a", line: "{{kind}}" }];
    expect(messageOf(alert, { template, log, page: "https://o.example" }).text).toBe(
      [
        "kind=failed",
        "pipeline=etl",
        `run=${RUN}`,
        "status=failed",
        "because=it said {{run}} and {{log}}",
        "at=2026-11-28T16:43:16.481Z",
        "count=2",
        "log=  {{kind}}",
        `url=https://o.example/runs/${RUN}`,
        `command=orchd status ${RUN}`,
      ].join("\n"),
    );
  });

  it("leaves what is absent empty", () => {
    const { pipeline: _, run: __, status: ___, ...rest } = FAILED;
    const template = "[{{pipeline}}{{run}}{{status}}{{url}}{{log}}]\t{{other}} {} {{\u001b";
    expect(messageOf(rest, { template }).text).toBe("[]    {{other}} {} {{\\x1b");
  });
});

describe("hostile texts", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary", maxLength: 3_000 }),
    fc.constantFrom(
      "a\r\nBcc: evil@example.org\r\n\r\nbody",
      "\u001b]0;owned\u0007\u001b[2J\u009b31m",
      "<script>alert(1)</script><img src=x onerror=alert(1)>",
      "\u202egnp.exe \u2066 \ufeff \u0000",
      "\ud800 lone \udc00",
      "x".repeat(1_048_576),
      "字".repeat(400_000),
      "\n".repeat(100_000),
      "{{log}}".repeat(10_000),
    ),
  );

  it("stay within a message's bounds, and are plain lines", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ALERT_KINDS),
        fc.record({ pipeline: hostile, run: hostile, status: hostile, because: hostile }),
        fc.array(hostile, { maxLength: 25 }),
        fc.array(hostile, { maxLength: 60 }),
        fc.option(fc.constantFrom("{{because}}".repeat(300), "{{log}}{{pipeline}}")),
        (kind, texts, lines, others, template) => {
          const { title, text } = messageOf(
            {
              ...FAILED,
              ...texts,
              kind,
              others: others.map((because) => item(because, { because })),
            },
            {
              log: lines.map((line, n) => ({ step: n % 2 === 0 ? line : "b", line })),
              template: template ?? undefined,
            },
          );
          expect(title).not.toMatch(UNSAFE);
          expect(title).not.toContain("\n");
          expect([...title].length).toBeLessThanOrEqual(200);
          expect(text).not.toMatch(UNSAFE);
          expect(Buffer.byteLength(text)).toBeLessThanOrEqual(16_384);
        },
      ),
      { numRuns: trials(40, 1_000) },
    );
  }, 60_000);

  it("end where they do, however long", () => {
    const { text } = messageOf({ ...FAILED, because: "字".repeat(349_525) });
    expect(text).toMatch(/字…\nAt: /);
    expect(text).toMatch(/\n {2}orchd logs \S+\n$/);
  });
});

it.each([
  ["etl", "etl"],
  ["a.b@c:d-e_1", "a.b@c:d-e_1"],
  ["two words", "'two words'"],
  ["it's", "'it'\\''s'"],
  ["$(rm)", "'$(rm)'"],
  ["a;b", "'a;b'"],
])("a command names %j as %s", (name, shown) => {
  expect(commandsOf(item(name, { kind: "late" }))).toEqual([`orchd why ${shown}`]);
});
