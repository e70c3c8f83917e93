/** The documents list what the code has: every key, every event, every command. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { COMMON_OPTIONS } from "../../src/cli/common-options.ts";
import type { OptionSpec } from "../../src/cli/command.ts";
import { ledgerJsonSchemas } from "../../src/core/event.ts";
import { pipelineJsonSchema } from "../../src/core/pipeline.ts";
import { settingsJsonSchema } from "../../src/core/settings.ts";
import { projectRoot } from "../support/temp-root.ts";
import { expectTable, markdownTable } from "./held-table.ts";
import { keyTable, rowsOf } from "./key-table.ts";

describe.each([
  ["pipeline", pipelineJsonSchema],
  ["orchd.yaml", settingsJsonSchema],
])("the keys of %s", (name, schema) => {
  it("each say their type, and their default if they have one", () => {
    const rows = rowsOf(schema());
    expect(rows.length).toBeGreaterThan(5);
    expect(
      rows
        .filter(
          ([, type, fallback, meaning]) => type === "" || (meaning === "" && fallback === "–"),
        )
        .map(([key]) => key),
    ).toEqual([]);
  });

  it("stand in docs/pipeline-files.md", () => {
    expectTable("docs/pipeline-files.md", `keys: ${name}`, keyTable(schema()));
  });
});

interface EventSchema {
  readonly description?: string;
  readonly properties: Record<string, unknown>;
  readonly required?: readonly string[];
}

const FRAME = new Set(["seq", "b", "at", "type", "crc"]);

describe.each(["run", "pipeline"] as const)("the events of a %s's ledger", (ledger) => {
  const events = Object.entries(ledgerJsonSchemas()[ledger] as Record<string, EventSchema>);

  it("each say what they mean", () => {
    expect(events.filter(([, { description }]) => !description).map(([type]) => type)).toEqual([]);
  });

  it("stand in docs/ledger.md", () => {
    const rows = events.map(([type, { properties, required = [], description = "" }]) => [
      `\`${type}\``,
      Object.keys(properties)
        .filter((field) => !FRAME.has(field))
        .map((field) => `\`${field}${required.includes(field) ? "" : "?"}\``)
        .join(" "),
      description,
    ]);
    expectTable(
      "docs/ledger.md",
      `events: ${ledger}`,
      markdownTable(["type", "fields", "says"], rows),
    );
  });
});

describe("the command line", () => {
  const option = ([name, { alias, type, describe: says, choices }]: [
    string,
    OptionSpec,
  ]): string[] => {
    const short = alias === undefined ? "" : `-${alias}, `;
    const value = choices ? choices.join("|") : name.toUpperCase();
    return [`\`${short}--${name}${type === "boolean" ? "" : ` ${value}`}\``, says];
  };

  it("stands in docs/command-line.md", () => {
    const blocks = COMMANDS.map((command) => {
      const options = Object.entries(command.options);
      const words = [command.name, command.positionals].filter(Boolean).join(" ");
      const head = `### orchd ${words}\n\n${command.describe}.`;
      return options.length === 0
        ? head
        : `${head}\n\n${markdownTable(["option", "meaning"], options.map(option))}`;
    });
    expectTable("docs/command-line.md", "commands", blocks.join("\n\n"));
    expectTable(
      "docs/command-line.md",
      "common options",
      markdownTable(["option", "meaning"], Object.entries(COMMON_OPTIONS).map(option)),
    );
  });
});

describe("a status as JSON", () => {
  it.each([
    ["pipeline", "src/views/pipeline-view.ts", "PipelineView"],
    ["run", "src/views/run-view.ts", "RunView"],
    ["step", "src/views/run-view.ts", "StepView"],
  ])("has each member of a %s in docs/command-line.md", (name, file, type) => {
    const source = readFileSync(join(projectRoot, file), "utf8");
    const [, body = ""] = new RegExp(`export interface ${type} \\{\\n(.*?)\\n\\}`, "s").exec(
      source,
    )!;
    const members = [...body.matchAll(/^ {2}readonly (\w+\??):/gm)].map(([, member]) => member);
    const document = readFileSync(join(projectRoot, "docs/command-line.md"), "utf8");
    const table = document.split(`<!-- status: ${name} -->`)[1]!.split("<!-- /")[0]!;
    expect([...table.matchAll(/^\| `(.+?)` \| \S/gm)].map(([, member]) => member)).toEqual(members);
  });
});
