/** The help of each command: it names the command, each option, and ends with one line feed. */
import { expect, it } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { parseProgram } from "../../src/cli/program.ts";
import { orchd } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";

async function textOf(...words: readonly string[]): Promise<string> {
  const parsed = await parseProgram(words, "1.2.3", 100);
  if (parsed.kind !== "text") throw new Error("it is a command");
  return parsed.text;
}

it.each(COMMANDS.map(({ name, options }) => [name, Object.keys(options)] as const))(
  "orchd %s",
  async (name, options) => {
    const text = await textOf(name, "--help");
    expect(text).toMatch(new RegExp(`^orchd ${name}\\b`));
    for (const option of options) expect(text).toContain(`--${option}`);
    expect(text).toMatch(/[^\n]\n$/);
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  },
);

it("the whole help lists each command, and the version is a line", async () => {
  const text = await textOf("--help");
  for (const { name } of COMMANDS) expect(text).toContain(`orchd ${name}`);
  expect(text).toMatch(/[^\n]\n$/);
  expect(await textOf()).toBe(text);
  expect(await textOf("--version")).toBe("1.2.3\n");
});

it("only help makes what cuts texts into columns: it takes longer than most commands", async () => {
  const { root } = tempRoot({
    "schedules/p.yaml": 'schedule: { cron: "@daily" }\nsteps: { only: { run: "true" } }\n',
  });
  const env = { NODE_OPTIONS: "--import=data:text/javascript,Intl.Segmenter=undefined" };
  expect(await orchd(root, "next", { env })).toMatchObject({ status: 0, stderr: "" });
  expect((await orchd(root, "next", "--help", { env })).status).not.toBe(0);
  expect((await orchd(root, "next", "--help")).stdout).toContain("orchd next");
});
