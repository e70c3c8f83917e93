/**
 * Waits for a line of a ledger, so that no test sleeps for luck. It follows the file by `fs.watch`
 * on the file's folder, and looks every 50 ms as well, because watchers lose events. A deadline
 * that passes is a failure, which shows what was there instead.
 */
import { existsSync, readFileSync, watch } from "node:fs";
import { dirname } from "node:path";

/** One parsed line of a ledger, as an outside reader sees it: without types of its own. */
export type Line = Record<string, unknown> & {
  readonly seq: number;
  readonly type: string;
  readonly at: string;
};

/** The whole lines of a JSON Lines file; none if it does not exist yet. A torn tail is left out. */
export function linesOf(path: string): Line[] {
  return parsed(wholeText(path));
}

/** Gives the lines of a file that grows, again and again, and parses each of them once. */
function growingLines(path: string): () => readonly Line[] {
  let seen = "";
  let lines: Line[] = [];
  return () => {
    const text = wholeText(path);
    // It was cut, or is another file.
    if (!text.startsWith(seen)) [seen, lines] = ["", []];
    for (const line of parsed(text.slice(seen.length))) lines.push(line);
    seen = text;
    return lines;
  };
}

function wholeText(path: string): string {
  try {
    const text = readFileSync(path, "utf8");
    return text.slice(0, text.lastIndexOf("\n") + 1);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

function parsed(text: string): Line[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

/**
 * Waits until `look()` returns something. It looks each time that `folder` changes (or the nearest
 * existing folder above it), and every 50 ms.
 */
export async function awaitSight<T>(
  folder: string,
  look: () => T | undefined,
  what: string | (() => string),
  deadlineMs = 15_000,
): Promise<T> {
  const first = look();
  if (first !== undefined) return first;
  return new Promise<T>((resolve, reject) => {
    let above = folder;
    while (!existsSync(above)) above = dirname(above);
    const watcher = watch(above, { persistent: false }, () => glance());
    // A folder may be removed under the watcher; the interval goes on looking.
    watcher.on("error", () => undefined);
    const interval = setInterval(() => glance(), 50);
    const deadline = setTimeout(
      () =>
        finish(() =>
          reject(
            new Error(
              `Not seen within ${deadlineMs} ms: ${typeof what === "string" ? what : what()}`,
            ),
          ),
        ),
      deadlineMs,
    );
    const finish = (settle: () => void): void => {
      clearInterval(interval);
      clearTimeout(deadline);
      watcher.close();
      settle();
    };
    const glance = (): void => {
      try {
        const seen = look();
        if (seen !== undefined) finish(() => resolve(seen));
      } catch (error) {
        finish(() => reject(error instanceof Error ? error : new Error(String(error))));
      }
    };
  });
}

/** The first line of `path` for which `matches` holds, now or within `deadlineMs`. */
export function awaitLine(
  path: string,
  matches: (line: Line) => boolean,
  deadlineMs = 15_000,
): Promise<Line> {
  const lines = growingLines(path);
  return awaitSight(
    dirname(path),
    () => lines().find(matches),
    () => {
      const there = linesOf(path).map((line) => `${line.seq} ${line.type}`);
      const last = there.length === 0 ? "nothing" : there.slice(-20).join(", ");
      return `a line of ${path} with ${String(matches)}; it holds ${last}`;
    },
    deadlineMs,
  );
}

/** The first `count` lines of `path` for which `matches` holds. */
export function awaitLines(
  path: string,
  count: number,
  matches: (line: Line) => boolean,
  deadlineMs = 15_000,
): Promise<Line[]> {
  const lines = growingLines(path);
  return awaitSight(
    dirname(path),
    () => {
      const found = lines().filter(matches);
      return found.length >= count ? found.slice(0, count) : undefined;
    },
    () => {
      const there = linesOf(path).filter(matches).length;
      return `${count} lines of ${path} with ${String(matches)}; ${there} are there`;
    },
    deadlineMs,
  );
}
