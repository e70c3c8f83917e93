/** A project root in a temporary folder, removed when the test is over. */
import {
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { projectRoot } from "./project-root.ts";
import { onTestFinished } from "./running-test.ts";

export { projectRoot };

/** A temporary project root. */
export interface TempRoot {
  readonly root: string;
  readonly schedules: string;
  readonly runs: string;
  /**
   * Writes a file below the root as a careful editor does (a dot-name, then a rename), and gives
   * its path.
   */
  write(path: string, text: string): string;
  /** Lets the root's code import the project's packages. */
  linkPackages(): void;
}

/**
 * Makes a root with `schedules/`, `runs/` and the given files (path below the root -> text). Made
 * inside a test, it is removed when the test is over; made elsewhere (`beforeAll`), at the end of
 * the test run (no-leftovers.ts).
 */
export function tempRoot(files: Record<string, string> = {}): TempRoot {
  const root = realpathSync(
    mkdtempSync(join(process.env["ORCHD_TEST_SESSION"] ?? tmpdir(), "root-")),
  );
  const made: TempRoot = {
    root,
    schedules: join(root, "schedules"),
    runs: join(root, "runs"),
    write(path, text) {
      const target = join(root, path);
      const aside = join(dirname(target), `.${Math.random().toString(36).slice(2)}.tmp`);
      mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
      writeFileSync(aside, text, { mode: 0o644 });
      renameSync(aside, target);
      return target;
    },
    linkPackages: () => symlinkSync(join(projectRoot, "node_modules"), join(root, "node_modules")),
  };
  // What a group may write is refused, and some umasks let it.
  mkdirSync(made.schedules, { mode: 0o755 });
  mkdirSync(made.runs);
  for (const [path, text] of Object.entries(files)) made.write(path, text);
  try {
    onTestFinished(() =>
      rmSync(root, { recursive: true, force: true, maxRetries: 8, retryDelay: 200 }),
    );
  } catch {
    // Not inside a test: it is removed at the end of the test run.
  }
  return made;
}
