/**
 * Processes of a container that its engine does not know. A dockerd that is killed as it starts a
 * container may have begun it and not noted so: then it says ever after that the container has not
 * begun, and removes it, and the process goes on.
 *
 * What tells is the attempt's folder: it is mounted in the container, and in no other. Whoever may
 * not look into processes of others (no root) finds none.
 */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { CONTAINER_FILES } from "../../core/container.ts";
import { eachProcess } from "../pool/process-stat.ts";
import { killQuietly } from "../pool/kill-by-token.ts";

/** How often it is looked whether they are gone, and when, in milliseconds. */
const LOOKS = 100;
const AGAIN_MS = 20;

/** The processes that have an attempt's folder mounted where a step's files are. */
export function processesWith(folder: string): number[] {
  const mark = `/${basename(folder)}/files`;
  const isTheirs = (line: string): boolean => {
    const [, , , root = "", at] = line.split(" ");
    return at === CONTAINER_FILES && root.replace(/\/\/deleted$/, "").endsWith(mark);
  };
  const found: number[] = [];
  for (const pid of eachProcess()) {
    const text = mountsOf(pid);
    if (text.includes(mark) && text.split("\n").some(isTheirs)) found.push(pid);
  }
  return found;
}

/** Ends them. @returns why one may be left, in a sentence; undefined: none is */
export async function endUnknown(folder: string): Promise<string | undefined> {
  let pids = processesWith(folder);
  for (let look = 0; look < LOOKS && pids.length > 0; look += 1) {
    for (const pid of pids) killQuietly(pid, "SIGKILL");
    await wait(AGAIN_MS);
    pids = processesWith(folder);
  }
  if (pids.length === 0) return undefined;
  return `the engine does not know its process ${pids.join(", ")}, which cannot be ended`;
}

function mountsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, "latin1");
  } catch {
    return "";
  }
}
