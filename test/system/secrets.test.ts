/**
 * Promise 32: a secret's value is given to its step and is nowhere at rest: not in a ledger, a log,
 * an artifact, an output or a file that is left behind.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { ask } from "../support/asked-command.ts";
import { startDaemon } from "../support/daemon.ts";
import { reached } from "../support/figures.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const CANARY = 'c4n4ry/"quoted"\\tail';
const KEY = "-----BEGIN KEY-----\nMIIEc4n4ryFirstLine\nMIIEc4n4rySecondLine\n-----END KEY-----";
const PIN = "8412094417733";
const LONG = "QXKZWVJHPLMNTRBDFGCS-abcdefghijklmnopqrstuvwxyz-0123456789-and-more-to-make-it-long";
/** Any of these in a file is a leak. */
const TRACES = [
  CANARY,
  JSON.stringify(CANARY).slice(1, -1),
  CANARY.replaceAll("\\", "\\\\"),
  encodeURIComponent(CANARY),
  Buffer.from(CANARY).toString("hex"),
  // Whole and behind "user:", without the characters that depend on what stands beside it.
  ...["", "user:"].map((before) =>
    Buffer.from(before + CANARY)
      .toString("base64url")
      .slice(before.length * 2, -4),
  ),
  "MIIEc4n4ryFirstLine",
  "MIIEc4n4rySecondLine",
  PIN,
  LONG.slice(0, 6),
  LONG.slice(3, 9),
];

const STEPS: Record<string, string> = {
  print: `const { TOKEN: t, KEY: k } = context.env;
    console.log("it is " + t);
    console.error(t);
    context.log.info(t, { t, [t]: [k] });
    console.log(k);`,
  split: `const t = context.env.TOKEN;
    process.stdout.write(t.slice(0, 5));
    await new Promise((go) => setTimeout(go, 20));
    process.stdout.write(t.slice(5));
    (await import("node:fs")).writeSync(2, t.slice(0, 9)); process.stderr.write(t.slice(9) + "\\n");
    process.stdout.write("x".repeat(65530) + t + "y".repeat(70000));`,
  children: `const { execSync, spawnSync, spawn } = await import("node:child_process");
    console.log(execSync('printf %s "$TOKEN"; printf %s "$KEY" >&2').toString());
    spawnSync("sh", ["-c", 'printf %s "$TOKEN"; printf %s "$KEY" >&2'], { stdio: "inherit" });
    const text = 'printf %s "$TOKEN"; printf "\\n%s" "$KEY"';
    await new Promise((done) =>
      spawn("sh", ["-c", text], { stdio: "inherit" }).on("close", done));`,
  params: `const { params, env } = context;
    console.log(params.token, JSON.stringify(params));
    if (params.token !== env.TOKEN || params.deep.list[0].key !== env.KEY)
      throw new Error("not given");`,
  returned: `const { TOKEN, KEY } = context.env;
    return { [TOKEN]: [TOKEN, KEY], long: TOKEN.repeat(20000) };`,
  thrown: `const { TOKEN, KEY } = context.env;
    const e = new Error("bad " + TOKEN);
    e.code = TOKEN;
    e.name = TOKEN;
    e.stack += KEY;
    throw e;`,
  rejected: `void Promise.reject(context.env.TOKEN + context.env.KEY);
    await new Promise((go) => setTimeout(go, 50));`,
  callback: `setTimeout(() => { throw new Error(context.env.KEY); }, 5);
    await new Promise(() => {});`,
  exits: `process.stdout.write(process.env.TOKEN); process.exit(1);`,
  digits: `const pin = Number(context.env.PIN);
    console.log(pin, { pin });
    context.log.info("pin", { pin });
    return { pin, list: [-pin, { pin }], text: context.env.PIN, half: pin * 10, [pin]: 1 };`,
  encoded: `const t = context.env.TOKEN;
    const forms = [
      Buffer.from(t).toString("base64"),
      Buffer.from("user:" + t).toString("base64url"),
      Buffer.from(t).toString("hex"),
      encodeURIComponent(t),
      JSON.stringify(JSON.stringify({ t })),
    ];
    console.log(forms.join(" "), { t });
    return { forms, long: forms.map((form) => form.repeat(2000)) };`,
  bytes: `const bytes = Buffer.from(context.env.LONG + "\\n");
    const fs = await import("node:fs");
    for (let at = 1; at < bytes.length; at += 1) {
      process.stdout.write(bytes.subarray(0, at));
      fs.writeSync(1, bytes, at, bytes.length - at);
    }`,
  parsed: `try { JSON.parse(context.env.LONG); } catch (error) {
      console.log(error);
      context.log.error("no JSON", error);
      throw error;
    }`,
  caused: `const { TOKEN, PIN, LONG } = context.env;
    const cause = Object.assign(new Error("Received '" + LONG.slice(0, 40) + "...'"), {
      code: Number(PIN),
    });
    const all = new AggregateError([new Error(TOKEN), PIN], "all", { cause });
    throw Object.assign(new Error("outer", { cause: all }), { code: Number(PIN), name: TOKEN });`,
  later: `setTimeout(() => console.log(context.env.TOKEN, process.env.PIN), 30).unref();
    setTimeout(() => { throw new Error(context.env.LONG); }, 60).unref();`,
  unserialisable: `return { [context.env.TOKEN]: () => 1 };`,
};
const SHELLS: Record<string, string> = {
  shell:
    'printf %s "$TOKEN"; printf %s "$KEY" >&2; cat "$ORCHD_PARAMS"; ' +
    'printf %s "$ORCHD_PARAM_token"; test "$ORCHD_PARAM_token" = "$TOKEN"; ' +
    'cat "$ORCHD_PARAM_deep"',
  shellsplit:
    `printf %.6s "$TOKEN"; sleep 0.05; printf '%s\\n' "$TOKEN" | cut -c7-; ` +
    'cat "$ORCHD_PARAMS" > "$ORCHD_OUTPUT"',
  shellwhere: `dirname "$ORCHD_PARAMS"`,
  shelldigits: 'printf %s "$PIN"; printf %s "$PIN" > "$ORCHD_OUTPUT"',
  shellobject: `printf '{"pin": [%s, "%s"]}' "$PIN" "$PIN" > "$ORCHD_OUTPUT"`,
  shellnojson: 'printf %s "$LONG" > "$ORCHD_OUTPUT"',
  shelltraced: 'set -x; : "$TOKEN" "$LONG"',
  shellfails: `printf 'no such token: %s\\n' "$TOKEN" >&2; exit 3`,
};

/** A passage of a text: what stands around a place in it. */
const around = (text: string, at: number): string => text.slice(Math.max(0, at - 200), at + 80);

describe("a secret", () => {
  it("is given to the step, and its value is left nowhere", { timeout: 120_000 }, async () => {
    const names = [...Object.keys(STEPS), ...Object.keys(SHELLS)];
    const body = (name: string): string =>
      name in STEPS ? `uses: ./steps/${name}.mjs` : `run: ${JSON.stringify(SHELLS[name])}`;
    const env = "{ TOKEN: { secret: token }, PIN: { secret: pin }, LONG: { secret: long } }";
    const secretParams = "{ token: { secret: token }, deep: { list: [{ key: { secret: key } }] } }";
    const root = tempRoot({
      "orchd.yaml": "env: { KEY: { secret: key } }\n",
      "schedules/canary.yaml": `enableCache: false
env: ${env}
retry: { maxRetries: 1 }
hooks:
  init: "./steps/hooks.mjs#open"
  onSuccess: "./steps/hooks.mjs#fine"
  onFailure: "./steps/hooks.mjs#bad"
  cleanup: "./steps/hooks.mjs#close"
steps:
${names.map((name) => `  ${name}: { ${body(name)}, params: ${secretParams} }\n`).join("")}`,
      "schedules/dynamic.ts": `import { dynamicPipeline, step } from "orchd";
const echo = step(
  async ({ params, inputs, env }) => {
    console.log(env.TOKEN, params, inputs);
    return inputs;
  },
  { name: "echo" },
);
const settings = { name: "dynamic", env: { TOKEN: { secret: "token" } } };
export default dynamicPipeline(settings, async (run) => {
  console.log(run.env.TOKEN);
  await run.step(echo, { inputs: { x: run.env.TOKEN }, params: { y: run.env.TOKEN } });
  throw new Error(run.env.TOKEN);
});`,
      "schedules/steps/hooks.mjs": `const tell = (name) => (context) => {
  console.log(name, context.env.TOKEN, JSON.stringify(context));
  if (name !== "open") throw new Error(context.env.TOKEN);
  return { of: context.env.TOKEN };
};
export const open = tell("open");
export const fine = tell("fine");
export const bad = tell("bad");
export const close = tell("close");`,
      ...Object.fromEntries(
        Object.entries(STEPS).map(([name, body]) => [
          `schedules/steps/${name}.mjs`,
          `export default async (context) => { ${body} };`,
        ]),
      ),
    });
    root.linkPackages();
    const credentials = join(root.root, "credentials");
    mkdirSync(credentials, { mode: 0o700 });
    writeFileSync(join(credentials, "token"), `${CANARY}\n`);
    writeFileSync(join(credentials, "key"), `${KEY}\n`);
    writeFileSync(join(credentials, "pin"), PIN);
    writeFileSync(join(credentials, "long"), `${LONG}\n`);
    const daemon = await startDaemon({
      root: root.root,
      env: { CREDENTIALS_DIRECTORY: credentials },
    });
    for (const pipeline of ["canary", "dynamic"]) {
      await ask(root.root, "run", pipeline);
      await awaitSight(
        root.runs,
        () => runsOf(root.runs, pipeline).find((run) => outcomeOf(run) !== undefined),
        `an end of ${pipeline}`,
        60_000,
      );
    }
    const [run] = runsOf(root.runs, "canary");
    const ended = Object.fromEntries(
      names.map((name) => [
        name,
        run!.lines.findLast((line) => line["step"] === name && line.type.startsWith("step."))?.type,
      ]),
    );
    const failing = new Set([
      "thrown",
      "rejected",
      "callback",
      "exits",
      "parsed",
      "caused",
      "shellnojson",
      "unserialisable",
      "shellfails",
    ]);
    expect(ended).toEqual(
      Object.fromEntries(
        names.map((name) => [name, failing.has(name) ? "step.failed" : "step.completed"]),
      ),
    );
    const printed = (await ask(root.root, "logs", run!.run)).stdout;
    const told = (await ask(root.root, "status", run!.run, "--json")).stdout;
    await daemon.end();
    // The files of shell steps are in memory, and are removed when the runner ends.
    const [scratch] = /\/dev\/shm\/\S+/.exec(printed) ?? [];
    if (existsSync("/dev/shm"))
      await awaitSight(
        "/dev/shm",
        () => (scratch !== undefined && !existsSync(scratch) ? true : undefined),
        `an end of ${scratch}`,
      );
    const places: Record<string, string> = {
      "the daemon's log": daemon.stderr(),
      "orchd logs": printed,
      "orchd status": told,
    };
    for (const entry of readdirSync(root.runs, { recursive: true, withFileTypes: true }))
      // Newer Nodes follow links to folders, and one of them leads to the package.
      if (entry.isFile() && realpathSync(entry.parentPath).startsWith(realpathSync(root.runs)))
        places[join(entry.parentPath, entry.name)] = readFileSync(
          join(entry.parentPath, entry.name),
          "latin1",
        );
    expect(printed).toContain("***");
    const leaks = Object.entries(places).flatMap(([place, text]) =>
      TRACES.filter((trace) => text.includes(trace)).map(
        (trace) => `${trace} in ${place}: ${around(text, text.indexOf(trace))}`,
      ),
    );
    reached(
      32,
      "places without a trace of the secrets",
      Object.keys(places).length - new Set(leaks).size,
      Object.keys(places).length,
    );
    expect(leaks).toEqual([]);
  });
});
