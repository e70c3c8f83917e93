/** How a step's error arrives in the ledger and on the terminal: its causes, and its places. */
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";
import { ask } from "../support/asked-command.ts";
import { daemonOver, type Daemon } from "../support/daemon.ts";
import type { PlainRun } from "../support/ledgers.ts";
import { ended, submit } from "../support/request.ts";
import type { TempRoot } from "../support/temp-root.ts";

interface SeenError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack: string;
  readonly cause?: SeenError;
  readonly errors?: readonly SeenError[];
}

const FILES: Record<string, string> = {
  "schedules/fetch.yaml": `params: { url: "" }
steps:
  ask:
    uses: ./steps/fetch.ts
    params: { url: "\${params.url}" }
    retry: { maxRetries: 2, on: [ECONNREFUSED] }
    hooks: { onFailure: ./steps/fetch.ts#told }
`,
  "schedules/steps/fetch.ts": `
export default async ({ params }: any) => (await fetch(params.url)).status;
export const told = ({ error }: any) => console.log("told", error.cause.code);\n`,
  "schedules/places.yaml": `hooks: { onFailure: ./steps/thrown.ts#hook }
steps:
  thrown: { uses: ./steps/thrown.ts }
  first: { uses: ./steps/first.ts }
  script: { uses: ./steps/script.cjs }
  late: { uses: ./steps/thrown.ts#late }
  loads: { uses: ./steps/loads.ts }
  printed: { uses: ./steps/thrown.ts#printed }
  own: { uses: ./steps/own.mjs, isolated: true }
`,
  "schedules/steps/lib/check.ts": `// one
// two
interface Row { n: number }
export function check(row: Row): number {
  if (row.n > 2) throw new RangeError("too big");
  return row.n;
}
`,
  "schedules/steps/thrown.ts": `import { check } from "./lib/check.ts";

export default async () => {
  try { check({ n: 5 }); } catch (cause) {
    throw new Error("no", { cause });
  }
};
export const late = async () => {
  void Promise.resolve().then(() => check({ n: 6 }));
  await new Promise((resolve) => setTimeout(resolve, 5_000));
};
export const hook = () => { check({ n: 7 }); };
export const printed = ({ log }: any) => {
  console.trace("here");
  try { check({ n: 8 }); } catch (error: any) {
    console.error(error);
    log.error("logged", error);
    return error.stack;
  }
};
`,
  "schedules/steps/first.ts":
    'export default () => { if (import.meta.url !== "") throw new Error("on line one"); };\n',
  "schedules/steps/script.cjs": `try { require("absent-addon"); } catch {}
module.exports = () => {
  null.member;
};
`,
  "schedules/steps/loads.ts": `import { check } from "./lib/check.ts";
export const n = check({ n: 9 });
export default () => n;
`,
  // A library may give stacks a format of its own, for good.
  "schedules/steps/own.mjs": `Error.prepareStackTrace = (error, frames) => "own " + frames[0];
export default () => {
  throw new Error("own");
};
`,
  "schedules/init.yaml": `hooks: { init: ./steps/thrown.ts#hook }
steps: { a: { run: "true" } }
`,
  "schedules/grown.ts": `import { dynamicPipeline, step } from "orchd";
import { check } from "./steps/lib/check.ts";

export const fails = step(async () => check({ n: 10 }));
export default dynamicPipeline({ name: "grown" }, async (run) => {
  try { await run.step(fails); } catch (cause) {
    throw new Error("the function", { cause });
  }
});
`,
  "schedules/broken.ts": `import { pipeline } from "orchd";
import { check } from "./steps/lib/check.ts";
check({ n: 11 });
export default pipeline({ name: "broken", steps: {} });
`,
};

/** A port of this machine that nothing listens on. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const errorsOf = (run: PlainRun): SeenError[] =>
  run.lines.filter(({ type }) => type === "step.failed").map(({ error }) => error as SeenError);

describe("a step's error", () => {
  let root: TempRoot;
  let daemon: Daemon;

  beforeAll(async () => {
    ({ root, daemon } = await daemonOver(FILES));
    return async () => void (await daemon.end());
  });

  it("is retried for what caused it, and shown with that everywhere", async () => {
    const url = `http://127.0.0.1:${await closedPort()}/`;
    const run = await ended(root.runs, await submit(root.runs, "fetch", { url }));
    const errors = errorsOf(run);
    expect(errors).toHaveLength(3);
    expect(errors[0]).toMatchObject({
      name: "TypeError",
      message: "fetch failed",
      cause: { code: "ECONNREFUSED", stack: expect.stringContaining("ECONNREFUSED") },
    });
    const said = /fetch failed \(cause: connect ECONNREFUSED 127\.0\.0\.1:\d+\)/;
    expect(run.lines.at(-1)).toMatchObject({ because: expect.stringMatching(said) });
    const status = await ask(root.root, "status", run.run);
    expect(status.stdout).toMatch(said);
    const { steps } = (await ask(root.root, "status", run.run, "--json")).json<{
      steps: { error: SeenError }[];
    }>();
    expect(steps[0]!.error.cause!.code).toBe("ECONNREFUSED");
    const logs = await ask(root.root, "logs", run.run);
    expect(logs.stdout).toContain("told ECONNREFUSED");
    expect(logs.stdout).toMatch(/ask failed:\n {2}TypeError: fetch failed\n/);
    expect(logs.stdout).toMatch(/\[cause\] .*connect ECONNREFUSED/);
    expect((await ask(root.root, "logs", run.run, "--json")).jsonLines()).toHaveLength(1);
    expect((await ask(root.root, "tail", "fetch")).stdout).toMatch(said);
  });

  it("names the user's own files and lines, wherever it is thrown and shown", async () => {
    const at = (place: string): string => join(root.schedules, "steps", place);
    const run = await ended(root.runs, await submit(root.runs, "places"));
    const failed = Object.fromEntries(
      run.lines
        .filter(({ type }) => type === "step.failed")
        .map(({ step, error }) => [step, error as SeenError]),
    );
    expect(failed["thrown"]!.stack).toMatch(`Error: no\n    at `);
    expect(failed["thrown"]!.stack).toContain(at("thrown.ts:5:11"));
    expect(failed["thrown"]!.cause!.stack).toMatch(/^RangeError: too big\n    at check \(/);
    expect(failed["thrown"]!.cause!.stack).toContain(at("lib/check.ts:5:24"));
    expect(failed["thrown"]!.cause!.stack).toContain(at("thrown.ts:4:9"));
    expect(failed["first"]!.stack).toContain(at("first.ts:1:58"));
    expect(failed["script"]!.stack).toContain(at("script.cjs:3:8"));
    expect(failed["late"]!.stack).toContain(at("thrown.ts:9:37"));
    expect(failed["loads"]!.stack).toContain(at("lib/check.ts:5:24"));
    expect(failed["loads"]!.cause!.stack).toContain(at("loads.ts:2:18"));
    expect(failed["own"]!.stack).toContain(at("own.mjs:3:9"));
    const hooks = run.lines.filter(({ type }) => type === "hook.failed");
    expect(hooks.length).toBeGreaterThan(0);
    for (const { error } of hooks)
      expect((error as SeenError).stack).toContain(at("thrown.ts:12:29"));
    const result = run.lines.find(
      ({ type, step }) => type === "step.completed" && step === "printed",
    )!["outputs"] as { result: string };
    expect(result.result).toContain(at("lib/check.ts:5:24"));
    const printed = (await ask(root.root, "logs", run.run, "printed")).stdout;
    expect(printed).toMatch(/Trace: here\n.*thrown\.ts:14:11/);
    expect(printed.split("lib/check.ts:5:24")).toHaveLength(3);
    expect((await ask(root.root, "logs", run.run, "thrown")).stdout).toContain(
      at("lib/check.ts:5:24"),
    );
    const init = await ended(root.runs, await submit(root.runs, "init"));
    const grown = await ended(root.runs, await submit(root.runs, "grown"));
    const ofFunction = grown.lines.find(({ type }) => type === "run.function_ended")!;
    expect((ofFunction["error"] as SeenError).stack).toContain("schedules/grown.ts:7:11");
    expect((ofFunction["error"] as SeenError).cause!.stack).toContain("grown.ts:4:");
    const validated = await ask(root.root, "validate", "schedules/broken.ts");
    expect(validated.stdout).toContain(`${at("lib/check.ts")}:5:24`.slice(root.root.length + 1));
    for (const one of [run, init, grown])
      expect(JSON.stringify(one.lines)).not.toMatch(/bundles\/[0-9a-f]{64}/);
  });
});
