/**
 * `orchd next [PIPELINE]`: the coming slots, from the pipeline files as they are now, with the
 * offset that holds at each; `--days` rehearses a stretch of days.
 */
import type { PipelineState } from "../../core/pipeline-state.ts";
import { relativeText } from "../../core/relative-time.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { comingSlots } from "../../views/coming-slots.ts";
import { knownPipeline } from "../../views/known-pipeline.ts";
import { readPipeline } from "../../views/pipeline-reading.ts";
import { plannedByFile, plannedByLedger, type Planned } from "../../views/planned.ts";
import { rehearse } from "../../views/rehearsal.ts";
import type { CommandContext } from "../command.ts";
import { printRehearsal } from "./rehearsal.ts";
import { EXIT, seen, unknownError, usageError, type ExitStatus } from "../exit.ts";
import { loadFilesAbout, loadPipelines, type LoadedFile } from "../load-pipelines.ts";
import { parseCount } from "../number-text.ts";
import { printTable } from "../table.ts";
import { span } from "../terminal.ts";
import { parseTime } from "../time-text.ts";

const DEFAULT_NUMBER = 10;
const DEFAULT_DAYS = 7;
const DEFAULT_PILE_UP = 10;

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots, terminal } = context;
  const now = Date.now();
  const fromText = args.text("from");
  const from = fromText === undefined ? now : parseTime(fromText, "--from", now);
  const number = parseCount(args.text("number"), "--number", DEFAULT_NUMBER);
  const planned = await plannedPipelines(context, args.text("pipeline"), now);
  const daysText = args.text("days");
  if (daysText !== undefined) {
    const days = parseCount(daysText, "--days", DEFAULT_DAYS);
    const most = parseCount(args.text("pile-up"), "--pile-up", DEFAULT_PILE_UP);
    const view = rehearse(new RunStore(roots.runs), planned, { from, days, most });
    if (args.flag("json")) terminal.json(view);
    else printRehearsal(terminal, view, planned.length);
    return EXIT.done;
  }
  const slots = comingSlots(planned, from, number);
  if (args.flag("json")) terminal.json(slots);
  else if (slots.length === 0)
    terminal.note("nothing is due: no pipeline has a schedule that fires again.");
  else
    printTable(
      terminal,
      ["PIPELINE", "SLOT (UTC)", "", "LOCAL", "NOTE"],
      slots.map((slot) => [
        span(
          "bold",
          slot.schedule === undefined ? slot.pipeline : `${slot.pipeline}.${slot.schedule}`,
        ),
        slot.slot.slice(0, 19) + "Z",
        span("dim", relativeText(Date.parse(slot.slot), now)),
        slot.local,
        span("yellow", slot.note ?? ""),
      ]),
    );
  return EXIT.done;
}

/** The pipelines whose slots are asked for; one whose file is invalid goes by what is in force. */
async function plannedPipelines(
  context: CommandContext,
  wanted: string | undefined,
  now: number,
): Promise<Planned[]> {
  const { roots, terminal } = context;
  if (wanted !== undefined) seen(knownPipeline(roots, wanted));
  const store = new RunStore(roots.runs);
  const loaded = await (wanted === undefined
    ? loadPipelines(roots, undefined, { asCompiled: true })
    : loadFilesAbout(roots, wanted));
  const files = new Set(loaded.map(({ file }) => file));
  const planned = new Map<string, Planned>();
  for (const file of loaded) {
    const stateOf = (): PipelineState | undefined => readPipeline(store, file.name)?.state;
    if (file.ok) planned.set(file.name, plannedByFile(file.loaded, stateOf, now));
    else if (wanted === undefined || file.name === wanted)
      terminal.note(invalidText(file, stateOf()));
  }
  for (const name of wanted === undefined ? store.pipelines() : [wanted]) {
    const state = planned.has(name) ? undefined : readPipeline(store, name)?.state;
    if (
      state?.digest === undefined ||
      state.removed ||
      (state.file !== undefined && !files.has(state.file))
    )
      continue;
    planned.set(name, plannedByLedger(name, state, now));
  }
  if (wanted === undefined) return [...planned.values()];
  const one = planned.get(wanted);
  if (one !== undefined) return [one];
  if (loaded.some((file) => !file.ok && file.name === wanted))
    throw usageError(
      `the file of "${wanted}" is invalid and no version of it is in force; ` +
        "`orchd validate` says what to correct.",
    );
  throw unknownError(
    `the file of the pipeline "${wanted}" is gone from ${roots.schedules}; it fires no more.`,
  );
}

function invalidText(
  { file, errors, takenBy }: Extract<LoadedFile, { readonly ok: false }>,
  state: PipelineState | undefined,
): string {
  const hasGoodVersion = takenBy === undefined && state?.digest !== undefined && !state.removed;
  const error = errors[0] ?? `${file} is invalid`;
  return `${error}${hasGoodVersion ? "; its last good version counts" : ""}`;
}
