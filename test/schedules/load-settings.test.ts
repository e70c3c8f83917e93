/** orchd.yaml: it is optional and strict, and its orchestrators' code is bundled. */
import { chmodSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { stopBundler } from "../../src/schedules/bundler.ts";
import { loadSettings, type SettingsResult } from "../../src/schedules/load-settings.ts";
import { formatProblem } from "../../src/schedules/problem.ts";
import { readTelemetrySettings } from "../../src/schedules/settings-file.ts";
import { tempRoot } from "../support/temp-root.ts";

afterAll(stopBundler);

async function settings(
  text: string | undefined,
  files: Record<string, string> = {},
  mode = 0o644,
): Promise<{ result: SettingsResult; errors: string[] }> {
  const made = tempRoot({ ...files, ...(text === undefined ? {} : { "orchd.yaml": text }) });
  if (text !== undefined) chmodSync(join(made.root, "orchd.yaml"), mode);
  const result = await loadSettings(made.root, join(made.runs, ".orchd/bundles"));
  return {
    result,
    errors: result.ok
      ? []
      : result.errors.map((problem) => formatProblem(problem).replaceAll(`${made.root}/`, "")),
  };
}

it("may be missing or empty", async () => {
  for (const text of [undefined, "", "# nothing yet\n"])
    expect((await settings(text)).result).toMatchObject({ ok: true, settings: DEFAULT_SETTINGS });
});

it("is not missing where it is a link to a file that is", async () => {
  const { root, runs } = tempRoot();
  symlinkSync("gone.yaml", join(root, "orchd.yaml"));
  const result = await loadSettings(root, join(runs, ".orchd/bundles"));
  expect(result.ok ? [] : result.errors.map(formatProblem)).toEqual([
    `${join(root, "orchd.yaml")}: is a link to a file that does not exist`,
  ]);
});

it("bundles orchestrators by name", async () => {
  const { result } = await settings(
    `timezone: Europe/Berlin
orchestrators:
  mine: { uses: ./o.ts, config: { a: 1 } }
  other: ./o.ts#Other
  near: { uses: local, config: { b: 2 } }
`,
    { "o.ts": "export default class {}\nexport class Other {}\n" },
  );
  expect(result).toMatchObject({
    ok: true,
    settings: {
      timezone: "Europe/Berlin",
      orchestrators: {
        mine: { flavor: "mine", code: { pick: "export:default" }, config: { a: 1 } },
        other: { flavor: "other", code: { pick: "export:Other" } },
        near: { flavor: "local", config: { b: 2 } },
      },
    },
  });
});

it("takes what a module exports whose names are known only as it runs", async () => {
  const { result } = await settings("orchestrators: { mine: ./o.cjs, other: ./o.cjs#Other }\n", {
    "o.cjs": "class Other {}\nmodule.exports = Object.assign(class {}, { Other });\n",
  });
  expect(result).toMatchObject({
    ok: true,
    settings: { orchestrators: { mine: {}, other: { code: { pick: "export:Other" } } } },
  });
});

it.each([
  ["timezon: UTC\n", 'orchd.yaml:1:1: timezon is not known here; did you mean "timezone"?'],
  ["a: 1\ntimezone: Mars/Base\n", "orchd.yaml:1:1: a is not known here"],
  ["timezone: Mars/Base\n", 'orchd.yaml:1:11: timezone "Mars/Base" is no time zone'],
  ["gracePeriod: soon\n", "orchd.yaml:1:14: gracePeriod must be a duration"],
  ["concurrency: { db: 0 }\n", "orchd.yaml:1:20: concurrency.db must be at least 1"],
  [
    "orchestrators: { x: ./gone.ts }\n",
    "orchd.yaml:1:21: orchestrators.x names ./gone.ts, but gone.ts does not exist",
  ],
  ["orchestrators: { x: locl }\n", 'did you mean "local"?'],
  ["orchestrators: { x: './o.ts#Gone' }\n", "has no Gone export"],
  ["- list\n", "orchd.yaml must be a map"],
  ["page: { listn: x }\n", 'orchd.yaml:1:9: page.listn is not known here; did you mean "listen"?'],
  ["listen: x\n", "orchd.yaml:1:1: listen is not known here; it belongs under page"],
  ["page: true\n", "orchd.yaml:1:7: page must be a map of keys and values, not true"],
  ["page: { listen: 4114 }\n", "orchd.yaml:1:17: page.listen must be text"],
  ["page: { listen: '4114' }\n", 'page.listen is no place to listen: "4114" is no address'],
  ["page: { listen: '0.0.0.0:80' }\n", "1:17: page.listen is an address that other machines reach"],
  ["page: { base: orchd }\n", "orchd.yaml:1:15: page.base must be a path such as /orchd"],
])("refuses %j", async (text, message) => {
  const { errors } = await settings(text, { "o.ts": "export default class {}\n" });
  expect(errors[0]).toContain(message.replace("orchd.yaml must", "must"));
});

it("has a page where it says so", async () => {
  const page = async (text: string): Promise<unknown> => {
    const { result } = await settings(text);
    return result.ok ? result.settings.page : result.errors;
  };
  expect(await page("timezone: UTC\n")).toBeUndefined();
  expect(await page("page: {}\n")).toEqual({ requests: false, trustProxy: false });
  expect(await page("page: { listen: '127.0.0.1:4114', requests: true }\n")).toEqual({
    listen: "127.0.0.1:4114",
    requests: true,
    trustProxy: false,
  });
  const far = "page: { listen: '[::]:80', tokenFile: t, base: /o/page }\n";
  expect(await page(far)).toMatchObject({ listen: "[::]:80", tokenFile: "t", base: "/o/page" });
  expect(await page("page: { listen: '[::]:80', trustProxy: true }\n")).toMatchObject({
    trustProxy: true,
  });
});

it("is refused if others may write to it", async () => {
  expect((await settings("timezone: UTC\n", {}, 0o666)).errors).toEqual([
    expect.stringMatching(/^orchd\.yaml: may be written by everybody/),
  ]);
});

it("has the threads and the memory of runners, each by itself", async () => {
  const runnerOf = async (text: string): Promise<unknown> => {
    const { result } = await settings(`runner: ${text}\n`);
    return result.ok ? result.settings.runner : result.errors;
  };
  expect(await runnerOf("{ threads: 3, memoryMb: 64 }")).toEqual({ threads: 3, memoryMb: 64 });
  expect(await runnerOf("{ memoryMb: 64 }")).toEqual({ threads: 8, memoryMb: 64 });
  expect(await runnerOf("{ threads: 3 }")).toEqual({ threads: 3 });
});

it("leaves a bad module to the pipelines that name it, and no name that is none", async () => {
  const later = async (uses: string) => {
    const made = tempRoot({ "orchd.yaml": `orchestrators: { x: ${uses} }\n` });
    const bundles = join(made.runs, ".orchd/bundles");
    const result = await loadSettings(made.root, bundles, { modules: "later" });
    return result.ok
      ? { problems: result.problems.length, named: Object.keys(result.settings.orchestrators) }
      : { errors: result.errors.map(({ message }) => message) };
  };
  expect(await later("./gone.ts")).toEqual({ problems: 1, named: ["x"] });
  expect(await later("locl")).toEqual({
    errors: [expect.stringContaining('names "locl", which is neither local nor a module\'s path')],
  });
});

it.each([
  "telemetry: { endpont: http://x }\n",
  "concurrency: [{ group: db, limit: 0 }]\n",
  "- list\n",
  "telemetry: [\n",
])("a program that reads %j for its telemetry says what the daemon says of it", async (text) => {
  const { root, runs } = tempRoot({ "orchd.yaml": text });
  const result = await loadSettings(root, join(runs, ".orchd/bundles"));
  const [said] = result.ok ? [] : result.errors.map(formatProblem);
  expect(said).toMatch(/orchd\.yaml:\d/);
  expect(() => readTelemetrySettings(root)).toThrow(new Error(said));
});
