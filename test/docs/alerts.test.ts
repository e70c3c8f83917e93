/** docs/alerts.md knows every kind of alert and every kind of channel. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ALERT_KINDS } from "../../src/core/alert.ts";
import { TEMPLATE_WORDS } from "../../src/core/message-template.ts";
import { channelSchema, DEFAULT_KINDS } from "../../src/core/notify-settings.ts";
import { projectRoot } from "../support/temp-root.ts";

const text = readFileSync(join(projectRoot, "docs/alerts.md"), "utf8");
const words = (passage: string): string[] =>
  [...passage.matchAll(/`([a-z_]+)`/g)].map((match) => match[1]!);

it("the guide to alerts has a row for each kind", () => {
  const start = text.indexOf("## What people can be told");
  const table = text.slice(start, text.indexOf("## Rules"));
  const kinds = [...table.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1]);
  expect(new Set(kinds)).toEqual(new Set(ALERT_KINDS));
  expect(kinds).toHaveLength(ALERT_KINDS.length);
});

it("the guide to alerts has each kind of channel", () => {
  const kinds = channelSchema.options.map(({ shape }) => shape.kind.value);
  expect(kinds.filter((kind) => !text.includes(`kind: ${kind}`))).toEqual([]);
});

it("the guide to alerts names what is told by default, and a template's words", () => {
  const after = (start: string, end: string): string =>
    text.slice(text.indexOf(start), text.indexOf(end, text.indexOf(start)));
  expect(words(after("A rule without `on`", ".\n")).slice(1)).toEqual(DEFAULT_KINDS);
  expect(words(after("The words\nare", ". A word"))).toEqual(TEMPLATE_WORDS);
});
