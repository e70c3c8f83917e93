/**
 * Vitest's global set-up. All temporary roots of one test run are in one folder. When the run is
 * over, a process that still names that folder (in its command line or as its working directory)
 * was leaked by a test, and fails the run.
 */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The processes that name `folder`, as `pid command` lines; none where there is no /proc. */
export function processesNaming(folder: string): string[] {
  const found: string[] = [];
  let pids: string[];
  try {
    pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return found;
  }
  for (const pid of pids) {
    if (Number(pid) === process.pid) continue;
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      const directory = readlinkSync(`/proc/${pid}/cwd`);
      // A vitest worker names only the test file; a zombie has no command line and no folder.
      if (command.includes(folder) || directory === folder || directory.startsWith(`${folder}/`))
        found.push(`${pid} ${command}`);
    } catch {
      // It ended meanwhile, or it belongs to another user.
    }
  }
  return found;
}

/** Makes the folder of this test run. What it gives fails if a process still lives in it. */
export default function setup(): () => Promise<void> {
  const session = mkdtempSync(join(tmpdir(), "orchd-test-"));
  process.env["ORCHD_TEST_SESSION"] = session;
  return async () => {
    let left = processesNaming(session);
    // The bundler of a killed daemon lives a moment longer: it ends when its input is closed.
    for (let looks = 0; left.length > 0 && looks < 20; looks += 1) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      left = processesNaming(session);
    }
    for (const line of left) {
      try {
        process.kill(Number(line.split(" ", 1)[0]), "SIGKILL");
      } catch {
        // It has ended already.
      }
    }
    rmSync(session, { recursive: true, force: true, maxRetries: 3 });
    if (left.length === 0) return;
    // Vitest prints what a teardown throws, and still calls the run good.
    process.exitCode = 1;
    throw new Error(`Tests left ${left.length} process(es) behind:\n${left.join("\n")}`);
  };
}
