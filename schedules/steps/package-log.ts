/** The steps of package-digest.yaml: read the package manager's log, and count what it did. */
import { readFile } from "node:fs/promises";
import type { Loose, StepContext } from "orchd";

/** The lines that were read, and the file that they come from. */
export interface PackageLog {
  readonly source: string;
  readonly lines: string[];
}

/** One day's counts. */
export interface Day {
  readonly day: string;
  readonly actions: Record<string, number>;
}

/** The actions that change a package. The log's `status` lines are only its bookkeeping. */
const ACTIONS = new Set(["install", "upgrade", "remove", "purge"]);

/**
 * Reads the lines of `params.path` that change a package. If there is no such file, it reads the
 * sample that orchd ships.
 */
export async function read({ params, log }: StepContext<{ path: string }>): Promise<PackageLog> {
  let source = params.path;
  let text: string;
  try {
    text = await readFile(source, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    source = "steps/dpkg-sample.log";
    log.info(`${params.path} is not here; reading the sample that ships`);
    text = await readFile(new URL("dpkg-sample.log", import.meta.url), "utf8");
  }
  const lines = text.split("\n").filter((line) => ACTIONS.has(line.split(" ", 3)[2] ?? ""));
  // A log of many months is long, so the digest covers its newest days. The day that the cut goes
  // through would be incomplete, so it is left out.
  const newest = lines.slice(-2000);
  const cut = newest.length < lines.length ? newest[0]!.slice(0, "2026-11-23".length) : undefined;
  return { source, lines: newest.filter((line) => cut === undefined || !line.startsWith(cut)) };
}

/** Counts the actions of each day, newest first. */
export async function digest({
  inputs,
}: StepContext<Loose, { log: PackageLog }>): Promise<{ source: string; days: Day[] }> {
  const days = new Map<string, Record<string, number>>();
  for (const line of inputs.log.lines) {
    const [day, , action] = line.split(" ", 3) as [string, string, string];
    const actions = days.get(day) ?? {};
    actions[action] = (actions[action] ?? 0) + 1;
    days.set(day, actions);
  }
  const newestFirst = [...days].sort(([a], [b]) => b.localeCompare(a));
  return {
    source: inputs.log.source,
    days: newestFirst.map(([day, actions]) => ({ day, actions })),
  };
}
