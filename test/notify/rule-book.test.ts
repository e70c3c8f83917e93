/** Who is told of what, by the rules alone. */
import { expect, it } from "vitest";
import type { AlertKind } from "../../src/core/alert.ts";
import type { NotifyRule } from "../../src/core/notify-settings.ts";
import { emptyNotifyState } from "../../src/core/notify-state.ts";
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

it("after a restart it knows the rules of pipelines that have their own", () => {
  const own = { notify: [{ on: ["missed"], to: ["dev"], group: "1m" }] };
  const id = book().recipients("p", own, "missed")[0]!.rule.id;
  const again = book();
  expect(again.rule(id)).toBeUndefined();
  const pipelines = new Map([["p", { firing: new Map(), waits: new Map(), ...own }]]);
  again.learn({ ...emptyNotifyState(), pipelines: pipelines });
  expect(again.rule(id)).toMatchObject({ on: ["missed"], groupMs: 60_000 });
});

it("of a broken channel the others of its rules hear, and who asks for that kind", () => {
  const channels = { ops: {}, dev: {}, night: {}, far: {} };
  const rules = [
    { to: ["ops", "dev"], on: ["failed"], pipelines: ["p"] },
    { to: ["far"], on: ["failed"] },
    { to: ["night", "ops"], on: ["channel_broken"] },
    { to: ["far"], on: ["channel_broken"], tags: ["a"] },
  ] as unknown as NotifyRule[];
  const all = new RuleBook({ channels, rules } as never, "UTC");
  const heard = (broken: string, own: object = {}): string[] => {
    const pipelines = new Map([["p", { firing: new Map(), waits: new Map(), ...own }]]);
    const state = { ...emptyNotifyState(), pipelines: pipelines as never };
    return all.besides(broken, state).map(({ channel }) => channel);
  };
  expect(heard("ops")).toEqual(["dev", "night"]);
  expect(heard("dev")).toEqual(["ops", "night"]);
  expect(heard("far")).toEqual(["night", "ops"]);
  const own = { notify: [{ on: ["failed"], to: ["far", "dev"] }] };
  expect(heard("far", own)).toEqual(["night", "ops", "dev"]);
  expect(all.daemonRecipients("channel_broken").map(({ channel }) => channel)).toEqual([
    "night",
    "ops",
  ]);
});
