/**
 * What a daemon holds: memory, descriptors and threads of its processes (on Linux, from /proc), and
 * the files in its folders.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** One process. */
export interface ProcessFigures {
  readonly pid: number;
  readonly residentMiB: number;
  readonly descriptors: number;
  readonly threads: number;
}

/** A folder and all below it. */
export interface FolderFigures {
  readonly files: number;
  readonly bytes: number;
}

/** What a process holds now. @throws a Node error if the process is gone */
export function figuresOf(pid: number): ProcessFigures {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)![1]);
  return {
    pid,
    residentMiB: field("VmRSS") / 1024,
    threads: field("Threads"),
    // Reading the list opens no descriptor in the other process.
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

/** The children of a process that still live, each with its command line. */
export function childrenOf(pid: number): { readonly pid: number; readonly command: string }[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean),
    )
    .map((child) => ({ pid: Number(child), command: commandOf(Number(child)) }));
}

/** The pid of a daemon's runner, the child that hosts the threads; undefined if there is none. */
export function runnerOf(daemon: number): number | undefined {
  return childrenOf(daemon).find(({ command }) => command.includes("runner.js"))?.pid;
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

/**
 * The files in a folder and below it, dot-names included; none if the folder is not there. A file
 * that disappears meanwhile is not counted.
 */
export function folderFigures(
  folder: string,
  counts: (path: string) => boolean = () => true,
): FolderFigures {
  let [files, bytes] = [0, 0];
  const walk = (directory: string): void => {
    for (const entry of namesIn(directory)) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (counts(path)) {
        files += 1;
        bytes += statSync(path, { throwIfNoEntry: false })?.size ?? 0;
      }
    }
  };
  walk(folder);
  return { files, bytes };
}

function namesIn(directory: string): ReturnType<typeof readFolder> {
  try {
    return readFolder(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

const readFolder = (directory: string) => readdirSync(directory, { withFileTypes: true });
