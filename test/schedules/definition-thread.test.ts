/**
 * A large definition is read in a thread, and comes out in pieces. What comes out is the same as
 * what is read here. The thread is the built program's.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { DefinitionThread } from "../../src/schedules/definition-thread.ts";
import { loadPipelineFile } from "../../src/schedules/load-file.ts";
import { loader } from "./support.ts";

const lines = (count: number, of: (n: number) => string): string =>
  Array.from({ length: count }, (_, n) => `  s${n}: ${of(n)}`).join("\n");

const FILES: Record<string, string> = {
  "shell.yaml": `description: "many"\nsteps:\n${lines(900, () => '{ run: "true" }')}\n`,
  "params.yaml":
    `params: { a: 1, b: "two" }\nenv: { X: "\${params.b}" }\nsteps:\n` +
    lines(900, (n) =>
      n % 3 === 0
        ? `{ run: "true", params: { p: "\${params.a}" } }`
        : `{ run: "true", after: [s${n - 1}] }`,
    ),
  "modules.json": JSON.stringify({
    schedule: { cron: "0 5 * * *" },
    steps: Object.fromEntries(
      Array.from({ length: 900 }, (_, n) => [`s${n}`, { uses: `./m.mjs#${n % 2 ? "a" : "b"}` }]),
    ),
  }),
  "code.mjs": `const one = () => 1;
export default { kind: "pipeline", definition: { steps: Object.fromEntries(
  Array.from({ length: 900 }, (_, n) => ["s" + n, { uses: one, params: { n } }])) } };
`,
};
const BAD: Record<string, string> = {
  "words.yaml": `steps:\n${lines(900, (n) => (n % 300 === 7 ? "{ runs: x }" : "{ run: x }"))}\n`,
  "yaml.yaml": `steps:\n${lines(900, () => '{ run: "true" }')}\n  s: { run: a: b }\n`,
  "export.yaml":
    `steps:\n${lines(400, () => '{ run: "true" }')}\n` +
    `  t: { uses: "./m.mjs#c" }\n  u: { uses: "./m.mjs#c" }\n  v: { uses: "n.mjs", after: [w] }\n`,
  "broken.yaml": `steps:\n${lines(400, () => '{ run: "true" }')}\n  t: { uses: "./broken.mjs" }\n`,
  "refused.yaml": `executionMode: fail_fast\nsteps:\n${lines(400, () => '{ run: "true" }')}\n`,
  "code-bad.mjs": `export default { kind: "pipeline", definition: { steps: Object.fromEntries(
  Array.from({ length: 900 }, (_, n) => ["s" + n, { run: "true", timout: 1 }])) } };
`,
};

describe("a definition that is read in a thread", () => {
  const open = (): {
    readonly load: (name: string, threaded: boolean) => Promise<unknown>;
    readonly thread: DefinitionThread;
    readonly root: ReturnType<typeof loader>;
    readonly read: string[];
  } => {
    const modules = {
      "m.mjs": "export const a = () => 1;\nexport const b = () => 2;\n",
      "broken.mjs": "export const a = ;\n",
    };
    const root = loader(
      Object.fromEntries(
        Object.entries({ ...FILES, ...BAD, ...modules }).map(([name, text]) => [
          `schedules/${name}`,
          text,
        ]),
      ),
    );
    const thread = new DefinitionThread();
    onTestFinished(() => thread.close());
    const read: string[] = [];
    const load = (name: string, threaded: boolean): Promise<unknown> =>
      loadPipelineFile(join(root.schedules, name), {
        ...root.context,
        // Other settings: or the result that is remembered would be given.
        settings: { ...root.context.settings },
        refuses: ({ executionMode }) =>
          Promise.resolve(
            executionMode === "fail_fast"
              ? { path: ["executionMode"], message: "is refused here" }
              : undefined,
          ),
        readerOf: threaded
          ? (file) => {
              read.push(file);
              return thread.readerOf(file);
            }
          : undefined,
      });
    return { load, thread, root, read };
  };

  it("is the same as one that is read here", { timeout: 60_000 }, async () => {
    const { load, root, read } = open();
    for (const name of Object.keys(FILES)) {
      const there = (await load(name, true)) as { readonly ok: boolean };
      expect(there.ok).toBe(true);
      const here = await load(name, false);
      expect(there).toEqual(JSON.parse(JSON.stringify(here)));
      expect(read).toContain(join(root.schedules, name));
    }
  });

  it("has the same faults, at the same places", { timeout: 60_000 }, async () => {
    const { load, root, read } = open();
    for (const name of Object.keys(BAD)) {
      const there = (await load(name, true)) as { readonly ok: boolean };
      expect(there.ok).toBe(false);
      expect(there).toEqual(await load(name, false));
      expect(read).toContain(join(root.schedules, name));
    }
  });

  it("are many at once", { timeout: 60_000 }, async () => {
    const { load } = open();
    const names = [...Object.keys(FILES), ...Object.keys(FILES)];
    const all = await Promise.all(names.map((name) => load(name, true)));
    for (const [index, name] of names.entries())
      expect(all[index]).toEqual(JSON.parse(JSON.stringify(await load(name, false))));
  });

  it("fails with a sentence once its thread has ended", { timeout: 60_000 }, async () => {
    const { thread } = open();
    const reader = thread.readerOf("/x/y.yaml");
    await reader.read({ kind: "yaml", text: 'steps: { a: { run: "true" } }\n' });
    await thread.close();
    await expect(async () => reader.locate([])).rejects.toThrow(
      "the thread that read the file has ended meanwhile",
    );
    reader.end();
  });

  it("comes back from the file in which it was kept", { timeout: 60_000 }, async () => {
    const { load, thread, root } = open();
    const { loaded } = (await load("params.yaml", false)) as { readonly loaded: object };
    const path = join(root.root, "kept.json");
    writeFileSync(path, JSON.stringify(loaded));
    expect(await thread.kept(path)).toEqual(JSON.parse(JSON.stringify(loaded)));
    await expect(thread.kept(`${path}.not`)).rejects.toThrow("ENOENT");
  });
});
