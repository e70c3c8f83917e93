/**
 * `orchd prune`: removes runs that retention no longer keeps. A daemon that is up does it itself
 * (semantics.md 24).
 */
import { systemClock } from "../../clock.ts";
import { defined } from "../../core/defined.ts";
import type { Json } from "../../core/snapshot.ts";
import { errorCode, whatRanOut } from "../../disk/disk-error.ts";
import { daemonRuns } from "../../ledger/ask.ts";
import type { PruneOptions } from "../../ledger/prune.ts";
import type { AskedLimits, RetentionPolicy } from "../../ledger/retention.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { VERSION } from "../../version.ts";
import { countText } from "../../core/counted.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { readPipeline } from "../../views/pipeline-reading.ts";
import type { Roots } from "../../views/roots.ts";
import type { Arguments } from "../arguments.ts";
import { answerOf } from "../../client/asking.ts";
import { askDaemon, refusal, sayKept } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { CliError, EXIT, seen, usageError, type ExitStatus } from "../exit.ts";
import { parseCount } from "../number-text.ts";
import { span } from "../terminal.ts";

/** A run and why it goes or stays. */
interface Removal {
  readonly run: string;
  readonly because: string;
}

/** What was pruned, or would be. */
interface Pruning {
  readonly runs: readonly Removal[];
  /** Runs that stay though a limit is passed. */
  readonly kept: readonly Removal[];
  readonly bytes: number;
  /** How many other files go: artifacts and bundles without a use, and old ledgers. */
  readonly files: number;
}

/** What the command line asks for. */
interface PruneWish {
  readonly limits: AskedLimits;
  /** Only this pipeline's runs; undefined: all. */
  readonly pipeline: string | undefined;
  readonly dryRun: boolean;
}

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots } = context;
  const limits = parseLimits(args);
  const pipeline = args.text("pipeline");
  if (pipeline !== undefined) seen(knownPipeline(roots, pipeline));
  const wish = { limits, pipeline, dryRun: args.flag("dry-run") };
  try {
    if (daemonRuns(roots.runs)) return await askForPruning(context, wish);
    return report(context, await pruneHere(roots, wish), undefined, wish.dryRun);
  } catch (error) {
    const code = errorCode(error);
    if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
    throw new CliError(
      EXIT.failed,
      `${whatRanOut(error)}, and prune has to write a little itself, before it removes: ` +
        `remove what a few runs printed (${roots.runs}/PIPELINE/MONTH/RUN.log), and prune again.`,
    );
  }
}

function parseLimits(args: Arguments): AskedLimits {
  const days = args.text("keep-days");
  const keepDays = days === undefined ? undefined : Number(days);
  if (keepDays !== undefined && !(keepDays >= 0 && /^\d+(\.\d+)?$/.test(days!)))
    throw usageError(`--keep-days: "${days}" is no number of days; give one such as 30.`);
  const runs = args.text("keep-runs");
  const keepRuns = runs === undefined ? undefined : parseCount(runs, "--keep-runs", 0, 0);
  const bytes = args.text("keep-bytes");
  if (bytes !== undefined && !/^\d{1,15}$/.test(bytes))
    throw usageError(
      `--keep-bytes: "${bytes}" is no number of bytes; ` +
        "give a whole number such as 1000000000.",
    );
  const keepBytes = bytes === undefined ? undefined : Number(bytes);
  return defined({ keepDays, keepRuns, keepBytes });
}

async function askForPruning(
  context: CommandContext,
  { limits, pipeline, dryRun }: PruneWish,
): Promise<ExitStatus> {
  const { args, terminal } = context;
  const answer = await askDaemon(context, {
    type: "prune",
    ...limits,
    ...defined({ pipeline, dryRun: dryRun ? true : undefined }),
  });
  if (answer.kind === "answered" && answer.reply.accepted)
    return report(context, pruningOf(answer.reply.result), answer.reply.reason, dryRun);
  if (args.flag("json")) terminal.json(answerOf(answer));
  if (answer.kind === "kept") {
    sayKept(terminal, answer.id);
    return EXIT.done;
  }
  terminal.error(refusal(answer.reply));
  return EXIT.refused;
}

async function pruneHere(roots: Roots, { limits, pipeline, dryRun }: PruneWish): Promise<Pruning> {
  const [{ withFolderLock }, { prune }, { appendLine }] = await Promise.all([
    import("../../ledger/folder-lock.ts"),
    import("../../ledger/prune.ts"),
    import("../../ledger/append-line.ts"),
  ]);
  const rules = await policies(roots, limits);
  const act = (signal?: AbortSignal): Promise<Pruning> =>
    prune(roots.runs, {
      nowMs: Date.now(),
      ...rules,
      onPruning: (name, line) => appendLine(roots.runs, name, line, systemClock),
      ...defined({ pipeline, dryRun, signal }),
    });
  // A dry run writes nothing, so it needs no lock.
  if (dryRun) return act();
  const owner = { clock: systemClock, version: VERSION };
  return withFolderLock(new RunStore(roots.runs).orchdDir, owner, act);
}

/**
 * Each pipeline's own rules, as the daemon has them. Where a file cannot be loaded its rules are
 * not known, so nothing of its pipeline goes.
 */
async function policies(
  roots: Roots,
  limits: AskedLimits,
): Promise<Pick<PruneOptions, "policyOf" | "totalBytes">> {
  const [{ loadPipelines, readSettings }, { policyUnder, totalBytesOf, KEEP_ALL }] =
    await Promise.all([import("../load-pipelines.ts"), import("../../ledger/retention.ts")]);
  const { retention } = await readSettings(roots);
  const files = await loadPipelines(roots, undefined, { asCompiled: true });
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
    const { runs = [], kept = [], bytes = 0, files = 0 } = pruned ?? {};
    terminal.json({ dryRun, runs, kept, bytes, files, ...defined({ reason: remark }) });
    return EXIT.done;
  }
  if (pruned === undefined) {
    terminal.line(remark ?? "the daemon has pruned");
    return EXIT.done;
  }
  for (const { run, because } of pruned.runs)
    terminal.line(dryRun ? "would remove " : "removed ", run, span("dim", `: ${because}`));
  const [runs, files] = [pruned.runs.length, pruned.files];
  const mebibytes = (pruned.bytes / 1_048_576).toFixed(1);
  terminal.line(
    `${countText(runs, "run")} and ${countText(files, "other file")} ` +
      `${dryRun ? "would be removed" : "removed"}, ${mebibytes} MiB; ` +
      `${countText(pruned.kept.length, "more run")} kept though a limit is passed`,
  );
  return EXIT.done;
}
