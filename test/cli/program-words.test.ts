/**
 * Commands that hand over to a program of the daemon: what each gives it by the words on its
 * command line, and what each says of what that program tells, to the letter.
 */
import { describe, expect, it } from "vitest";
import type { CommandContext } from "../../src/cli/command.ts";
import { CliError } from "../../src/cli/exit.ts";
import { parseProgram } from "../../src/cli/program.ts";
import { ToldTerminal } from "../support/told-terminal.ts";

const ROOTS = { root: "/srv", schedules: "/srv/schedules", runs: "/srv/runs" };
type Given = Record<string, unknown>;
type Tell = (...values: unknown[]) => void;

/** What a program was given, without its functions; and what came of it. */
interface Handed {
  readonly given: Given | undefined;
  readonly status: number;
  readonly said: readonly string[];
}

/**
 * Runs a command line.
 *
 * @param tells what the program tells: a function that it was given, and what it gives that one
 */
async function handed(
  words: string,
  tells: readonly (readonly [name: string, ...values: unknown[]])[] = [],
): Promise<Handed> {
  const parsed = await parseProgram(words.split(" "), "1.2.3", 100);
  if (parsed.kind === "text") throw new Error(parsed.text);
  const terminal = new ToldTerminal();
  let given: Given | undefined;
  const program = (options: unknown): Promise<number> => {
    const all = Object.entries(options as Given);
    given = Object.fromEntries(all.filter(([, value]) => typeof value !== "function"));
    for (const [name, ...values] of tells) (options as Record<string, Tell>)[name]!(...values);
    return Promise.resolve(7);
  };
  const context = {
    args: parsed.args,
    roots: ROOTS,
    terminal: terminal.it,
    servePage: program,
    exportTraces: program,
    serveWorker: program,
    tellPeople: program,
    preparePlace: program,
  } as unknown as CommandContext;
  const { run } = await parsed.command.load();
  const status = await run(context).catch((error: unknown) => {
    if (!(error instanceof CliError)) throw error;
    terminal.error(error.message);
    return error.status;
  });
  const said = [
    ...terminal.lines.map((text) => `> ${text}`),
    ...terminal.values.map((value) => `> ${JSON.stringify(value)}`),
    ...(terminal.text === "" ? [] : [`> ${terminal.text}`]),
    ...terminal.errors.map((text) => `! ${text}`),
  ];
  return { given, status, said };
}

const PAGE = {
  listen: undefined,
  allowRequests: false,
  tokenFile: undefined,
  trustProxy: false,
  base: undefined,
};
const EXPORT = { endpoint: undefined, from: undefined, once: false, lines: undefined };
const isTerminal = process.stderr.isTTY === true;
const NOTIFY = { isTerminal, test: undefined, replay: undefined, dryRun: false };
const WORKER = { isTerminal, place: "farm", name: undefined, labels: [], threads: undefined };

it.each<[string, object]>([
  ["page", PAGE],
  ["page --listen 0.0.0.0:80", { ...PAGE, listen: "0.0.0.0:80" }],
  ["page --allow-requests", { ...PAGE, allowRequests: true }],
  ["page --token-file t", { ...PAGE, tokenFile: "t" }],
  ["page --trust-proxy", { ...PAGE, trustProxy: true }],
  ["page --base /o", { ...PAGE, base: "/o" }],
  ["export otlp", EXPORT],
  ["export otlp --endpoint http://c", { ...EXPORT, endpoint: "http://c" }],
  ["export otlp --from start", { ...EXPORT, from: "start" }],
  ["export otlp --once", { ...EXPORT, once: true }],
  ["export otlp --file f", { ...EXPORT, lines: "f" }],
  ["notify", NOTIFY],
  ["notify --test ops", { ...NOTIFY, test: "ops" }],
  ["notify --replay p@1", { ...NOTIFY, replay: "p@1" }],
  ["notify --replay p@1 --dry-run", { ...NOTIFY, replay: "p@1", dryRun: true }],
  ["worker --place farm", WORKER],
  ["worker --place farm --name w1", { ...WORKER, name: "w1" }],
  ["worker --place farm --labels a,b", { ...WORKER, labels: ["a", "b"] }],
  ["worker --place farm --labels a --labels b,,a", { ...WORKER, labels: ["a", "b"] }],
  ["worker --place farm --threads 1", { ...WORKER, threads: 1 }],
  ["worker --place farm --threads 256", { ...WORKER, threads: 256 }],
  ["place prepare gpu1", { place: "gpu1" }],
])("`%s` gives", async (words, options) => {
  const { given, status, said } = await handed(words);
  expect(given).toEqual({ ...ROOTS, ...options });
  // The program's own status is that of the command.
  expect([status, said]).toEqual([7, []]);
});

it("blanks beside a label are none of it", async () => {
  const parsed = await parseProgram(["worker", "--place", "f", "--labels", " a, b "], "1", 100);
  let labels: unknown;
  const serveWorker = (options: { readonly labels: unknown }): Promise<number> => {
    ({ labels } = options);
    return Promise.resolve(0);
  };
  if (parsed.kind === "text") throw new Error(parsed.text);
  const { run } = await parsed.command.load();
  const terminal = new ToldTerminal().it;
  await run({ args: parsed.args, roots: ROOTS, terminal, serveWorker } as never);
  expect(labels).toEqual(["a", "b"]);
});

it.each([
  ["export traces", 'orchd export knows otlp, not "traces": orchd export otlp.'],
  ["export otlp --file ", "--file needs the path of a file."],
  ["export otlp --file f --stdout", "give --file or --stdout, not both."],
  ["notify --test a --replay p@1", "Give either --test or --replay."],
  ["notify --dry-run", "--dry-run belongs to --replay RUN: it shows what would be sent."],
  ["worker", "Name the place that it serves: --place NAME, as orchd.yaml names it."],
  ["worker --place ", "Name the place that it serves: --place NAME, as orchd.yaml names it."],
  ["worker --place f --threads 0", "--threads is 0: give a whole number from 1 to 256."],
  ["worker --place f --threads 257", "--threads is 257: give a whole number from 1 to 256."],
  ["worker --place f --threads 1.5", "--threads is 1.5: give a whole number from 1 to 256."],
  ["place mend gpu1", '"mend" is nothing to do with a place; `orchd place prepare NAME` is.'],
])("`%s` is refused", async (words, sentence) => {
  expect(await handed(words)).toEqual({ given: undefined, status: 2, said: [`! ${sentence}`] });
});

describe("what the program tells is said", () => {
  const where = { url: "http://127.0.0.1:4114", socket: null, token: null };
  const named = { channels: ["ops", "me"], rules: 2, heartbeat: true };
  const serves = { place: "farm", worker: "w1", labels: [], threads: 1, urls: ["nats://a"] };
  const more = { ...serves, labels: ["a", "b"], threads: 2, urls: ["nats://a", "nats://b"] };
  const prepared = {
    place: "gpu1",
    host: "o@gpu1",
    did: "copied",
    folder: "/h/.orchd",
    version: "1.2.3",
    protocol: 2,
    node: "v20",
    platform: "linux/x64",
    removed: [],
  };
  const can = "> gpu1: Node v20, linux/x64, protocol 2; steps can run there";
  const begins = ["begins", "http://c"] as const;
  const message = { channel: "ops", kind: "failed", title: "t", text: "a\n\nb" };
  it.each<[string, (readonly [string, ...unknown[]])[], string[]]>([
    ["page", [["serves", where]], ["> page: http://127.0.0.1:4114"]],
    ["page --json", [["serves", where]], [`> ${JSON.stringify(where)}`]],
    ["page", [["tell", "no"]], ["! no"]],
    ["export otlp", [begins], ["> traces: http://c"]],
    ["export otlp --json", [begins], ['> {"endpoint":"http://c"}']],
    [
      "export otlp --once",
      [begins, ["ends", { spans: 3, refused: 0 }]],
      ["> traces: http://c", "> 3 spans sent"],
    ],
    [
      "export otlp --once",
      [
        ["ends", { spans: 3, refused: 1 }],
        ["tell", "x"],
      ],
      ["> 3 spans sent, 1 refused", "! x"],
    ],
    [
      "export otlp --once --json",
      [begins, ["ends", { spans: 3, refused: 1 }]],
      ['> {"endpoint":"http://c","spans":3,"refused":1}'],
    ],
    [
      "export otlp --once --stdout",
      [begins, ["lines", "{}\n"], ["ends", { spans: 3, refused: 1 }]],
      ["> {}\n"],
    ],
    ["notify", [["reads", named]], ["> notify: channels ops, me; 2 rules; a heartbeat"]],
    [
      "notify",
      [["reads", { channels: [], rules: 1, heartbeat: false }]],
      ["> notify: no channel; 1 rule"],
    ],
    ["notify --json", [["reads", named]], [`> ${JSON.stringify(named)}`]],
    ["notify --test ops", [["trial", [], "it is quiet"]], ["> Nobody is told of it: it is quiet."]],
    ["notify --test ops --json", [["trial", [], "it is quiet"]], ["> []"]],
    [
      "notify --test ops",
      [["trial", [{ ...message, sent: true, answer: "200" }]]],
      ["> Sent to ops: 200", ">   a", "> ", ">   b", "> "],
    ],
    [
      "notify --test ops",
      [["trial", [{ ...message, text: "a", sent: false, answer: "no" }]]],
      ["> Not sent to ops: no", ">   a", "> "],
    ],
    [
      "notify --replay p@1 --dry-run",
      [["trial", [{ ...message, text: "a", sent: null, answer: null }]]],
      ["> To ops", ">   a", "> "],
    ],
    [
      "worker --place farm",
      [["serves", serves]],
      ["> worker: w1 serves farm at nats://a; no labels; 1 thread"],
    ],
    [
      "worker --place farm",
      [["serves", more]],
      ["> worker: w1 serves farm at nats://a, nats://b; labels a, b; 2 threads"],
    ],
    ["worker --place farm --json", [["serves", serves]], [`> ${JSON.stringify(serves)}`]],
    [
      "place prepare gpu1",
      [["done", prepared]],
      ["> gpu1: orchd 1.2.3 was copied to o@gpu1, /h/.orchd", can],
    ],
    [
      "place prepare gpu1",
      [["done", { ...prepared, did: "there" }]],
      ["> gpu1: orchd 1.2.3 is already on o@gpu1, /h/.orchd", can],
    ],
    [
      "place prepare gpu1",
      [["done", { ...prepared, did: "replaced" }]],
      ["> gpu1: orchd 1.2.3 was not whole, and was copied again to o@gpu1, /h/.orchd", can],
    ],
    [
      "place prepare gpu1",
      [["done", { ...prepared, removed: ["1.2.2-a", "1.2.1-b"] }]],
      [
        "> gpu1: orchd 1.2.3 was copied to o@gpu1, /h/.orchd",
        can,
        "> gpu1: orchd 1.2.2-a was removed there, since nobody used it",
        "> gpu1: orchd 1.2.1-b was removed there, since nobody used it",
      ],
    ],
    ["place prepare gpu1 --json", [["done", prepared]], [`> ${JSON.stringify(prepared)}`]],
  ])("by `%s` of %j", async (words, tells, said) => {
    expect((await handed(words, tells)).said).toEqual(said);
  });
});
