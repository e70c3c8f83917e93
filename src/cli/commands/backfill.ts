/**
 * `orchd backfill PIPELINE --from T --to T`: asks for runs of past slots; the dry run says what
 * that would cost.
 */
import { whyNoBackfill } from "../../core/backfill-bounds.ts";
import { defined } from "../../core/defined.ts";
import { formatDuration } from "../../core/duration.ts";
import { iso } from "../../core/time.ts";
import { RunStore } from "../../ledger/run-store.ts";
import {
  FORECAST_SLOTS,
  priceBackfill,
  type BackfillPlan,
  type BackfillPrice,
} from "../../views/backfill-price.ts";
import { countText } from "../../core/counted.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { timeText } from "../../views/moment.ts";
import type { Arguments } from "../arguments.ts";
import { askDaemon, refusal, report } from "../ask.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, invalidFile, seen, usageError, type ExitStatus } from "../exit.ts";
import { loadPipeline, readSettings, requireDropFolder } from "../load-pipelines.ts";
import { parseCount } from "../number-text.ts";
import type { Terminal } from "../terminal.ts";
import { parseTime } from "../time-text.ts";

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots } = context;
  const cancelled = args.text("cancel");
  if (cancelled !== undefined)
    return report(
      context,
      await askDaemon(context, { type: "cancel_backfill", id: cancelled }),
      () => `backfill ${cancelled} makes no more runs; those that have begun go on`,
    );
  const pipeline = args.text("pipeline");
  if (pipeline === undefined)
    throw usageError(
      "name a pipeline: `orchd backfill PIPELINE --from T --to T`, " +
        "or --cancel ID to end a backfill.",
    );
  seen(knownPipeline(roots, pipeline));
  const now = Date.now();
  const plan = parsePlan(args, now);
  if (args.flag("dry-run")) return dryRun(context, pipeline, plan, now);
  const { from, to, which, maxActive } = plan;
  const answer = await askDaemon(context, {
    type: "backfill",
    pipeline,
    from: iso(from),
    to: iso(to),
    which,
    ...defined({ maxActive }),
  });
  return report(context, answer, ({ reason }) => {
    const remark = reason === undefined ? "" : `: ${reason}`;
    const end = `\`orchd backfill --cancel ${answer.id}\` ends it`;
    return `backfill ${answer.id} is under way${remark}; ${end}`;
  });
}

type AskedPlan = Omit<BackfillPlan, "maxActive"> & { readonly maxActive: number | undefined };

function parsePlan(args: Arguments, now: number): AskedPlan {
  const [fromText, toText] = [args.text("from"), args.text("to")];
  if (fromText === undefined || toText === undefined)
    throw usageError(
      "--from and --to are both needed; " +
        "the slots between them, both included, are what is backfilled.",
    );
  const from = parseTime(fromText, "--from", now);
  const to = parseTime(toText, "--to", now);
  if (to < from)
    throw usageError(`--to (${timeText(to)}) lies before --from (${timeText(from)}); swap them.`);
  if (from > now)
    throw usageError(
      `--from (${timeText(from)}) lies in the future, and a backfill makes runs of past slots; ` +
        "`orchd next` shows the coming ones.",
    );
  const chosen = (["missing", "failed", "all"] as const).filter((name) => args.flag(name));
  if (chosen.length > 1)
    throw usageError(`--${chosen.join(" and --")} exclude each other; give one of them.`);
  const maxText = args.text("max-active");
  const maxActive = maxText === undefined ? undefined : parseCount(maxText, "--max-active", 1);
  return { from, to, which: chosen[0] ?? "missing", maxActive };
}

async function dryRun(
  { args, roots, terminal }: CommandContext,
  pipeline: string,
  { from, to, which, maxActive = 1 }: AskedPlan,
  now: number,
): Promise<ExitStatus> {
  requireDropFolder(roots);
  const file = await loadPipeline(roots, pipeline);
  if (file === undefined)
    throw usageError(`the file of "${pipeline}" is gone; a backfill needs it.`);
  if (!file.ok) throw invalidFile(pipeline, file.errors);
  const plan = { from, to: Math.min(to, now), which, maxActive };
  const settings = await readSettings(roots);
  const price = priceBackfill(new RunStore(roots.runs), file.loaded, settings, plan, now);
  if (args.flag("json")) terminal.json(price);
  const because = whyNoBackfill(pipeline, price, price.slots);
  if (because !== undefined) {
    terminal.error(refusal({ accepted: false, reason: because }));
    return EXIT.refused;
  }
  if (!args.flag("json")) printPrice(terminal, price, maxActive);
  return EXIT.done;
}

function printPrice(terminal: Terminal, price: BackfillPrice, maxActive: number): void {
  const { slots, runs, executes, cached, steps, estimatedMs } = price;
  terminal.line(
    `${countText(slots, "slot")} of ${price.pipeline} from ${timeText(price.from)} ` +
      `to ${timeText(price.to)}; ${countText(runs, "run")} would be made (${price.which})`,
  );
  if (runs === 0) return;
  const first = runs > FORECAST_SLOTS ? ` of the first ${countText(FORECAST_SLOTS, "slot")}` : "";
  terminal.line(
    `${countText(executes, "run")} would execute, the cache answers ${cached} whole ` +
      `and ${steps.cached} of ${countText(steps.total, "step")}${first}`,
  );
  terminal.line(
    estimatedMs === null
      ? "how long that takes is not known: no run of it has completed yet"
      : `about ${formatDuration(estimatedMs)}, ${maxActive} at once, by what its runs took so far`,
  );
}
