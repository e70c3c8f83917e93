/** A real daemon and `orchd page` over one root, for tests that click. */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Page } from "playwright-core";
import type { RunView } from "../../src/views/run-view.ts";
import { daemonOver, orchd, orchdProgram, type Daemon } from "../support/daemon.ts";
import type { TempRoot } from "../support/temp-root.ts";

/** What tests of one file share. */
export interface Served {
  readonly root: TempRoot;
  readonly daemon: Daemon;
  /** The link of one of its pages, with the token: `link("runs/etl@…")`. */
  link(path?: string, query?: Readonly<Record<string, string>>): string;
  /** `orchd WORDS --json`. */
  cli<T>(...words: string[]): Promise<T>;
  /** Runs a pipeline to its end, and gives its view. */
  run(pipeline: string, ...words: string[]): Promise<RunView>;
  /** Ends both. */
  end(): Promise<void>;
}

/** Starts both. The caller ends them. */
export async function servedRoot(files: Record<string, string>): Promise<Served> {
  const { root, daemon } = await daemonOver(files);
  const { child, url } = await startPage(root.root);
  const cli = async <T>(...words: string[]): Promise<T> => {
    const result = await orchd(root.root, ...words, "--json");
    if (result.stdout === "") throw new Error(`orchd ${words.join(" ")}: ${result.stderr}`);
    return result.json<T>();
  };
  return {
    root,
    daemon,
    link(path = "", query = {}) {
      const made = new URL(path, url);
      for (const [name, value] of Object.entries(query)) made.searchParams.set(name, value);
      made.hash = new URL(url).hash;
      return made.href;
    },
    cli,
    run: (pipeline, ...words) => cli<RunView>("run", pipeline, "--wait", ...words),
    async end() {
      await ended(child);
      await daemon.end();
    },
  };
}

function startPage(root: string): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = spawn(
    process.execPath,
    [orchdProgram, "page", "--root", root, "--listen", "127.0.0.1:0", "--allow-requests", "--json"],
    { cwd: root, stdio: ["ignore", "pipe", "pipe"] },
  );
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text));
  return new Promise((resolve, reject) => {
    child.on("exit", () => reject(new Error(`the page ended: ${complaints}`)));
    createInterface(child.stdout).once("line", (line) => {
      const { url } = JSON.parse(line) as { url: string };
      resolve({ child, url });
    });
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.on("exit", () => resolve());
    child.kill("SIGTERM");
  });
}

/**
 * Presses the dialog's own button, and gives what it then says of the request.
 *
 * @param until what it says once it is known: by default, the daemon's answer
 */
export async function confirmed(
  page: Page,
  button: RegExp | string,
  until = /Accepted|Refused/,
): Promise<string> {
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: button }).click();
  const outcome = dialog.locator(".outcome");
  await outcome.filter({ hasText: until }).waitFor();
  return outcome.innerText();
}
