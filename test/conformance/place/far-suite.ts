/**
 * What each place must do whose tasks run in another process than the daemon's, perhaps on another
 * machine: a table of cases. A place adds a file that says how to open it, and declares what it
 * cannot do; then the suite holds it to that.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Json } from "../../../src/core/snapshot.ts";
import { FramedTask } from "../../../src/core/task-frame.ts";
import type { ModuleTask, OutputLine, TaskResult } from "../../../src/core/task.ts";
import type { DeathInfo, Place } from "../../../src/places/place.ts";
import { fullFigures } from "../../support/figures.ts";
import { shared } from "../../support/shared-subject.ts";
import { tempRoot } from "../../support/temp-root.ts";

/** What a place can do besides. Each that is false is refused with a sentence, or not tried. */
export interface FarDeclared {
  /** It takes several steps a lane at once. */
  readonly room: number;
  /** A limit of memory ends the step alone. */
  readonly limitsMemory: boolean;
  /** A bundle may import packages of this machine. */
  readonly hasPackages: boolean;
  /** It takes steps by their frame; the others are whole tasks there. */
  readonly takesFrames: boolean;
  /** Its tasks may write to the daemon's disk: a file there counts what they do. */
  readonly sharesDisk: boolean;
  /** What of it can be ended, by name: a worker, a link, a container. */
  readonly ends: readonly string[];
}

/** A place for one test, or for all that leave it whole (test/support/shared-subject.ts). */
export interface FarPlaceUnderTest {
  readonly place: Place;
  /** What each of its tasks has more: the labels or the container that lead there. */
  readonly more?: Partial<ModuleTask>;
  /** The daemon's folder of bundles. */
  readonly bundles: string;
  /** Makes an ES module the code of tasks: `bundle` is its name, `pick` is `export:EXPORT`. */
  module(name: string, text: string): void | Promise<void>;
  /** Ends something of what tasks run in: one of {@link FarDeclared.ends}. */
  end(what: string): void | Promise<void>;
}

const CODE = `
  export const echo = ({ params, inputs }) => ({ params, inputs });
  export const size = ({ params, inputs }) => JSON.stringify({ params, inputs }).length;
  export const grows = ({ params }) => ({ long: "x".repeat(params.length), short: 1 });
  export const fails = () => {
    const cause = new TypeError("no such host");
    throw Object.assign(new RangeError("too far", { cause }), { code: "E_FAR" });
  };
  export const prints = ({ params }) => {
    for (let line = 0; line < params.lines; line += 1) console.log("line " + line);
    process.stderr.write("half ");
    process.stderr.write("a line");
  };
  export const floods = () => {
    const text = "0123456789".repeat(100);
    for (let line = 0; line < 20000; line += 1) console.log(text);
    return "done";
  };
  export const tells = ({ env }) => {
    console.log("the word is " + process.env.WORD);
    throw new Error("never say " + process.env.WORD);
  };
  export const blocks = ({ log }) => { log.info("begun"); for (;;); };
  export const eats = async ({ log }) => {
    log.info("begun");
    const kept = [];
    for (;;) {
      kept.push(Buffer.alloc(8 << 20, 1));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  export const beats = async ({ params, log }) => {
    const { appendFileSync } = await import("node:fs");
    log.info("begun");
    for (;;) {
      if (params.path !== "") appendFileSync(params.path, ".");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
`;

interface Heard {
  readonly result?: TaskResult;
  readonly death?: DeathInfo;
  readonly durationMs?: number;
  readonly lines: readonly OutputLine[];
}

/** One case. */
interface Case {
  readonly does: string;
  /** It may break what it runs in: it has a place of its own. */
  readonly breaks?: true;
  /** Undefined: for every place. */
  readonly where?: (declared: FarDeclared) => boolean;
  run(rig: Rig): Promise<void>;
}

/** What a case uses. */
class Rig {
  readonly subject: FarPlaceUnderTest;
  readonly declared: FarDeclared;
  /** The daemon's folder of artifacts. */
  readonly artifacts = join(tempRoot().root, "artifacts");
  #ids = 1;

  constructor(subject: FarPlaceUnderTest, declared: FarDeclared) {
    this.subject = subject;
    this.declared = declared;
    mkdirSync(this.artifacts, { recursive: true });
  }

  start(
    does: string,
    own: Partial<ModuleTask> = {},
  ): { readonly id: string; readonly begun: Promise<unknown>; readonly heard: Promise<Heard> } {
    const task: ModuleTask = {
      kind: "module",
      code: { bundle: "far", pick: `export:${does}`, source: "./far.ts" },
      params: {},
      inputs: {},
      isolated: false,
      run: { id: "far@1", pipeline: "far", attempt: 2 },
      step: "it",
      env: {},
      gracePeriodMs: 200,
      artifacts: this.artifacts,
      ...this.subject.more,
      ...own,
    };
    return this.give(task);
  }

  give(task: ModuleTask): {
    readonly id: string;
    readonly begun: Promise<unknown>;
    readonly heard: Promise<Heard>;
  } {
    const id = `far@1#${(this.#ids += 1)}`;
    const lines: OutputLine[] = [];
    let begin!: (value: unknown) => void;
    const begun = new Promise((resolve) => (begin = resolve));
    const heard = new Promise<Heard>((resolve, reject) => {
      let over = false;
      const end = (what: Omit<Heard, "lines">): void => {
        if (over) reject(new Error(`${id} ended twice`));
        over = true;
        setTimeout(() => resolve({ ...what, lines }), 20);
      };
      this.subject.place.start(id, task, {
        done: (result, durationMs) => end({ result, durationMs }),
        died: (death) => end({ death }),
        output: (more) => {
          if (over) reject(new Error(`${id} printed after its end`));
          lines.push(...more);
          begin(undefined);
        },
      });
    });
    return { id, begun, heard };
  }

  /** Puts a value where ledgers keep long ones. */
  artifact(value: Json): { readonly $artifact: string; readonly bytes: number } {
    const bytes = Buffer.from(JSON.stringify(value));
    const $artifact = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(this.artifacts, $artifact), bytes);
    return { $artifact, bytes: bytes.length };
  }
}

const LONG = "ä".repeat(150_000);
const said = ({ lines }: Heard, stream: OutputLine["stream"]): string[] =>
  lines.filter((line) => line.stream === stream).map(({ line }) => line);

const CASES: readonly Case[] = [
  {
    does: "gives back the error that was thrown, with its stack and its cause",
    async run(rig) {
      const { result } = await rig.start("fails").heard;
      expect(result).toMatchObject({
        ok: false,
        outcome: "failed",
        error: {
          name: "RangeError",
          message: "too far",
          code: "E_FAR",
          stack: expect.stringContaining("fails") as string,
          cause: { name: "TypeError", message: "no such host" },
        },
      });
    },
  },
  {
    does: "names the user's own file and line in a stack, wherever the code ran",
    async run(rig) {
      const { bundle, source } = await mapped(rig.subject);
      const code = { bundle, pick: "export:it", source: "./it.ts" };
      const { result } = await rig.start("it", { code }).heard;
      expect(result).toMatchObject({
        error: { message: "here", stack: expect.stringContaining(`${source}:2:1`) as string },
      });
    },
  },
  {
    does: "gives output whole and in order, both streams",
    async run(rig) {
      const heard = await rig.start("prints", { params: { lines: 5_000 } }).heard;
      const lines = Array.from({ length: 5_000 }, (_, line) => `line ${line}`);
      expect(said(heard, "stdout")).toEqual(lines);
      expect(said(heard, "stderr")).toEqual(["half a line"]);
    },
  },
  {
    does: "keeps 8 MiB of an attempt's output, and goes on",
    async run(rig) {
      const heard = await rig.start("floods").heard;
      expect(heard.result).toEqual({ ok: true, value: "done" });
      const size = heard.lines.reduce((sum, { line }) => sum + line.length + 96, 0);
      expect(size).toBeLessThan(8.5 * 1024 * 1024);
      expect(said(heard, "orchd").at(-1)).toMatch(/the output is longer than 8 MiB/);
    },
  },
  {
    does: "takes params of more than 64 KiB",
    async run(rig) {
      const { result } = await rig.start("echo", { params: { long: LONG } }).heard;
      expect(result).toEqual({ ok: true, staged: expect.anything() as object });
    },
  },
  {
    does: "takes inputs that are in files, and in files within a file",
    async run(rig) {
      const inner = rig.artifact(LONG);
      const outer = rig.artifact({ inner, short: "text" });
      const stored = [
        { step: "a", outputs: { one: { ...inner } }, inputs: { first: "one" } },
        { step: "b", outputs: { ...outer }, inputs: { second: "inner", third: "short" } },
      ];
      const { result } = await rig.start("size", { stored }).heard;
      const inputs = { first: LONG, second: LONG, third: "text" };
      expect(result).toEqual({ ok: true, value: JSON.stringify({ params: {}, inputs }).length });
    },
  },
  {
    does: "gives a result of more than 64 KiB as files beside the artifacts, by their hash",
    async run(rig) {
      const params = { length: 3_000_000 };
      const { result } = await rig.start("grows", { params, outputs: ["long", "short"] }).heard;
      if (result?.ok !== true || !("staged" in result)) throw new Error(JSON.stringify(result));
      const [{ ref, file }] = result.staged.files as [(typeof result.staged.files)[0]];
      const bytes = readFileSync(file);
      expect(result.staged.value).toEqual({ long: ref, short: 1 });
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(ref.$artifact);
      expect(bytes.toString()).toBe(`"${"x".repeat(3_000_000)}"`);
      expect(file.startsWith(rig.artifacts)).toBe(true);
    },
  },
  {
    does: "runs steps of a frame, and forgets it",
    where: ({ takesFrames }) => takesFrames,
    async run(rig) {
      const { place } = rig.subject;
      const frame = {
        code: { bundle: "far", pick: "export:size", source: "./far.ts" },
        isolated: false,
        run: { id: "far@1", pipeline: "far" },
        env: {},
        gracePeriodMs: 200,
        artifacts: rig.artifacts,
      };
      const ref = rig.artifact(LONG);
      const stored = [{ step: "a", outputs: { one: { ...ref } }, inputs: { first: "one" } }];
      const parts = [
        { params: { n: 1 }, inputs: {} },
        { params: {}, inputs: {}, stored },
      ];
      const ended = parts.map(
        (each, at) => rig.give(new FramedTask(frame, `s${at}`, 1, each)).heard,
      );
      place.forget(frame);
      const results = (await Promise.all(ended)).map(({ result }) => result);
      const lengths = [
        { params: { n: 1 }, inputs: {} },
        { params: {}, inputs: { first: LONG } },
      ].map((value) => JSON.stringify(value).length);
      expect(results).toEqual(lengths.map((value) => ({ ok: true, value })));
    },
  },
  {
    does: "masks secrets in output and in errors",
    async run(rig) {
      const own = { env: { WORD: "hush-hush" }, secrets: ["hush-hush"] };
      const heard = await rig.start("tells", own).heard;
      expect(said(heard, "stdout")).toHaveLength(1);
      expect(heard.result).toMatchObject({ ok: false });
      expect(JSON.stringify(heard)).not.toContain("hush-hush");
    },
  },
  {
    does: "ends a step that blocks, at its time limit",
    async run(rig) {
      const { result } = await rig.start("blocks", { timeoutMs: 500 }).heard;
      expect(result).toMatchObject({
        ok: false,
        outcome: "timeout",
        error: { code: "ORCHD_STEP_TIMEOUT" },
      });
    },
  },
  {
    does: "ends a step that blocks, where it is stopped by force",
    async run(rig) {
      const task = rig.start("blocks");
      await task.begun;
      rig.subject.place.stop(task.id, "force", "a person asked");
      expect((await task.heard).result).toMatchObject({ ok: false, outcome: "stopped" });
    },
  },
  {
    does: "ends a step that holds more memory than it may, and says so",
    breaks: true,
    where: ({ limitsMemory }) => limitsMemory,
    async run(rig) {
      const { result } = await rig.start("eats", { memoryMb: 64 }).heard;
      expect(result).toMatchObject({ ok: false, error: { code: "ORCHD_OUT_OF_MEMORY" } });
    },
  },
  {
    does: "refuses code that needs a package of this machine, with a sentence",
    where: ({ hasPackages }) => !hasPackages,
    async run(rig) {
      const from = "file:///home/me/node_modules/left-pad/index.js";
      await rig.subject.module("pads", `import pad from "${from}"; export const it = () => pad;`);
      const code = { bundle: "pads", pick: "export:it", source: "./pads.ts" };
      const { result } = await rig.start("it", { code }).heard;
      expect(result).toMatchObject({
        ok: false,
        error: {
          code: "ORCHD_PLACE",
          message: expect.stringContaining("the package left-pad") as string,
        },
      });
    },
  },
  {
    does: "runs 500 steps, as many at once as it has room for",
    async run(rig) {
      const { place } = rig.subject;
      const results: unknown[] = [];
      let next = 0;
      const go = async (): Promise<void> => {
        while (next < 500) {
          const n = (next += 1);
          results.push((await rig.start("echo", { params: { n } }).heard).result);
        }
      };
      expect(Object.values(place.capacity()).some((room) => room > 0)).toBe(true);
      await Promise.all(Array.from({ length: rig.declared.room }, go));
      const numbers = results.map(
        (each) => (each as { value: { params: { n: number } } }).value.params.n,
      );
      expect(new Set(numbers).size).toBe(500);
    },
  },
];

/** A bundle that throws in line 2 of its source, which its map names from the folder of bundles. */
export async function mapped({
  module,
  bundles,
}: Pick<FarPlaceUnderTest, "module" | "bundles">): Promise<{
  readonly bundle: string;
  readonly source: string;
}> {
  const text =
    'const it = () => {\n  throw new Error("here");\n};\nexport { it, it as default };\n';
  const bundle = createHash("sha256").update(text).digest("hex");
  await module(bundle, text);
  const mappings = "AAAA;AACA;AACA;AACA";
  const map = { version: 3, names: [], mappings, sources: ["../mine/steps/it.ts"] };
  writeFileSync(join(bundles, `${bundle}.mjs.map`), JSON.stringify(map));
  return { bundle, source: resolve(bundles, map.sources[0]!) };
}

/** Holds a place to all of it. */
export function describeFarPlace(
  name: string,
  declared: FarDeclared,
  open: () => FarPlaceUnderTest | Promise<FarPlaceUnderTest>,
): void {
  const opened = async (): Promise<Rig> => {
    const subject = await open();
    await subject.module("far", CODE);
    return new Rig(subject, declared);
  };

  describe(`the place ${name}, far from the daemon,`, () => {
    const whole = shared(opened);
    const cases = CASES.filter(({ where }) => where?.(declared) ?? true);
    it.each(cases.map((each) => [each.does, each] as const))(
      "%s",
      async (_does, { run, breaks }) => {
        expect.hasAssertions();
        await run(await (breaks === true ? opened() : whole()));
      },
      60_000,
    );
  });

  describe(`the place ${name}, where something of it ends,`, () => {
    for (const [at, what] of declared.ends.entries())
      for (const phase of fullFigures ? PHASES : [PHASES[at % PHASES.length]!])
        it(`${what}, ${phase}, loses no task and leaves nothing behind`, async () => {
          expect.hasAssertions();
          await tryEnd(await opened(), what, phase);
        }, 90_000);
  });
}

/** The quick form tries one of them for each part, in turn; FAULTS=1 has it try all. */
const PHASES = ["before a step begins", "while a step runs", "with a result on the way"] as const;

async function tryEnd(rig: Rig, what: string, phase: (typeof PHASES)[number]): Promise<void> {
  const path = rig.declared.sharesDisk ? join(rig.artifacts, "beats") : "";
  const sizeNow = (): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (phase !== "before a step begins") await rig.start("echo").heard;
  const task =
    phase === "with a result on the way"
      ? rig.start("grows", { params: { length: 20_000_000 } })
      : rig.start("beats", { params: { path } });
  if (phase === "while a step runs") await task.begun;
  if (phase === "with a result on the way") await pause(100);
  await rig.subject.end(what);
  // One that was given nothing yet is started again by itself, and no task hears of it.
  if (phase === "before a step begins") {
    await Promise.race([task.heard, task.begun]);
    rig.subject.place.stop(task.id, "force", "enough");
  }
  const { result, death } = await task.heard;
  // Its result was quicker, or it was stopped.
  if (death === undefined)
    expect(result).toMatchObject(
      phase === "before a step begins" ? { outcome: "stopped" } : { ok: true },
    );
  else {
    expect(death.because).toMatch(/^the \w/);
    const size = sizeNow();
    await pause(500);
    expect(sizeNow()).toBe(size);
    const left = readdirSync(rig.artifacts).filter((name) => name.startsWith(".staged-"));
    expect(left).toEqual([]);
  }
  expect((await rig.start("echo").heard).result).toMatchObject({ ok: true });
}
