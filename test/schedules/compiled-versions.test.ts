/** Compiled versions that outlive their process: what counts as the same, and what does not. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { DAY_MS } from "../../src/core/time.ts";
import { stopBundler } from "../../src/schedules/bundler.ts";
import { CompiledVersions } from "../../src/schedules/compiled-versions.ts";
import { loadPipelineFile, type LoadContext } from "../../src/schedules/load-file.ts";
import { loader, type Loader } from "./support.ts";

afterAll(stopBundler);

const SHELL = "schedule: { cron: '0 4 * * *' }\nsteps: { a: { run: 'true' } }\n";

/** A root whose files one process after the other loads. */
class Starts {
  readonly root: Loader;
  readonly path: string;

  constructor(files: Record<string, string>) {
    this.root = loader(files);
    this.path = join(this.root.runs, ".orchd/compiled");
    mkdirSync(dirname(this.path), { recursive: true });
  }

  /** Loads `p.yaml` as a new process would. @returns the result, and whether it was compiled */
  async load(more: Partial<LoadContext> = {}, settings = this.root.context.settings) {
    // The memory of this process goes by the settings' identity: a start reads its own.
    const own = { ...settings };
    const compiled = new CompiledVersions(this.path, own);
    const before = this.text;
    const context = { ...this.root.context, ...more, settings: own, compiled };
    const result = await loadPipelineFile(join(this.root.schedules, "p.yaml"), context);
    await compiled.close();
    return { result, kept: compiled, isWritten: this.text !== before };
  }

  get text(): string {
    return existsSync(this.path) ? readFileSync(this.path, "utf8") : "";
  }

  /** What is kept, made to say another tag: a load that gives it was not compiled. */
  mark(): void {
    const marked = new CompiledVersions(this.path, this.root.context.settings);
    const from = {
      path: join(this.root.schedules, "p.yaml"),
      realPath: join(this.root.schedules, "p.yaml"),
      text: readFileSync(join(this.root.schedules, "p.yaml"), "utf8"),
      settings: this.root.context.settings,
      now: this.root.context.now,
    };
    const version = marked.recall(from)!;
    marked.keep(from, { ...version, loaded: { ...version.loaded, tags: ["kept"] } });
    void marked.close();
  }

  /** Whether the next load gives what was kept. */
  async recalls(more: Partial<LoadContext> = {}, settings = this.root.context.settings) {
    const { result } = await this.load(more, settings);
    return result.ok && result.loaded.tags.includes("kept");
  }
}

async function marked(files: Record<string, string> = { "schedules/p.yaml": SHELL }) {
  const starts = new Starts(files);
  await starts.load();
  starts.mark();
  return starts;
}

it("a file that has not changed is not compiled again, and gives the same text", async () => {
  const starts = new Starts({ "schedules/p.yaml": SHELL });
  const first = await starts.load();
  expect(first.isWritten).toBe(true);
  const again = await starts.load();
  expect(again.isWritten).toBe(false);
  expect(JSON.stringify(again.result)).toBe(JSON.stringify(first.result));
  starts.mark();
  expect(await starts.recalls()).toBe(true);
  const { result } = await starts.load();
  if (!result.ok) throw new Error("it was refused");
  // One object where no param has a value: see snapshotFor.
  expect(result.loaded.snapshot).toBe(result.loaded.template);
});

it("a snapshot with values for params is kept beside its template", async () => {
  const starts = await marked({
    "schedules/p.yaml":
      "params: { who: you }\nsteps: { a: { run: 'true', params: { to: '${params.who}' } } }\n",
  });
  const { result } = await starts.load();
  if (!result.ok) throw new Error("it was refused");
  expect(result.loaded.tags).toEqual(["kept"]);
  expect(result.loaded.snapshot.steps[0]!.params).toEqual({ to: "you" });
  expect(result.loaded.template.steps[0]!.params).toEqual({ to: "${params.who}" });
});

it.each<[string, (starts: Starts) => Promise<boolean>]>([
  [
    "the text",
    (starts) => {
      starts.root.write("schedules/p.yaml", SHELL.replace("0 4", "0 5"));
      return starts.recalls();
    },
  ],
  [
    "the settings",
    (starts) => starts.recalls({}, { ...starts.root.context.settings, env: { A: "b" } }),
  ],
  ["the version's age", (starts) => starts.recalls({ now: starts.root.context.now + 30 * DAY_MS })],
  ["a clock that was ahead", (starts) => starts.recalls({ now: starts.root.context.now - 1 })],
  [
    "a byte of the line",
    (starts) => {
      writeFileSync(starts.path, starts.text.replace('"kept"', '"kepT"'));
      return starts.recalls();
    },
  ],
  [
    "a line that is cut",
    (starts) => {
      writeFileSync(starts.path, starts.text.slice(0, -1));
      return starts.recalls();
    },
  ],
])("%s decides whether a version holds", async (_, recalls) => {
  const starts = await marked();
  expect(await starts.recalls()).toBe(true);
  expect(await recalls(starts)).toBe(false);
});

it("a version holds to the end of its thirtieth day", async () => {
  const starts = await marked();
  expect(await starts.recalls({ now: starts.root.context.now + 30 * DAY_MS - 1 })).toBe(true);
});

it("another path with the same text is another version", async () => {
  const starts = await marked();
  starts.root.write("schedules/q.yaml", SHELL);
  const settings = { ...starts.root.context.settings };
  const compiled = new CompiledVersions(starts.path, settings);
  const other = await loadPipelineFile(join(starts.root.schedules, "q.yaml"), {
    ...starts.root.context,
    settings,
    compiled,
  });
  expect(other.ok && [other.loaded.name, other.loaded.tags]).toEqual(["q", []]);
});

it("a module that changed makes a new version, and so does one that is gone", async () => {
  const starts = await marked({
    "schedules/p.yaml": "steps: { a: { uses: ./a.ts } }\n",
    "schedules/a.ts": "export default () => 1;\n",
  });
  expect(await starts.recalls()).toBe(true);
  starts.root.write("schedules/a.ts", "export default () => 2;\n");
  const { result, isWritten } = await starts.load();
  expect([result.ok && result.loaded.tags, isWritten]).toEqual([[], true]);
  starts.root.write("schedules/p.yaml", "steps: { a: { uses: ./b.ts } }\n");
  starts.root.write("schedules/b.ts", "export default () => 1;\n");
  await starts.load();
  starts.mark();
  rmSync(join(starts.root.schedules, "b.ts"));
  expect((await starts.load()).result).toMatchObject({
    ok: false,
    errors: [{ line: 1, message: expect.stringContaining("there is no file") as string }],
  });
});

it("the orchestrator and the stack are asked each time", async () => {
  const starts = await marked();
  const asked: boolean[] = [];
  const refusal = { path: ["steps", "a"], message: "is refused" };
  const refused = await starts.load({
    refuses: (_, scheduled) => (asked.push(scheduled), Promise.resolve(refusal)),
  });
  // Once for what was kept, and once for the file, which knows the place.
  expect(asked).toEqual([true, true]);
  expect(refused.result).toMatchObject({ ok: false, errors: [{ line: 2, field: "steps.a" }] });
  const stacked = await starts.load({ stackEnv: () => Promise.resolve({ STACK: "s" }) });
  if (!stacked.result.ok) throw new Error("it was refused");
  const { tags, snapshot } = stacked.result.loaded;
  expect([tags, snapshot.stackEnv]).toEqual([["kept"], { STACK: "s" }]);
  // The stack is no part of what is kept.
  const plain = await starts.load();
  expect(plain.result.ok && plain.result.loaded.snapshot.stackEnv).toBeUndefined();
});

it("the memory of the process is asked first, and has what was kept", async () => {
  const starts = await marked();
  const settings = { ...starts.root.context.settings };
  const compiled = new CompiledVersions(starts.path, settings);
  const context = { ...starts.root.context, settings, compiled };
  const path = join(starts.root.schedules, "p.yaml");
  const first = await loadPipelineFile(path, context);
  await compiled.close();
  const again = await loadPipelineFile(path, context);
  expect(again).toBe(first);
});

it.each([
  ["a warning", "schedule: { cron: '0 4 29 2 *' }"],
  ["runOnceAt", "schedule: { runOnceAt: '2030-01-01T00:00:00Z' }"],
  ["endTime", "schedule: { cron: '0 4 * * *', endTime: '2030-01-01T00:00:00Z' }"],
  ["a text of more than 8 KiB", `# ${"x".repeat(8_192)}`],
])("a version with %s is not kept", async (_, line) => {
  const starts = new Starts({ "schedules/p.yaml": `${line}\nsteps: { a: { run: 'true' } }\n` });
  const { result, isWritten } = await starts.load();
  expect([result.ok, isWritten]).toEqual([true, false]);
});

it("a bad file, a file in code and the module of an orchestrator are not kept", async () => {
  const bad = new Starts({ "schedules/p.yaml": "steps: {}\nwrong: 1\n" });
  expect([(await bad.load()).isWritten, bad.text]).toEqual([false, ""]);
  const named = new Starts({
    "schedules/p.yaml": "orchestrator: ./mine.ts\nsteps: { a: { run: 'true' } }\n",
    "schedules/mine.ts": "export default class {}\n",
  });
  const { result, isWritten } = await named.load();
  expect([result.ok, isWritten]).toEqual([true, false]);
});

it("what this start needed is written, and what it did not is left out", async () => {
  const starts = await marked();
  const old = starts.text;
  starts.root.write("schedules/p.yaml", SHELL.replace("0 4", "0 5"));
  await starts.load();
  expect(starts.text.split("\n")).toHaveLength(2);
  expect(starts.text).not.toBe(old);
  expect(readdirSync(dirname(starts.path))).toEqual(
    ["bundles", "compiled"].filter((name) => existsSync(join(dirname(starts.path), name))),
  );
  expect(statSync(starts.path).mode & 0o777).toBe(0o640);
});

it("nothing is given or taken once it is closed, or with other settings", async () => {
  const starts = await marked();
  const { settings, now } = starts.root.context;
  const path = join(starts.root.schedules, "p.yaml");
  const from = { path, realPath: path, text: SHELL, settings, now };
  const compiled = new CompiledVersions(starts.path, settings);
  const version = compiled.recall(from)!;
  expect(version.loaded.tags).toEqual(["kept"]);
  expect(compiled.recall({ ...from, settings: { ...settings } })).toBeUndefined();
  compiled.keep({ ...from, settings: { ...settings }, text: "other" }, version);
  const before = starts.text;
  await compiled.close();
  expect(compiled.recall(from)).toBeUndefined();
  compiled.keep({ ...from, text: "other" }, version);
  await compiled.close();
  expect(starts.text).toBe(before);
});

it("at most 8 MiB are written, and a larger file is not read", async () => {
  const starts = await marked();
  const { settings, now } = starts.root.context;
  const path = join(starts.root.schedules, "p.yaml");
  const from = { path, realPath: path, text: SHELL, settings, now };
  const compiled = new CompiledVersions(starts.path, settings);
  const version = compiled.recall(from)!;
  const wide = { ...version.loaded, tags: ["x".repeat(60_000)] };
  for (let file = 0; file < 200; file += 1)
    compiled.keep({ ...from, text: String(file) }, { ...version, loaded: wide });
  const huge = { ...wide, tags: [...wide.tags, ...wide.tags] };
  compiled.keep({ ...from, text: "huge" }, { ...version, loaded: huge });
  await compiled.close();
  const { size } = statSync(starts.path);
  expect(size).toBeLessThanOrEqual(8_388_608);
  expect(size).toBeGreaterThan(8_200_000);
  const next = new CompiledVersions(starts.path, settings);
  expect(next.recall({ ...from, text: "0" })?.loaded.tags).toEqual(wide.tags);
  expect(next.recall({ ...from, text: "199" })).toBeUndefined();
  expect(next.recall({ ...from, text: "huge" })).toBeUndefined();
  writeFileSync(starts.path, starts.text + "x".repeat(8_388_608 - size + 1));
  const larger = new CompiledVersions(starts.path, settings);
  expect(larger.recall({ ...from, text: "0" })).toBeUndefined();
});

it("a file that cannot be read counts as none, and one that cannot be written fails", async () => {
  const starts = await marked();
  const { settings, now } = starts.root.context;
  const path = join(starts.root.schedules, "p.yaml");
  const from = { path, realPath: path, text: SHELL, settings, now };
  const { loaded, modules } = new CompiledVersions(starts.path, settings).recall(from)!;
  const nowhere = new CompiledVersions(join(starts.root.root, "none/compiled"), settings);
  expect(nowhere.recall(from)).toBeUndefined();
  nowhere.keep(from, { loaded, modules });
  await expect(nowhere.close()).rejects.toThrow("ENOENT");
});

it("what is given again is written beside what is new, and not where nothing is", async () => {
  const starts = new Starts({ "schedules/p.yaml": SHELL });
  const { result } = await starts.load();
  if (!result.ok) throw new Error("it was refused");
  const { settings, now } = starts.root.context;
  const of = (path: string, realPath = path) => ({ path, realPath, text: SHELL, settings, now });
  const process = async (given: readonly object[], taken: readonly string[]) => {
    const compiled = new CompiledVersions(starts.path, settings);
    const found = given.map((one) => compiled.recall(one as ReturnType<typeof of>) !== undefined);
    for (const path of taken) compiled.keep(of(path), { loaded: result.loaded, modules: {} });
    await compiled.close();
    return found;
  };
  await process([], ["/a", "/b"]);
  expect(await process([of("/a"), of("/b"), of("/c")], ["/c"])).toEqual([true, true, false]);
  const { ino, mtimeMs } = statSync(starts.path);
  expect(await process([of("/a"), of("/c")], [])).toEqual([true, true]);
  // Where a link leads is a part of what a version is made from.
  expect(await process([of("/a", "/elsewhere"), of("/b")], [])).toEqual([false, true]);
  expect(statSync(starts.path)).toMatchObject({ ino, mtimeMs });
});
