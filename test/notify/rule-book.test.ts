/** Who is told of what, by the rules alone. */
import { expect, it } from "vitest";
import type { AlertKind } from "../../src/core/alert.ts";
import type { NotifyRule } from "../../src/core/notify-settings.ts";
import { RuleBook } from "../../src/notify/rule-book.ts";

function book(...rules: readonly object[]): RuleBook {
  const channels = { ops: {}, dev: {} };
  const given = rules.map((rule) => ({
    to: ["ops"],
    on: ["failed"],
    ...rule,
  })) as unknown as NotifyRule[];
  return new RuleBook({ channels, rules: given } as never, "UTC");
}
const told = (
  rules: RuleBook,
  tags: readonly string[],
  kind: AlertKind = "failed",
  name = "p",
): string[] => rules.recipients(name, { tags }, kind).map(({ channel }) => channel);

it.each([
  [undefined, [], true],
  [["a"], [], false],
  [["a"], ["a"], true],
  [["a", "b"], ["b"], true],
  [["a", "b"], ["c", "a"], true],
  [["a", "b"], ["c"], false],
])("a rule for %j tells of a pipeline with the tags %j: %s", (tags, own, tells) => {
  const rule = tags === undefined ? {} : { tags };
  expect(told(book(rule), own)).toEqual(tells ? ["ops"] : []);
});

it("each channel is told once, by the first rule that names it", () => {
  const rules = book({ to: ["dev", "ops"], pipelines: ["p"] }, { to: ["ops", "gone"] });
  expect(told(rules, [])).toEqual(["dev", "ops"]);
  expect(told(rules, [], "failed", "q")).toEqual(["ops"]);
  expect(told(rules, [], "missed")).toEqual([]);
  const daemon = rules.daemonRecipients("failed").map(({ channel }) => channel);
  expect(daemon).toEqual(["ops"]);
});
