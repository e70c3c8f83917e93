/**
 * `orchd prune`: removes runs that retention no longer keeps. With a daemon up it is the daemon's
 * to do (semantics.md 24).
 */
import { systemClock } from "../../clock.ts";
import type { Json } from "../../core/snapshot.ts";
import type { PruneOptions } from "../../ledger/prune.ts";
import type { AskedLimits, RetentionPolicy } from "../../ledger/retention.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { VERSION } from "../../version.ts";
import { daemonRuns } from "../../ledger/ask.ts";
import { answerJson, askDaemon, refusal, sayKept } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, seen, usageError, type ExitStatus } from "../exit.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { parseCount } from "../number-text.ts";
import { readPipeline } from "../../views/pipeline-reading.ts";
import { countText } from "../../views/counted.ts";
import type { Roots } from "../../views/roots.ts";
import { span } from "../terminal.ts";

interface Removal {
  readonly run: string;
  readonly because: string;
}

interface Pruning {
  readonly runs: readonly Removal[];
  readonly kept: readonly Removal[];
  readonly bytes: number;
  readonly files: number;
}

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots, terminal } = context;
  const days = args.text("keep-days");
  const keepDays = days === undefined ? undefined : Number(days);
  if (keepDays !== undefined && !(keepDays >= 0 && /^\d+(\.\d+)?$/.test(days!)))
    throw usageError(`--keep-days: "${days}" is no number of days; give one such as 30.`);
  const runsText = args.text("keep-runs");
  const keepRuns = runsText === undefined ? undefined : parseCount(runsText, "--keep-runs", 0, 0);
  const bytesText = args.text("keep-bytes");
  if (bytesText !== undefined && !/^\d{1,15}$/.test(bytesText))
    throw usageError(
      `--keep-bytes: "${bytesText}" is no number of bytes; give a whole number such as 1000000000.`,
    );
  const keepBytes = bytesText === undefined ? undefined : Number(bytesText);
  const pipeline = args.text("pipeline");
  if (pipeline !== undefined) seen(knownPipeline(roots, pipeline));
  const dryRun = args.flag("dry-run");
  const limits: AskedLimits = {
    ...(keepDays === undefined ? {} : { keepDays }),
    ...(keepRuns === undefined ? {} : { keepRuns }),
    ...(keepBytes === undefined ? {} : { keepBytes }),
  };
  const only = pipeline === undefined ? {} : { pipeline };
  if (daemonRuns(roots.runs)) {
    const answer = await askDaemon(context, {
      type: "prune",
      ...limits,
      ...only,
      ...(dryRun ? { dryRun } : {}),
    });
    if (answer.kind === "kept" || !answer.reply.accepted) {
      if (args.flag("json")) terminal.json(answerJson(answer));
      if (answer.kind === "kept") sayKept(terminal, answer.id);
      else terminal.error(refusal(answer.reply));
      return answer.kind === "kept" ? EXIT.done : EXIT.refused;
    }
    return report(context, pruningOf(answer.reply.result), answer.reply.reason, dryRun);
  }
  const [{ withFolderLock }, { prune }] = await Promise.all([
    import("../../ledger/folder-lock.ts"),
    import("../../ledger/prune.ts"),
  ]);
  const rules = await policies(roots, limits);
  const act = (signal?: AbortSignal): Promise<Pruning> =>
    prune(roots.runs, {
      nowMs: Date.now(),
      ...rules,
      ...only,
      dryRun,
      ...(signal === undefined ? {} : { signal }),
    });
  // A dry run writes nothing, so it needs no lock.
  const pruned = dryRun
    ? await act()
    : await withFolderLock(
        new RunStore(roots.runs).orchdDir,
        { clock: systemClock, version: VERSION },
        act,
      );
  return report(context, pruned, undefined, dryRun);
}

/**
 * Each pipeline's own rules, as the daemon would have them; of one whose file cannot be loaded
 * nothing goes, since its rules are not known.
 */
async function policies(
  roots: Roots,
  limits: AskedLimits,
): Promise<Pick<PruneOptions, "policyOf" | "totalBytes">> {
  const [{ loadPipelines, readSettings }, { policyUnder, totalBytesOf, KEEP_ALL }] =
    await Promise.all([import("../load-pipelines.ts"), import("../../ledger/retention.ts")]);
  const { retention } = await readSettings(roots);
  const files = await loadPipelines(roots);
  const store = new RunStore(roots.runs);
  const policyOf = (pipeline: string): RetentionPolicy => {
    const own = files.find((file) => file.ok && file.name === pipeline);
    if (own?.ok === true) return policyUnder(own.loaded.retention, limits);
    const recorded = readPipeline(store, pipeline)?.state.file;
    const unknown = files.some(
      (file) => !file.ok && (file.name === pipeline || file.file === recorded),
    );
    return unknown ? KEEP_ALL : policyUnder(retention, limits);
  };
  return { policyOf, totalBytes: totalBytesOf(retention) };
}

function pruningOf(result: Json | undefined): Pruning | undefined {
  return result !== null &&
    typeof result === "object" &&
    "runs" in result &&
    Array.isArray(result["runs"])
    ? (result as unknown as Pruning)
    : undefined;
}

function report(
  { args, terminal }: CommandContext,
  pruned: Pruning | undefined,
  remark: string | undefined,
  dryRun: boolean,
): ExitStatus {
  if (args.flag("json")) {
    terminal.json({
      dryRun,
      runs: pruned?.runs ?? [],
      kept: pruned?.kept ?? [],
      bytes: pruned?.bytes ?? 0,
      files: pruned?.files ?? 0,
      ...(remark === undefined ? {} : { reason: remark }),
    });
    return EXIT.done;
  }
  if (pruned === undefined) {
    terminal.line(remark ?? "the daemon has pruned");
    return EXIT.done;
  }
  for (const { run, because } of pruned.runs)
    terminal.line(dryRun ? "would remove " : "removed ", run, span("dim", `: ${because}`));
  terminal.line(
    `${countText(pruned.runs.length, "run")} and ${countText(pruned.files, "other file")} ${dryRun ? "would be removed" : "removed"}, ${(pruned.bytes / 1_048_576).toFixed(1)} MiB; ${countText(pruned.kept.length, "more run")} kept though a limit is passed`,
  );
  return EXIT.done;
}
