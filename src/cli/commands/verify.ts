/**
 * `orchd verify [--rebuild]`: reads every ledger and says what is wrong. With `--rebuild` the
 * cache's index is made again from the ledgers.
 */
import { relative } from "node:path";
import { systemClock } from "../../clock.ts";
import { defined } from "../../core/defined.ts";
import { daemonRuns } from "../../ledger/ask.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { verifyRoot } from "../../ledger/verify.ts";
import { VERSION } from "../../version.ts";
import { countText } from "../../core/counted.ts";
import { askDaemon, refusal, sayKept } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { CliError, EXIT, type ExitStatus } from "../exit.ts";
import { span } from "../terminal.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots, terminal } = context;
  const rebuilt = args.flag("rebuild") ? await rebuild(context) : undefined;
  const { checked, faults } = await verifyRoot(roots.runs);
  if (args.flag("json")) terminal.json({ checked, faults, ...defined({ rebuilt }) });
  else {
    for (const { file, line, fault } of faults)
      terminal.line(
        span("red", "✗ "),
        `${relative(process.cwd(), file) || file}:${line}: ${fault}`,
      );
    if (rebuilt !== undefined) terminal.line(rebuilt);
    const found = faults.length === 0 ? "all whole" : countText(faults.length, "fault");
    terminal.line(`${countText(checked, "ledger")} checked, ${found}`);
    if (faults.length > 0)
      terminal.note(
        "a torn tail is cut by the daemon itself; a damaged run is set aside until " +
          "`orchd repair RUN`, or a backup is put in its place.",
      );
  }
  return faults.length === 0 ? EXIT.done : EXIT.failed;
}

/**
 * Rebuilds the cache's index. A daemon that is up does it itself (semantics.md 24).
 *
 * @returns what was done, as a sentence
 */
async function rebuild(context: CommandContext): Promise<string> {
  const { roots, terminal } = context;
  if (daemonRuns(roots.runs)) {
    const answer = await askDaemon(context, { type: "rebuild" });
    if (answer.kind === "answered" && !answer.reply.accepted)
      throw new CliError(EXIT.refused, refusal(answer.reply));
    if (answer.kind === "kept") {
      sayKept(terminal, answer.id);
      return "the cache's index will be rebuilt";
    }
    const { reason } = answer.reply;
    const remark = reason === undefined ? "" : ` (${reason})`;
    return `the daemon has rebuilt the cache's index${remark}`;
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
