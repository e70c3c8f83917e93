/** The page that a daemon keeps running, as a test sees it from outside. */
import { readFileSync } from "node:fs";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** The children of a process that live. */
export function childrenOf(pid: number): { readonly pid: number; readonly command: string }[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return children
    .split(" ")
    .filter(Boolean)
    .map((child) => ({ pid: Number(child), command: commandOf(Number(child)) }));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

/** The pid of a daemon's page; undefined if there is none. */
export function pageOf(daemon: number): number | undefined {
  return childrenOf(daemon).find(({ command }) => / page --json/.test(command))?.pid;
}

/** The status of `/healthz`; undefined if nothing answers. `path`: of a unix socket. */
export function healthOf(url: string, path?: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const options = path === undefined ? {} : { socketPath: path };
    get(new URL("healthz", url), { ...options, agent: false, timeout: 2_000 }, (response) => {
      response.on("end", () => resolve(response.statusCode)).resume();
    })
      .on("error", () => resolve(undefined))
      .on("timeout", function (this: { destroy(): void }) {
        this.destroy();
      });
  });
}

/**
 * Waits until a page answers.
 *
 * @param find gives its pid; the page that answers is the one with it
 * @returns the pid @throws Error where none answers for 30 s
 */
export async function untilServes(
  url: string,
  find: () => number | undefined = () => 0,
  path?: string,
): Promise<number> {
  for (const from = Date.now(); Date.now() - from < 30_000; await sleep(20)) {
    const pid = find();
    if (pid === undefined || (await healthOf(url, path)) !== 200) continue;
    if (find() === pid) return pid;
  }
  throw new Error(`No page answers at ${url}.`);
}
