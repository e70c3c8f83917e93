/**
 * Whole pipelines at a place, by real daemons: `orchestrator: PLACE` over SSH and over NATS, and a
 * pipeline whose steps are in containers. What a pipeline can do on this machine it can do there.
 *
 * The quick form tries it over SSH. FAULTS=1 tries it over NATS and in containers too: their parts
 * are in the suites of places.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { linesOf, type Line } from "../support/await-event.ts";
import { NODE_IMAGE } from "../support/test-engine.ts";
import { readyContainers, readyNodeImage, SKIP_CONTAINERS } from "../support/containers.ts";
import { orchd, startDaemon, type CommandResult } from "../support/daemon.ts";
import { fullFigures } from "../support/figures.ts";
import { NatsServer, SKIP_NATS } from "../support/nats-server.ts";
import { FarHost, readyNamespaces, SKIP_NAMESPACES } from "../support/sshd.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";
import { natsPlace, secretsFolder, WorkerProcess } from "../support/worker.ts";

/** The files of each root. `WHERE` is what leads a pipeline's steps to the place. */
const FILES = {
  "schedules/whole.yaml": `
WHERE
schedule: { cron: "0 4 * * *", catchUp: none }
params: { word: plain }
env: { LAYER: pipeline }
gracePeriod: 200ms
retry: { maxRetries: 1 }
hooks:
  init: ./steps/hooks.mjs#open
  cleanup: ./steps/hooks.mjs#close
  onSuccess: ./steps/hooks.mjs#ok
  onFailure: ./steps/hooks.mjs#alert
steps:
  make: { uses: ./steps/make.mjs, params: { word: "\${params.word}" } }
  size: { run: 'wc -c < "$ORCHD_INPUT_text" > "$ORCHD_OUTPUT"', inputs: { text: make } }
  nag: { run: '[ "$ORCHD_ATTEMPT" = 2 ] && printf "\\"%s\\"" "$LAYER" > "$ORCHD_OUTPUT"' }
  flaky: { uses: ./steps/flaky.mjs, after: [make] }
  near: { uses: ./steps/length.mjs, HERE, inputs: { text: make } }
`,
  "schedules/cached.yaml": `
WHERE
params: { word: a }
steps:
  make: { uses: ./steps/make.mjs, params: { word: "\${params.word}" } }
  far: { uses: ./steps/length.mjs, inputs: { text: make } }
`,
  "schedules/dynamic.mjs": `
import { dynamicPipeline, step } from "orchd";
export const double = step(async ({ inputs }) => inputs.n * 2);
export const sum = step(async ({ inputs }) => inputs.all.reduce((a, b) => a + b, 0));
export default dynamicPipeline({ name: "dynamic", WHERE }, async (run) => {
  const all = await run.map(double, { n: [1, 2, 3] });
  return run.step(sum, { inputs: { all } });
});
`,
  "schedules/stops.yaml": `
WHERE
gracePeriod: 200ms
steps:
  hears: { uses: ./steps/hears.mjs }
  deaf: { run: 'trap "" TERM; echo "deaf begins"; sleep 60 & wait; sleep 60' }
`,
  "schedules/fails.yaml": `
WHERE
gracePeriod: 100ms
steps:
  throws: { uses: ./steps/throws.mjs }
  slow: { uses: ./steps/hears.mjs, timeout: 200ms }
  slowShell: { run: sleep 30, timeout: 200ms }
  status: { run: 'echo oops >&2; exit 3' }
  good: { uses: ./steps/length.mjs, inputs: { text: word } }
  word: { uses: ./steps/make.mjs, params: { word: a } }
`,
  "schedules/steps/make.mjs": `
export default ({ params, log, run }) => {
  log.info("making", { attempt: run.attempt });
  return String(params.word).repeat(100_000);
};`,
  "schedules/steps/length.mjs": `export default ({ inputs }) => inputs.text.length;`,
  "schedules/steps/flaky.mjs": `
export default ({ run, state }) => {
  if (run.attempt < 2) throw new Error("not yet");
  return { attempt: run.attempt, token: state.token };
};`,
  "schedules/steps/hears.mjs": `
export default ({ signal, log }) => new Promise((resolve, reject) => {
  log.info("hears begins");
  const timer = setTimeout(resolve, 60_000);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(signal.reason);
  });
});`,
  "schedules/steps/throws.mjs": `
function deep() { throw new TypeError("no such host"); }
export default () => {
  try { deep(); } catch (cause) {
    throw Object.assign(new RangeError("too far", { cause }), { code: "E_FAR" });
  }
};`,
  "schedules/steps/hooks.mjs": `
import { appendFileSync } from "node:fs";
const did = (line) => appendFileSync("EFFECTS", line + "\\n");
export const open = () => { did("open"); return { token: 7 }; };
export const close = () => did("close");
export const ok = () => did("ok");
export const alert = () => did("alert");
`,
};

/** How a place is named, and reached. */
interface Where {
  /** What leads a pipeline's steps to it, as a key and its value. */
  readonly key: readonly [name: string, value: unknown];
  /** What keeps a step on this machine. */
  readonly here: string;
  /** Its name in `step.placed`. */
  readonly place: string;
  readonly settings?: string;
  readonly env?: Record<string, string>;
}

class PlacedRoot {
  readonly root: TempRoot;
  readonly #where: Where;

  constructor(where: Where) {
    this.#where = where;
    this.root = tempRoot({ "orchd.yaml": where.settings ?? "" });
    this.root.linkPackages();
    for (const path of Object.keys(FILES)) this.write(path as keyof typeof FILES);
  }

  /** Writes a file. @param isFar its steps are at the place */
  write(path: keyof typeof FILES, isFar = true): void {
    const { key, here } = this.#where;
    const where = isFar ? `${key[0]}: ${JSON.stringify(key[1])}` : "description: here";
    const text = FILES[path].replaceAll("WHERE", where).replaceAll("HERE", here);
    this.root.write(path, text.replaceAll("EFFECTS", join(this.root.root, "effects")));
  }

  ask(...words: string[]): Promise<CommandResult> {
    return orchd(this.root.root, ...words, { env: this.#where.env ?? {} });
  }

  /** Asks for a run. @returns its id */
  async run(...words: string[]): Promise<string> {
    const { stdout, stderr } = await this.ask(...words);
    if (!stdout.includes("@")) throw new Error(stderr);
    return /\S+@\S+/.exec(stdout)![0];
  }

  lines(run: string, ending = ".jsonl"): Line[] {
    const [, pipeline, year, month] = /^(.*)@(\d{4})(\d\d)/.exec(run)!;
    return linesOf(join(this.root.runs, pipeline!, `${year}-${month}`, `${run}${ending}`));
  }

  async ended(run: string): Promise<Ended> {
    const types = (): string[] =>
      this.lines(run).map(({ type, step }) => `${type} ${step as string}`);
    await expect
      .poll(types, { timeout: 120_000, interval: 100 })
      .toContain("run.finished undefined");
    return new Ended(this.lines(run));
  }

  effects(): string[] {
    return readFileSync(join(this.root.root, "effects"), "utf8").trim().split("\n");
  }
}

/** A run that has ended. */
class Ended {
  readonly lines: readonly Line[];

  constructor(lines: readonly Line[]) {
    this.lines = lines;
  }

  get status(): unknown {
    return this.lines.at(-1)!["status"];
  }

  of(type: string, step: string): Line | undefined {
    return this.lines.find((line) => line.type === type && line["step"] === step);
  }

  /** By step: how often it was placed. */
  get placed(): Record<string, number> {
    const placed: Record<string, number> = {};
    for (const { type, step } of this.lines as readonly (Line & { step?: string })[])
      if (type === "step.placed") placed[step!] = (placed[step!] ?? 0) + 1;
    return placed;
  }

  result(step: string): unknown {
    const { result } = (this.of("step.completed", step)?.["outputs"] ?? {}) as Line;
    return result;
  }
}

const WHOLE = { make: 1, size: 1, nag: 2, flaky: 2 };

async function runsWhole(root: PlacedRoot, { place }: Where): Promise<void> {
  const whole = await root.ended(await root.run("run", "whole", "--param", "word=ab"));
  expect(whole.status).toBe("completed");
  expect(whole.placed).toEqual(WHOLE);
  expect(whole.of("step.placed", "make")).toMatchObject({ place });
  expect(whole.result("size")).toBe(200_002);
  expect(whole.result("near")).toBe(200_000);
  expect(whole.result("nag")).toBe("pipeline");
  expect(whole.result("flaky")).toEqual({ attempt: 2, token: 7 });
  expect(root.effects()).toEqual(["open", "ok", "ok", "ok", "ok", "ok", "close"]);
  const run = String(whole.lines[0]!["run"]);
  expect(root.lines(run, ".log").map(({ line }) => line)).toEqual([
    expect.stringContaining("making"),
  ]);
  const { steps } = (await root.ask("status", run, "--json")).json<{ steps: Line[] }>();
  const placed = steps.map(({ step, placed: at }) => [
    step,
    (at as Line | null)?.["place"] ?? null,
  ]);
  expect(Object.fromEntries(placed)).toEqual({
    make: place,
    size: place,
    nag: place,
    flaky: place,
    near: null,
  });
}

/** @param isShared a result that was made here is used there, and the other way round */
async function caches(root: PlacedRoot, isShared: boolean): Promise<void> {
  const cached = (ended: Ended): boolean[] =>
    ["make", "far"].map((step) => ended.of("step.cached", step) !== undefined);
  const there = await root.ended(await root.run("run", "cached"));
  expect([cached(there), there.placed]).toEqual([[false, false], { make: 1, far: 1 }]);
  root.write("schedules/cached.yaml", false);
  expect(cached(await root.ended(await root.run("run", "cached")))).toEqual([isShared, isShared]);
  const words = ["run", "cached", "--param", "word=bc"];
  const here = await root.ended(await root.run(...words));
  expect([cached(here), here.placed]).toEqual([[false, false], {}]);
  root.write("schedules/cached.yaml");
  expect(cached(await root.ended(await root.run(...words)))).toEqual([isShared, isShared]);
}

async function runsDynamic(root: PlacedRoot): Promise<void> {
  const dynamic = await root.ended(await root.run("run", "dynamic"));
  expect(dynamic.placed).toEqual({ double: 1, double_2: 1, double_3: 1, sum: 1 });
  expect(dynamic.result("sum")).toBe(12);
}

async function stops(root: PlacedRoot): Promise<void> {
  const run = await root.run("run", "stops");
  await expect.poll(() => root.lines(run, ".log").length, { timeout: 30_000 }).toBe(2);
  expect((await root.ask("stop", run)).status).toBe(0);
  const types = (): string[] => root.lines(run).map(({ type, step }) => `${type} ${String(step)}`);
  // What hears the signal ends by itself. What does not is left alone until it is forced.
  await expect.poll(types, { timeout: 10_000 }).toContain("step.stopped hears");
  expect(types()).not.toContain("step.stopped deaf");
  expect((await root.ask("stop", run, "--force")).status).toBe(0);
  const ended = await root.ended(run);
  expect([ended.status, types()]).toEqual([
    "stopped",
    expect.arrayContaining(["step.stopped deaf"]),
  ]);
}

async function failsAndRunsAgain(root: PlacedRoot): Promise<void> {
  const fails = await root.ended(await root.run("run", "fails"));
  expect(fails.status).toBe("failed");
  const source = join(root.root.schedules, "steps/throws.mjs");
  expect(fails.of("step.failed", "throws")!["error"]).toMatchObject({
    name: "RangeError",
    message: "too far",
    code: "E_FAR",
    stack: expect.stringContaining(`at default (${source}:5:`) as string,
    cause: {
      name: "TypeError",
      message: "no such host",
      stack: expect.stringContaining(`at deep (${source}:2:`) as string,
    },
  });
  for (const step of ["slow", "slowShell"])
    expect(fails.of("step.failed", step)!["error"]).toMatchObject({ code: "ORCHD_STEP_TIMEOUT" });
  expect(fails.of("step.failed", "status")!["error"]).toMatchObject({
    message: "the command ended with status 3: oops",
    exitStatus: 3,
  });
  const again = await root.ended(
    await root.run("rerun", String(fails.lines[0]!["run"]), "--failed"),
  );
  expect(again.placed).toEqual({ throws: 1, slow: 1, slowShell: 1, status: 1 });
}

async function backfills(root: PlacedRoot): Promise<void> {
  const day = ["--from", "2026-11-03T00:00:00Z", "--to", "2026-11-03T12:00:00Z"];
  expect((await root.ask("backfill", "whole", ...day)).status).toBe(0);
  const filled = await root.ended("whole@20261103T040000Z-b1");
  expect([filled.status, filled.placed]).toEqual(["completed", WHOLE]);
}

/** Holds a place to all of it. @param isShared see {@link caches} */
async function doesAll(root: PlacedRoot, where: Where, isShared: boolean): Promise<void> {
  await runsWhole(root, where);
  await caches(root, isShared);
  await runsDynamic(root);
  await stops(root);
  await failsAndRunsAgain(root);
  await backfills(root);
}

const LONG = { timeout: 400_000 };
const ON_FAR = { key: ["orchestrator", "far"], here: "on: local", place: "far" } as const;

describe.skipIf(SKIP_NAMESPACES)("orchestrator: PLACE over SSH", () => {
  beforeAll(() => readyNamespaces());

  it("does what a pipeline does here", LONG, async () => {
    const far = await FarHost.start();
    const { labels: _, ...settings } = far.settings({ threads: 4 });
    const where = { ...ON_FAR, settings: `places: { far: ${JSON.stringify(settings)} }\n` };
    const root = new PlacedRoot(where);
    expect((await root.ask("place", "prepare", "far")).stderr).toBe("");
    const daemon = await startDaemon({ root: root.root.root });
    await doesAll(root, where, true);
    expect((await daemon.end()).status).toBe(0);
  });
});

describe.skipIf(SKIP_NATS || !fullFigures)("orchestrator: PLACE over NATS", () => {
  it("does what a pipeline does here", LONG, async () => {
    const nats = await NatsServer.start();
    const place = natsPlace(nats.url);
    const env = { CREDENTIALS_DIRECTORY: secretsFolder() };
    const where = { ...ON_FAR, settings: `places: { far: ${place} }\n`, env };
    const root = new PlacedRoot(where);
    const daemon = await startDaemon({ root: root.root.root, env });
    const worker = new WorkerProcess({ place, placeName: "far", words: ["--threads", "4"] });
    await worker.serves();
    await doesAll(root, where, true);
    expect((await daemon.end()).status).toBe(0);
    await nats.remove();
  });
});

describe.skipIf(SKIP_CONTAINERS || !fullFigures)("a container for each step", () => {
  beforeAll(() => {
    readyContainers();
    readyNodeImage();
  });

  it("does what a pipeline does here", LONG, async () => {
    const container = { image: NODE_IMAGE, pull: "never", network: "none" };
    const where = {
      key: ["container", container],
      here: "container: false",
      place: "podman",
    } as const;
    const root = new PlacedRoot(where);
    const daemon = await startDaemon({ root: root.root.root });
    // The image is part of a key: what was made here may not be what it would have made.
    await doesAll(root, where, false);
    expect((await daemon.end()).status).toBe(0);
  });
});
