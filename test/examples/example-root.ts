/** Copies of the examples, as a person makes them, and what the tests of all of them do. */
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { orchd } from "../support/daemon.ts";
import { runsOf, type PlainRun } from "../support/ledgers.ts";
import { projectRoot, tempRoot, type TempRoot } from "../support/temp-root.ts";

/** Where the examples are. */
export const examplesFolder = join(projectRoot, "examples");

/** The names of all examples. */
export const exampleNames = readdirSync(examplesFolder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

/** A copy of one example. Nothing is installed beside it: an example needs `orchd` alone. */
export function exampleRoot(name: string): TempRoot {
  const root = tempRoot();
  cpSync(join(examplesFolder, name), root.root, { recursive: true });
  return root;
}

/** Changes a copied file as its README tells a person to. The passage must stand there once. */
export function edit(root: TempRoot, path: string, from: string, to: string): void {
  const text = readFileSync(join(root.root, path), "utf8");
  if (text.split(from).length !== 2) throw new Error(`${path} does not hold this once: ${from}`);
  root.write(
    path,
    text.replace(from, () => to),
  );
}

/** Puts a secret where the READMEs put it, and gives the environment that names the folder. */
export function withSecret(root: TempRoot, name: string, value: string): Record<string, string> {
  root.write(`secrets/${name}`, `${value}\n`);
  return { CREDENTIALS_DIRECTORY: join(root.root, "secrets") };
}

/** Runs a pipeline to its end without a daemon, so that no slot comes in between. */
export async function runToEnd(
  root: TempRoot,
  pipeline: string,
  words: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<PlainRun> {
  const before = runsOf(root.runs, pipeline).length;
  const { stdout, stderr } = await orchd(root.root, "run", pipeline, "--foreground", ...words, {
    env,
  });
  const runs = runsOf(root.runs, pipeline);
  if (runs.length !== before + 1) throw new Error(`${pipeline} made no run: ${stdout}${stderr}`);
  return runs.at(-1)!;
}

/** The lines of a run of one type, of one step if that is given. */
export function linesOfType(run: PlainRun, type: string, step?: string): PlainRun["lines"] {
  return run.lines.filter(
    (line) => line.type === type && (step === undefined || line["step"] === step),
  );
}

/** The steps of a run for which there is a line of a type, in the order of the lines. */
export function stepsWith(run: PlainRun, type: string): string[] {
  return linesOfType(run, type).map((line) => String(line["step"]));
}

/** What a step gave in a run, whether it ran or was answered from the cache. */
export function outputsOf(run: PlainRun, step: string): unknown {
  const line = run.lines.find(
    (one) => /^step\.(completed|cached)$/.test(one.type) && one["step"] === step,
  );
  return line?.["outputs"];
}

/** A request that a {@link listen} server got. */
export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

/** An HTTP server on the loopback that keeps what it is asked; `answer` gives each status. */
export async function listen(
  answer: () => number,
): Promise<{ readonly url: string; readonly heard: Heard[] }> {
  const heard: Heard[] = [];
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const { method = "", url = "", headers } = request;
      heard.push({ method, path: url, authorization: headers.authorization, body });
      response.statusCode = answer();
      response.end();
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, heard };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = "";
  for await (const piece of request) body += String(piece);
  return body;
}

/** The files below a root's runs folder in which a text stands. */
export function filesWith(root: TempRoot, text: string): string[] {
  return readdirSync(root.runs, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes("node_modules"))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path, "latin1").includes(text));
}
