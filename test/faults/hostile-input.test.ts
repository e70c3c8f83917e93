/**
 * Promises 18, 20 and 35: hostile cron texts, bursts of files, and mutants of pipeline files. Each
 * gets an answer, and soon.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { checkCron } from "../../src/core/schedule/cron-check.ts";
import { stopBundler } from "../../src/schedules/bundler.ts";
import { DropFolder } from "../../src/schedules/drop-folder.ts";
import { formatProblem } from "../../src/schedules/problem.ts";
import { loader } from "../schedules/support.ts";
import { reached, trials } from "../support/figures.ts";
import { HOSTILE_FIELDS } from "../support/hostile-cron.ts";
import { tempRoot } from "../support/temp-root.ts";

it("answers every cron text within 50 ms", { timeout: 1_800_000 }, () => {
  const field = fc.oneof(
    fc.constantFrom(...HOSTILE_FIELDS),
    fc
      .array(fc.constantFrom(...HOSTILE_FIELDS), { minLength: 1, maxLength: 40 })
      .map((parts) => parts.join(",")),
    fc.string({ maxLength: 12 }),
  );
  const text = fc.oneof(
    fc.array(field, { minLength: 4, maxLength: 7 }).map((fields) => fields.join(" ")),
    fc.string({ maxLength: 400 }),
  );
  const texts = fc.sample(text, trials(3_000, 100_000));
  // A text can be slow because something else has the processor: a slow one is asked again.
  const slow = texts.filter((one) => [1, 2, 3].every(() => timed(() => checkCron(one)) > 50));
  reached(18, "hostile cron texts answered within 50 ms", texts.length - slow.length, texts.length);
  expect(slow).toEqual([]);
});

function timed(act: () => unknown): number {
  const before = performance.now();
  act();
  return performance.now() - before;
}

const GOOD = `name: mutant
description: "what it is for"
params: { path: /var/log/x.log, list: [1, "two", null], token: { secret: api } }
schedule:
  - { cron: "*/5 * * * *", timezone: Europe/Berlin, blackout: { from: 2026-12-24, to: 2026-12-27 } }
  - { name: eu, intervalSeconds: 60, startTime: 2026-12-01T00:00:00, params: { path: /eu } }
retry: { maxRetries: 2, delay: 5s, backoff: 2, on: [ECONNRESET] }
env: { LANG: C, P: "\${params.path}" }
steps:
  read: &read { run: cat x, params: { path: "\${params.path}" }, timeout: 1m, outputs: [lines] }
  shell: { run: "gzip -c x > y", inputs: { l: read.lines }, when: inputs.l.length > 0 }
  again: { <<: *read, after: shell }
`;

it(
  "answers every mutant of a pipeline file with a pipeline or with sentences",
  { timeout: 1_800_000 },
  async () => {
    onTestFinished(stopBundler);
    const root = loader({});
    const piece = fc.oneof(
      fc.string({ maxLength: 4 }),
      fc.constantFrom(
        "{",
        "[",
        "}",
        "]",
        "&a ",
        "*a",
        "*read",
        "!!x ",
        "? ",
        "- ",
        ": ",
        "\t",
        "%",
        "<<: *read",
        "|",
        ">",
        "'",
        '"',
        "\0",
        "\u2028",
        "__proto__: ",
        "constructor: ",
        "1e999",
        "-1",
        "null",
        "${params.",
        "${run.id}",
        "[".repeat(100),
        "\n  ",
      ),
    );
    const mutation = fc.tuple(fc.nat({ max: GOOD.length }), fc.nat({ max: 8 }), piece);
    const mutants = fc.sample(
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      trials(300, 10_000),
    );
    const bad: string[] = [];
    for (const mutations of mutants) {
      const text = mutations.reduce(
        (one, [at, cut, put]) => one.slice(0, at) + put + one.slice(at + cut),
        GOOD,
      );
      writeFileSync(join(root.schedules, "m.yaml"), text);
      const before = performance.now();
      try {
        const result = await root.load("m.yaml");
        const sentences = result.ok ? [] : result.errors.map(formatProblem);
        const sound =
          (result.ok || sentences.length > 0) &&
          sentences.every((sentence) => !/[\u0000-\u001f\u007f-\u009f]/.test(sentence));
        if (!sound || performance.now() - before > 2_000) bad.push(text);
      } catch (error) {
        bad.push(`${String(error)}\n${text}`);
      }
    }
    reached(35, "mutants of a pipeline file answered", mutants.length - bad.length, mutants.length);
    expect(bad.slice(0, 3)).toEqual([]);
  },
);

it("notices every file of a burst", { timeout: 600_000 }, async () => {
  const { schedules } = tempRoot();
  const seen = new Set<string>();
  const folder = new DropFolder({
    dir: schedules,
    clock: systemClock,
    onChange({ changed }) {
      for (const path of changed) seen.add(path);
      if (seen.size === count) all();
    },
  });
  onTestFinished(() => folder.close());
  const count = trials(3_000, 30_000);
  let all = (): void => undefined;
  const complete = new Promise<void>((resolve) => (all = resolve));
  await folder.start();
  for (let index = 0; index < count; index += 1)
    writeFileSync(join(schedules, `p${index}.yaml`), "steps: {}\n");
  const since = performance.now();
  await complete;
  reached(
    20,
    `files of a burst seen, ${Math.round(performance.now() - since)} ms after the last`,
    seen.size,
    count,
  );
  expect(performance.now() - since).toBeLessThan(15_000);
});
