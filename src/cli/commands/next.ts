/**
 * `orchd next [PIPELINE]`: the coming slots, from the pipeline files as they are now, with the
 * offset that holds at each; `--days` rehearses a stretch of days (rehearsal.ts).
 */
import { timetable, type DueSlot, type Timetable } from "../../core/schedule/schedule.ts";
import { RunStore } from "../../ledger/run-store.ts";
import type { PipelineState } from "../../core/pipeline-state.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, unknownError, usageError, type ExitStatus } from "../exit.ts";
import { loadPipelines } from "../load-pipelines.ts";
import { describe, type NextSlot, type Planned } from "../../views/next-slot.ts";
import { parseCount } from "../number-text.ts";
import { readPipeline, schedulesInForce } from "../../views/pipeline-view.ts";
import { requirePipeline } from "../known-pipeline.ts";
import { printTable } from "../table.ts";
import { span } from "../terminal.ts";
import { parseTime, relativeText } from "../time-text.ts";

const DEFAULT_NUMBER = 10;

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, terminal } = context;
  const now = Date.now();
  const fromText = args.text("from");
  const from = fromText === undefined ? now : parseTime(fromText, "--from", now);
  const number = parseCount(args.text("number"), "--number", DEFAULT_NUMBER);
  const planned = await plannedPipelines(context, args.text("pipeline"));
  const days = args.text("days");
  if (days !== undefined)
    return (await import("./rehearsal.ts")).rehearse(
      context,
      planned,
      from,
      parseCount(days, "--days", 7),
    );
  const slots = coming(planned, from, number);
  if (args.flag("json")) terminal.json(slots);
  else if (slots.length === 0)
    terminal.note("nothing is due: no pipeline has a schedule that fires again.");
  else {
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
  }
  return EXIT.done;
}

/** The pipelines whose slots are asked for; one whose file is invalid goes by what is in force. */
async function plannedPipelines(
  context: CommandContext,
  wanted: string | undefined,
): Promise<Planned[]> {
  const { roots, terminal } = context;
  if (wanted !== undefined) requirePipeline(roots, wanted);
  const store = new RunStore(roots.runs);
  const loaded = await loadPipelines(roots);
  const planned = new Map<string, Planned>();
  for (const file of loaded) {
    if (!file.ok) {
      if (wanted === undefined || file.name === wanted)
        terminal.note(
          `${file.errors[0] ?? `${file.file} is invalid`}${hasGoodVersion(readPipeline(store, file.name)?.state) ? "; its last good version counts" : ""}`,
        );
      continue;
    }
    const { name, schedules } = file.loaded;
    const state = readPipeline(store, name)?.state;
    const ended =
      state === undefined || state.digest !== file.loaded.digest
        ? schedules
        : schedulesInForce(state);
    planned.set(name, {
      pipeline: name,
      table: timetable(name, ended),
      paused: state?.paused === true,
    });
  }
  for (const name of store.pipelines()) {
    const state = planned.has(name) ? undefined : readPipeline(store, name)?.state;
    if (
      state === undefined ||
      state.removed ||
      (state.file !== undefined && loaded.every(({ file }) => file !== state.file))
    )
      continue;
    planned.set(name, {
      pipeline: name,
      table: timetable(name, schedulesInForce(state)),
      paused: state.paused,
    });
  }
  if (wanted === undefined) return [...planned.values()];
  const one = planned.get(wanted);
  if (one !== undefined) return [one];
  if (loaded.some((file) => !file.ok && file.name === wanted))
    throw usageError(
      `the file of "${wanted}" is invalid and no version of it is in force; \`orchd validate\` says what to correct.`,
    );
  throw unknownError(
    `the file of the pipeline "${wanted}" is gone from ${roots.schedules}; it fires no more.`,
  );
}

/** The first slots after `from` of all pipelines, by slot. */
function coming(planned: readonly Planned[], from: number, number: number): NextSlot[] {
  const slots = planned.flatMap((it) =>
    slotsAfter(it.table, from, number).map((slot) => ({ it, slot })),
  );
  slots.sort((a, b) => a.slot.slot - b.slot.slot || (a.it.pipeline < b.it.pipeline ? -1 : 1));
  return slots.slice(0, number).map(({ it, slot }) => describe(it, slot));
}

/**
 * Slots, not due times, after `from` (semantics.md 0): a slot before it whose jitter is not over is
 * none of them.
 */
function slotsAfter(table: Timetable, from: number, number: number): DueSlot[] {
  const found: DueSlot[] = [];
  let after = from;
  while (found.length < number) {
    const next = table.next(after);
    if (next === undefined) break;
    const together = table.dueSlots(next.due - 1, next.due);
    found.push(...together.filter(({ slot }) => slot > from));
    after = next.due;
  }
  return found;
}

function hasGoodVersion(state: PipelineState | undefined): boolean {
  return state?.digest !== undefined && !state.removed;
}
