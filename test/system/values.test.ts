/**
 * Values arrive as they were written, or are refused with a sentence: what a shell step writes and
 * is given, environments, and what is too large for one. docs/semantics.md 16, 17b, 17c.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { linesOf } from "../support/await-event.ts";
import { ask } from "../support/asked-command.ts";
import { orchd, orchdProgram } from "../support/daemon.ts";
import { runsOf, type PlainRun } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const LONG = "x".repeat(30_000);

interface Ran {
  readonly run: PlainRun;
  /** How a step ended: its result, or its error's message. */
  end(step: string): unknown;
  printed(step: string): string[];
}

async function runInFront(
  root: TempRoot,
  pipeline: string,
  env: Record<string, string> = {},
): Promise<Ran> {
  await orchd(root.root, "run", pipeline, "--foreground", { env });
  const run = runsOf(root.runs, pipeline).at(-1)!;
  return {
    run,
    end: (step) => {
      const line = run.lines.find(
        (one) => one["step"] === step && /^step\.(completed|failed)$/.test(one.type),
      );
      return line?.type === "step.completed"
        ? (line["outputs"] as { result: unknown }).result
        : (line?.["error"] as { message: string } | undefined)?.message;
    },
    printed: (step) =>
      linesOf(run.path.replace(/\.jsonl$/, ".log"))
        .filter((line) => line["step"] === step)
        .map((line) => String(line["line"])),
  };
}

it("a result is kept as a command wrote it, or the step says what is altered", async () => {
  const write = (octal: string): string =>
    `  run: "printf '${octal.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}' > $ORCHD_OUTPUT"`;
  const texts: Record<string, string> = {
    whole: "1285704473650888702",
    member: '{"id": 9007199254740993}',
    latin: '"caf\\351"',
    infinite: "1e400",
    minus: "[-0]",
    digits: "0.33333333333333333333",
    twice: '{"a": 1, "a": 2}',
    nan: "NaN",
    text: "hello world",
    zeros: "007",
    safe: "9007199254740991\\n",
    quoted: '"1285704473650888702"\\r\\n',
    mark: '\\357\\273\\277"caf\\303\\251"',
    half: '"\\\\ud800"',
    proto: '{"__proto__": 1.50}',
  };
  const root = tempRoot({
    "schedules/p.yaml": `steps:\n${Object.entries(texts)
      .map(([name, text]) => ` ${name}:\n${write(text)}\n`)
      .join("")}`,
  });
  const { end } = await runInFront(root, "p");
  const wrote = (step: string): string => `step "${step}" wrote something to $ORCHD_OUTPUT that `;
  expect(end("whole")).toBe(
    `${wrote("whole")}holds the number 1285704473650888702, ` +
      "which would become 1285704473650888700: put it in quotes, so that it is kept as a text",
  );
  expect(end("member")).toContain("9007199254740993, which would become 9007199254740992");
  expect(end("latin")).toContain(`${wrote("latin")}is not UTF-8`);
  expect(end("infinite")).toContain("1e400, which would become no number at all");
  expect(end("minus")).toContain("holds -0, which would become 0");
  expect(end("digits")).toContain("which would become 0.3333333333333333:");
  expect(end("twice")).toContain('has the key "a" twice in one map');
  for (const step of ["nan", "text", "zeros"]) expect(end(step)).toContain("is not JSON");
  expect(end("text")).toContain('it begins with "hello world"');
  expect(end("safe")).toBe(9007199254740991);
  expect(end("quoted")).toBe("1285704473650888702");
  expect(end("mark")).toBe("café");
  expect(end("half")).toBe("\ud800");
  expect(JSON.stringify(end("proto"))).toBe('{"__proto__":1.5}');
});

it("a variable of env holds the word that stands in the file", async () => {
  const words = ["012345678901", "1.10", "12345e6", "0755", "1285704473650888702", "true", "True"];
  words.push("2026-11-28", "0x1F", "1_000", "-0", ".inf", "no", "+5");
  const env = (from: number): string =>
    words.map((word, index) => `V${from + index}: ${word}`).join(", ");
  const root = tempRoot({
    "orchd.yaml": `env: { ${env(100)} }\n`,
    "schedules/p.yaml": `env: &shared { ${env(200)} }
steps: { s: { run: "env", env: { ${env(300)}, <<: *shared, V200: 0.0 } } }
`,
    "schedules/j.json": '{"env": {"V1": 1.10, "V2": 1e3}, "steps": {"s": {"run": "env"}}}',
  });
  const printed = (await runInFront(root, "p")).printed("s");
  for (const from of [100, 200, 300])
    for (const [index, word] of words.entries())
      expect(printed).toContain(`V${from + index}=${from + index === 200 ? "0.0" : word}`);
  const fromJson = (await runInFront(root, "j")).printed("s");
  expect(fromJson).toEqual(expect.arrayContaining(["V1=1.10", "V2=1e3"]));
});

it("inputs, a text and a value that are too large become files or are refused", async () => {
  const names = Array.from({ length: 100 }, (_, index) => `o${index + 1}`);
  const root = tempRoot({
    "schedules/fan.yaml": `steps:
  make: { uses: ./steps/make.mjs, outputs: [${names.join()}] }
  use:
    run: |
      files=$(env | grep -c '^ORCHD_INPUT_.*[.]json$')
      echo "$files $(env | grep '^ORCHD_INPUT_' | wc -c) $(head -c 9 $ORCHD_INPUT_o7)"
    inputs: { ${names.map((name) => `${name}: make.${name}`).join(", ")} }
`,
    "schedules/steps/make.mjs": `export default () => Object.fromEntries(
  Array.from({ length: 100 }, (_, n) => ["o" + (n + 1), (n === 6 ? "yy" : "") + "${LONG}"]));`,
    "schedules/text.yaml": `steps:
  s:
    run: |
      cat <<END | wc -c
${`      ${"ä".repeat(99)}\n`.repeat(750)}      END
      exit 3
  python:
    shell: [/usr/bin/env, bash]
    run: "x=(a b); echo \${x[1]} # ${LONG.repeat(4)}"
`,
    "schedules/param.yaml": `params: { big: ${"q".repeat(140_000)} }
steps: { s: { run: "true", env: { BIG: "\${params.big}" } } }\n`,
    "schedules/given.yaml": `params: { big: "" }
steps: { s: { run: "true", env: { BIG: "\${params.big}\${params.big}" } } }\n`,
    "schedules/value.yaml": `env: { BIG: ${"q".repeat(140_000)} }\nsteps: { s: { run: "true" } }\n`,
    "schedules/many.yaml": `params: { p: ${"q".repeat(11_000)} }
env: { ${names.map((name) => `${name}: "\${params.p}"`).join(", ")} }
steps: { s: { run: "true" } }\n`,
  });
  const fan = (await runInFront(root, "fan")).printed("use")[0]!;
  const [files, bytes, start] = fan.split(" ");
  expect(Number(files)).toBeGreaterThan(80);
  expect(Number(files)).toBeLessThan(90);
  expect(Number(bytes)).toBeLessThan(540 * 1024);
  expect(start).toBe('"yyxxxxxx');
  const text = await runInFront(root, "text");
  expect(text.printed("s")).toEqual([String(199 * 750)]);
  expect(text.end("s")).toContain("status 3");
  expect(text.printed("python")).toEqual(["b"]);
  for (const [name, said] of [
    ["value", "env.BIG has 140004 bytes with its name"],
    ["param", "steps.s.env.BIG has 140004 bytes with its name"],
    ["many", "env has 1100392 bytes in all"],
  ] as const) {
    const checked = await ask(root.root, "validate", `schedules/${name}.yaml`);
    expect(checked).toMatchObject({ status: 2 });
    expect(checked.stdout).toContain(said);
  }
  const given = ["run", "given", "--foreground", "-p", `big=${"q".repeat(70_000)}`];
  const refused = await orchd(root.root, ...given);
  expect(refused.status).not.toBe(0);
  expect(refused.stderr).toContain("steps.s.env.BIG has 140004 bytes with its name");
});

it("a command is tried again for the statuses that retry.on lists", async () => {
  const step = (status: number): string =>
    `{ run: "exit ${status}", retry: { maxRetries: 1, on: ["exit:75", "exit:111"] } }`;
  const root = tempRoot({
    "schedules/p.yaml": `steps:
  { a: ${step(75)}, b: ${step(2)}, c: ${step(111)}, d: ${step(175)} }
`,
    "schedules/q.yaml": 'steps: { a: { run: "true", retry: { on: "exit:300" } } }\n',
  });
  const { run } = await runInFront(root, "p");
  const attempts = (id: string): number =>
    run.lines.filter((line) => line.type === "step.started" && line["step"] === id).length;
  expect(["a", "b", "c", "d"].map(attempts)).toEqual([2, 1, 2, 1]);
  const failed = run.lines.find((line) => line.type === "step.failed" && line["step"] === "b");
  expect(failed!["error"]).toMatchObject({ code: "ORCHD_EXIT_STATUS", exitStatus: 2 });
  const bad = await ask(root.root, "validate", "schedules/q.yaml");
  expect(bad).toMatchObject({ status: 2 });
  expect(bad.stdout).toContain("must name a status from 1 to 255 after exit:, as in exit:75");
});

it("what a command says last is a reason without escapes, and without its secrets", async () => {
  const root = tempRoot({
    "schedules/p.yaml": `steps:
  red: { run: 'printf "\\033[31mno \\033]0;title\\007such host\\033[0m\\n" >&2; exit 1' }
  split:
    run: 'printf "%s\\033[0m%s\\n" "$(echo $T | cut -c1-4)" "$(echo $T | cut -c5-)" >&2; exit 1'
    env: { T: { secret: token } }
  lost: { run: "true", env: { T: { secret: token2 } } }
`,
  });
  const folder = join(root.root, "credentials");
  mkdirSync(folder);
  writeFileSync(join(folder, "token"), "hunter2hunter3");
  const { run, end } = await runInFront(root, "p", { CREDENTIALS_DIRECTORY: folder });
  expect(end("red")).toBe("the command ended with status 1: no such host");
  expect(end("split")).toBe("the command ended with status 1: ***");
  expect(end("lost")).toContain("LoadCredential=token2:FILE");
  expect(JSON.stringify(run.lines)).not.toContain("\\u001b");
  const { end: without } = await runInFront(root, "p", { CREDENTIALS_DIRECTORY: "" });
  expect(without("lost")).toContain(
    "secrets are the files of the folder that $CREDENTIALS_DIRECTORY names, and that is not set",
  );
});

it("a secret that no environment can hold fails the step with a sentence", async () => {
  const root = tempRoot({
    "schedules/p.yaml": `steps:
  nul: { run: "true", env: { A: { secret: nul } } }
  latin: { run: "true", env: { A: { secret: latin } } }
  long: { run: "true", env: { A: { secret: long } } }
  param: { run: 'wc -c < $ORCHD_PARAM_a', params: { a: { secret: long } } }
`,
  });
  const folder = join(root.root, "credentials");
  mkdirSync(folder);
  writeFileSync(join(folder, "nul"), "be\0fore");
  writeFileSync(join(folder, "latin"), Buffer.from("caf\xe9", "latin1"));
  writeFileSync(join(folder, "long"), "k".repeat(140_000));
  const { end, printed } = await runInFront(root, "p", { CREDENTIALS_DIRECTORY: folder });
  expect(end("nul")).toBe(
    "the command could not be started: env A holds a NUL character, which no environment can",
  );
  expect(end("latin")).toContain("The secret latin is not UTF-8");
  expect(end("long")).toContain("env A has 140002 bytes with its name");
  expect(printed("param")).toEqual(["140002"]);
});

it("params on the command line are kept as they were given, or refused", async () => {
  const texts = ["1285704473650888702", "1.10", "007", "-0", "1e400", "NaN", "\ufeff5", "a\n"];
  const kept: [string, unknown][] = texts.map((text) => [text, text]);
  kept.push(['{"b":1.50}', { b: 1.5 }]);
  const others = kept.map((_, index) => `p${index}: 0`).join(", ");
  const root = tempRoot({
    "schedules/p.yaml": `params: { a: 0, ${others} }
steps: { s: { run: 'printf "<%s>" "$ORCHD_PARAM_a"', params: { a: "\${params.a}" } } }\n`,
  });
  const given = async (...words: string[]): Promise<unknown> => {
    const done = await orchd(root.root, "run", "p", "--foreground", ...words);
    return done.status === 0
      ? runsOf(root.runs, "p").at(-1)!.lines[0]!["params"]
      : `${done.status} ${done.stderr}`;
  };
  expect(await given(...kept.flatMap(([text], index) => ["-p", `p${index}=${text}`]))).toEqual({
    a: 0,
    ...Object.fromEntries(kept.map(([, value], index) => [`p${index}`, value])),
  });
  expect(await given("-p", "a=[9007199254740993]")).toMatch(/^2 .*"a" holds the number 90071/);
  expect(await given("-p", 'a={"b":1,"b":2}')).toMatch(/^2 .*the key "b" twice/);
  expect(await given("-p", "a=1", "-p", "a=2")).toMatch(/^2 .*"a" is given twice/);
  const latin = spawnSync(
    "/bin/sh",
    ["-c", `exec ${process.execPath} ${orchdProgram} run p -p "a=$(printf 'caf\\351')"`],
    { cwd: root.root, encoding: "utf8", env: { PATH: process.env["PATH"]! } },
  );
  expect(latin).toMatchObject({ status: 2 });
  expect(latin.stderr).toContain("a value is not UTF-8");
});
