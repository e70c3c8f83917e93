import { describe, expect, it } from "vitest";
import { messageTemplateFault, TEMPLATE_WORDS } from "../../src/core/message-template.ts";
import { notifySchema } from "../../src/core/notify-settings.ts";

describe("a message's template", () => {
  it("has known words only", () => {
    expect(messageTemplateFault(TEMPLATE_WORDS.map((word) => `{{${word}}}`).join(" "))).toBe(
      undefined,
    );
    expect(messageTemplateFault("no words, {braces}, {{ and }")).toBe(undefined);
    expect(messageTemplateFault("{{ pipline }}")).toBe(
      "has {{ pipline }}, which nothing replaces: the words are kind, pipeline, run, status, " +
        'because, at, count, log, url, command; did you mean "pipeline"?',
    );
    expect(messageTemplateFault("{{}}")).toContain("has {{}}, which nothing replaces");
    expect(messageTemplateFault("{{constructor}}")).toContain("has {{constructor}}");
  });

  it("is refused with the settings that have another", () => {
    const settings = (template: string): unknown => ({
      channels: { a: { kind: "command", run: ["true"], template } },
    });
    expect(notifySchema.safeParse(settings("{{because}}")).success).toBe(true);
    const { error } = notifySchema.safeParse(settings("{{reason}}"));
    expect(error?.issues[0]?.path).toEqual(["channels", "a", "template"]);
    expect(error?.issues[0]?.message).toContain("has {{reason}}, which nothing replaces");
  });
});
