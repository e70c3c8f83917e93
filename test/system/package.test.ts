/**
 * What `npm pack` makes can be installed and run elsewhere, and its types hold without
 * skipLibCheck.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { transformSync } from "esbuild";
import { runProgram } from "../program/program-rig.ts";
import { readyContainers, readyNodeImage, SKIP_CONTAINERS } from "../support/containers.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { fullFigures } from "../support/figures.ts";
import { runsOf, type PlainRun } from "../support/ledgers.ts";
import { projectRoot, tempRoot } from "../support/temp-root.ts";
import type { TempRoot } from "../support/temp-root.ts";
import { NODE_IMAGE } from "../support/test-engine.ts";

/** A user of the public types. docs/ shows every name that is used here. */
const CONSUMER = `
import { dynamicPipeline, pipeline, step, BaseOrchestrator } from "orchd";
import type { StepContext } from "orchd";

export const read = step(async ({ params }: StepContext<{ path: string }>) => [params.path]);
export const count = step(
  async ({ inputs }: { inputs: { lines: string[] } }) => inputs.lines.length,
);

export default pipeline({
  name: "consumer",
  schedule: { cron: "@daily" },
  steps: {
    read: { uses: read, params: { path: "/etc/hostname" } },
    count: { uses: count, inputs: { lines: "read" } },
  },
});

export const decides = dynamicPipeline({ name: "decides" }, async (run) => {
  await run.step(read, { params: { path: "/etc/hostname" } });
});

// @ts-expect-error An unknown key is an error in the editor already.
pipeline({ name: "wrong", shedule: { cron: "@daily" }, steps: {} });

export abstract class Mine extends BaseOrchestrator {}
`;

/** The orchestrator of docs/orchestrators.md, compiled and run as the page shows it. */
const WALKED_THROUGH = /```ts\n(\/\/ schedules\/orchestrators\/custom\.ts\n[^]*?)```/.exec(
  readFileSync(join(projectRoot, "docs/orchestrators.md"), "utf8"),
)![1]!;

/** The programs of docs/programs.md: each names its file in its first line. */
const PROGRAMS: Readonly<Record<string, string>> = Object.fromEntries(
  [
    ...readFileSync(join(projectRoot, "docs/programs.md"), "utf8").matchAll(
      /```ts\n\/\/ (\S+\.ts)\n([^]*?)```/g,
    ),
  ].map(([, name, text]) => [`programs/${name!}`, `${text!}\nexport {};\n`]),
);

/** The program that was promised; test/program/surface.test.ts runs it. */
const PROMISED = readFileSync(join(projectRoot, "test/fixtures/promised-program.txt"), "utf8");

/** A step that needs what orchd's package needs, and says whose process it is in. */
const LEAP = `import { BaseOrchestrator, step } from "orchd";
export default step(async () => {
  console.log("leap of", process.getuid!(), typeof BaseOrchestrator);
});
`;

/** The ways in which TypeScript finds a package, with what else each needs. */
const RESOLUTIONS = {
  nodenext: { module: "nodenext" },
  node16: { module: "node16" },
  // Each declaration is read by itself where the quick form does so once: by nodenext.
  bundler: { module: "esnext", moduleResolution: "bundler", skipLibCheck: !fullFigures },
} as const;

/** A strict user's settings. */
const STRICT = {
  target: "es2023",
  lib: ["es2023", "esnext.disposable"],
  types: ["node"],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noEmit: true,
  skipLibCheck: false,
  allowImportingTsExtensions: true,
} as const;

const npm = (cwd: string, ...parameters: string[]): string =>
  execFileSync("npm", [...parameters, "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });

/** What was asked of a platform for jobs. */
interface Asked {
  readonly method: string;
  readonly url: string;
  readonly body: string;
}

/** A platform for jobs, whose only one is done when it is asked after for the second time. */
async function jobPlatform(): Promise<{ readonly asked: Asked[]; readonly endpoint: string }> {
  const asked: Asked[] = [];
  const backend = createServer((request, response) => {
    let body = "";
    request.on("data", (text: Buffer) => (body += text.toString()));
    request.on("end", () => {
      asked.push({ method: request.method!, url: request.url!, body });
      response.end(
        JSON.stringify(request.method === "POST" ? { jobId: "12345" } : { done: asked.length > 2 }),
      );
    });
  });
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    backend.close();
    backend.closeAllConnections();
  });
  const { port } = backend.address() as AddressInfo;
  return { asked, endpoint: `http://127.0.0.1:${port}/runs` };
}

/** Two steps that fail where they run here. */
const ELSEWHERE =
  "steps:\n  first: { run: 'exit 9', env: { OWN: '1' } }\n" +
  "  second: { run: 'exit 9', after: first }\n";

/** A run that the orchestrator of docs/orchestrators.md had, and what it asked of its platform. */
function checkSubmitted({ run, lines }: PlainRun, pipeline: string, asked: Asked[]): void {
  expect(lines.find(({ type }) => type === "submit.accepted")).toMatchObject({
    metadata: { jobId: "12345" },
    orchestratorRunId: `custom-${run}`,
  });
  expect(lines.filter(({ type }) => type === "step.completed").map(({ step }) => step)).toEqual([
    "first",
    "second",
  ]);
  expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
    "POST /runs",
    "GET /runs/12345",
    "GET /runs/12345",
  ]);
  const posted = JSON.parse(asked[0]!.body) as { steps: { environment: object }[] };
  const ids = {
    PATH: expect.any(String) as string,
    ORCHD_RUN_ID: run,
    ORCHD_ORCHESTRATOR_RUN_ID: `custom-${run}`,
    ORCHD_PIPELINE: pipeline,
    ORCHD_ATTEMPT: "1",
  };
  expect(posted).toMatchObject({
    pipeline,
    steps: [
      { id: "first", environment: { ...ids, OWN: "1", ORCHD_STEP: "first" } },
      { id: "second", environment: { ...ids, ORCHD_STEP: "second" } },
    ],
  });
  expect(posted.steps[1]!.environment).not.toHaveProperty("OWN");
}

describe("the package", () => {
  let elsewhere: TempRoot;
  let files: string[];

  beforeAll(() => {
    elsewhere = tempRoot({
      "package.json": JSON.stringify({ name: "elsewhere", private: true, type: "module" }),
      "consumer.ts": CONSUMER,
      ...Object.fromEntries(
        Object.entries(RESOLUTIONS).map(([name, resolution]) => [
          `tsconfig.${name}.json`,
          JSON.stringify({
            compilerOptions: { ...STRICT, ...resolution },
            files: ["consumer.ts", "schedules/orchestrators/custom.ts"],
            include: ["examples", "programs"],
          }),
        ]),
      ),
      ...PROGRAMS,
      "programs/promised.ts": `const params = {};\n${PROMISED}`,
      "schedules/orchestrators/custom.ts": WALKED_THROUGH,
      "schedules/hello.yaml":
        'steps:\n  greet: { uses: ./steps/greet.ts, params: { name: "${params.name}" } }\n' +
        '  shout: { run: \'printf "%s!" "$ORCHD_INPUT_text"\', inputs: { text: greet } }\n' +
        "params: { name: you }\n",
      "schedules/steps/greet.ts": `import { step } from "orchd";
export default step(
  async ({ params }: { params: { name: string } }) => \`hello \${params.name}\`,
);
`,
    });
    // --ignore-scripts: dist/ is built already, and other tests use it.
    const [packed] = JSON.parse(
      npm(projectRoot, "pack", "--json", "--ignore-scripts", "--pack-destination", elsewhere.root),
    ) as {
      filename: string;
      files: { path: string }[];
    }[];
    files = packed!.files.map(({ path }) => path);
    npm(elsewhere.root, "install", "--prefer-offline", `./${packed!.filename}`);
    cpSync(join(elsewhere.root, "node_modules/orchd/examples"), join(elsewhere.root, "examples"), {
      recursive: true,
    });
    mkdirSync(join(elsewhere.root, "node_modules/@types"), { recursive: true });
    for (const types of ["@types/node", "undici-types"])
      symlinkSync(
        join(projectRoot, "node_modules", types),
        join(elsewhere.root, "node_modules", types),
      );
  }, 120_000);

  const installed = (...parameters: string[]) =>
    spawnSync(join(elsewhere.root, "node_modules/.bin/orchd"), parameters, {
      cwd: elsewhere.root,
      encoding: "utf8",
      timeout: 25_000,
      env: { ...process.env, NO_COLOR: "1", ORCHD_ROOT: elsewhere.root },
    });

  it("holds what the documents name, and no test, no bench and no history", () => {
    for (const needed of [
      "LICENSE",
      "README.md",
      "CHANGELOG.md",
      "ARCHITECTURE.md",
      "SECURITY.md",
      "systemd/orchd.service",
      "docs/ledger.md",
      "examples/README.md",
      "examples/crontab/crontab",
      "dist/bin/orchd.js",
      "dist/src/index.d.ts",
    ]) {
      expect(files).toContain(needed);
    }
    expect(
      files.filter((file) =>
        /^(?:test|bench|runs|src|node_modules)\/|^dist\/(?:bench|\.)|^schedules\/data/.test(file),
      ),
    ).toEqual([]);
  });

  it("says which commands and which version it has", () => {
    const help = installed("--help");
    expect({ status: help.status, stderr: help.stderr }).toEqual({ status: 0, stderr: "" });
    for (const command of ["start", "status", "run", "stop", "logs", "tail", "validate"])
      expect(help.stdout).toContain(command);
    const { version } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as {
      version: string;
    };
    expect(installed("--version").stdout.trim()).toBe(version);
  });

  it("runs a pipeline of modules and shell steps", () => {
    const ran = installed("run", "hello", "-p", "name=there", "--foreground", "--json");
    expect({ status: ran.status, stderr: ran.status === 0 ? "" : ran.stderr }).toEqual({
      status: 0,
      stderr: "",
    });
    const runs = installed("runs", "hello", "--json");
    expect(runs.stdout).toContain('"completed"');
  });

  it.skipIf(SKIP_CONTAINERS)(
    "runs a module in a container",
    () => {
      readyContainers();
      readyNodeImage();
      elsewhere.write("schedules/steps/leap.ts", LEAP);
      elsewhere.write(
        "schedules/apart.yaml",
        "steps:\n  leap:\n    uses: ./steps/leap.ts\n" +
          `    container: { image: "${NODE_IMAGE}", network: none, user: 1000 }\n`,
      );
      const ran = installed("run", "apart", "--foreground");
      expect(ran.stdout).toContain("all steps ended well");
      expect(installed("logs", runsOf(elsewhere.runs, "apart").at(-1)!.run).stdout).toContain(
        "leap of 1000 function",
      );
    },
    120_000,
  );

  it("runs the orchestrator of docs/orchestrators.md, by path and by name", async () => {
    const { asked, endpoint } = await jobPlatform();
    const config = `{ apiEndpoint: "${endpoint}" }`;
    const uses = (from: string): string =>
      `{ uses: ${from}/orchestrators/custom.ts, config: ${config} }`;
    elsewhere.write("orchd.yaml", `orchestrators:\n  remote: ${uses("./schedules")}\n`);
    elsewhere.write("schedules/by-config.yaml", `orchestrator: ${uses(".")}\n${ELSEWHERE}`);
    elsewhere.write("schedules/by-name.yaml", `orchestrator: remote\n${ELSEWHERE}`);
    for (const pipeline of ["by-config", "by-name"]) {
      asked.length = 0;
      const ran = await orchd(elsewhere.root, "run", pipeline, "--foreground", "--json", {
        program: join(elsewhere.root, "node_modules/.bin/orchd"),
      });
      expect({ status: ran.status, stderr: ran.status === 0 ? "" : ran.stderr }).toEqual({
        status: 0,
        stderr: "",
      });
      checkSubmitted(runsOf(elsewhere.runs, pipeline).at(-1)!, pipeline, asked);
    }
    elsewhere.write(
      "schedules/misfit.yaml",
      `orchestrator: ./orchestrators/custom.ts\n${ELSEWHERE}`,
    );
    const misfit = installed("validate", join(elsewhere.schedules, "misfit.yaml"));
    expect(misfit.status).toBe(2);
    expect(`${misfit.stdout}${misfit.stderr}`).toMatch(
      /misfit\.yaml:1:\d+: orchestrator cannot be used: .*the config does not fit: apiEndpoint/,
    );
    rmSync(join(elsewhere.schedules, "misfit.yaml"));
  }, 90_000);

  it.each(["up", "down"])(
    "has a program run the orchestrator of docs/orchestrators.md, with the daemon %s",
    async (daemonIs) => {
      const { asked, endpoint } = await jobPlatform();
      const config = `{ apiEndpoint: "${endpoint}" }`;
      const uses = `{ uses: ./orchestrators/custom.ts, config: ${config} }`;
      const pipeline = `by-program-${daemonIs}`;
      elsewhere.write(`schedules/${pipeline}.yaml`, `orchestrator: ${uses}\n${ELSEWHERE}`);
      const { code } = transformSync(WALKED_THROUGH, { loader: "ts", target: "node20" });
      elsewhere.write("custom.mjs", code);
      const daemon = daemonIs === "up" ? await startDaemon({ root: elsewhere.root }) : undefined;
      const said = await runProgram(
        elsewhere,
        `
        import CustomOrchestrator from "./custom.mjs";
        await using root = await openRoot(".");
        const orchestrator = new CustomOrchestrator(${config});
        say(orchestrator.isRemote);
        const stack = new Stack({ name: "custom", orchestrator });
        const snapshot = await root.snapshot("${pipeline}");
        const placeholderRun = await root.placeholder(snapshot);
        const environments = { baseEnvironment: {}, stepEnvironments: {} };
        const submission = { snapshot, stack, ...environments, placeholderRun };
        const result = await orchestrator.submitPipeline(submission);
        await result?.waitForCompletion?.();
        say(await orchestrator.fetchStatus(placeholderRun, { includeSteps: true }));
      `,
      );
      await daemon?.end();
      rmSync(join(elsewhere.schedules, `${pipeline}.yaml`));
      expect(said).toEqual([
        true,
        { status: "completed", steps: { first: "completed", second: "completed" } },
      ]);
      checkSubmitted(runsOf(elsewhere.runs, pipeline).at(-1)!, pipeline, asked);
    },
  );

  // node16 finds a package as nodenext does.
  it.each(Object.keys(RESOLUTIONS).filter((name) => fullFigures || name !== "node16"))(
    "has types, examples and programs that hold for a strict user, by %s",
    (name) => {
      expect(Object.keys(PROGRAMS).length).toBeGreaterThan(1);
      const checked = spawnSync(
        process.execPath,
        [
          join(projectRoot, "node_modules/typescript/bin/tsc"),
          "-p",
          join(elsewhere.root, `tsconfig.${name}.json`),
        ],
        { encoding: "utf8", timeout: 60_000 },
      );
      expect({ status: checked.status, said: checked.stdout }).toEqual({ status: 0, said: "" });
    },
    60_000,
  );
});
