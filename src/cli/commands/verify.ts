/**
 * `orchd verify [--rebuild]`: reads every ledger and says what is wrong; with `--rebuild` the
 * cache's index is made anew from them.
 */
import { relative } from "node:path";
import { systemClock } from "../../clock.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { verifyRoot } from "../../ledger/verify.ts";
import { VERSION } from "../../version.ts";
import { daemonRuns } from "../../ledger/ask.ts";
import { askDaemon, refusal, sayKept } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { CliError, EXIT, type ExitStatus } from "../exit.ts";
import { countText } from "../../views/counted.ts";
import { span } from "../terminal.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots, terminal } = context;
  const rebuilt = args.flag("rebuild") ? await rebuild(context) : undefined;
  const { checked, faults } = await verifyRoot(roots.runs);
  if (args.flag("json"))
    terminal.json({ checked, faults, ...(rebuilt === undefined ? {} : { rebuilt }) });
  else {
    for (const { file, line, fault } of faults)
      terminal.line(
        span("red", "✗ "),
        `${relative(process.cwd(), file) || file}:${line}: ${fault}`,
      );
    if (rebuilt !== undefined) terminal.line(rebuilt);
    terminal.line(
      `${countText(checked, "ledger")} checked, ${faults.length === 0 ? "all whole" : countText(faults.length, "fault")}`,
    );
    if (faults.length > 0)
      terminal.note(
        "a torn tail is cut by the daemon itself; a damaged run is set aside until `orchd repair RUN`, or a backup is put in its place.",
      );
  }
  return faults.length === 0 ? EXIT.done : EXIT.failed;
}

/**
 * With a daemon up it is the daemon's to do (semantics.md 24). @returns what was done, as a
 * sentence
 */
async function rebuild(context: CommandContext): Promise<string> {
  const { roots, terminal } = context;
  if (daemonRuns(roots.runs)) {
    const answer = await askDaemon(context, { type: "rebuild" });
    if (answer.kind === "answered" && !answer.reply.accepted)
      throw new CliError(EXIT.refused, refusal(answer.reply));
    if (answer.kind === "kept") sayKept(terminal, answer.id);
    return answer.kind === "kept"
      ? "the cache's index will be rebuilt"
      : `the daemon has rebuilt the cache's index${answer.reply.reason === undefined ? "" : ` (${answer.reply.reason})`}`;
  }
  const [{ withFolderLock }, { CacheIndex }] = await Promise.all([
    import("../../ledger/folder-lock.ts"),
    import("../../ledger/cache-index.ts"),
  ]);
  const { orchdDir } = new RunStore(roots.runs);
  const keys = await withFolderLock(orchdDir, { clock: systemClock, version: VERSION }, () =>
    new CacheIndex(new RunStore(roots.runs).cache).rebuild(roots.runs),
  );
  return `the cache's index was rebuilt: ${countText(keys, "result")}`;
}
