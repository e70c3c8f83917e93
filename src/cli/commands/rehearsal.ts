/** `orchd next --days N`: a rehearsal of the coming days, for people. */
import { formatDuration } from "../../core/duration.ts";
import { countText } from "../../core/counted.ts";
import { timeText } from "../../views/moment.ts";
import { MOST_SLOTS, type Overlap, type PileUp, type Rehearsal } from "../../views/rehearsal.ts";
import { span, type Terminal } from "../terminal.ts";

/** How much of a section is printed, and how many pipelines of a pile-up. */
const LINES_SHOWN = 20;
const NAMES_SHOWN = 5;

/** Prints a rehearsal. @param pipelines how many were rehearsed */
export function printRehearsal(terminal: Terminal, view: Rehearsal, pipelines: number): void {
  terminal.line(
    `${countText(view.slots, "slot")} of ${countText(pipelines, "pipeline")} ` +
      `from ${timeText(view.from)} to ${timeText(view.to)}`,
  );
  for (const { pipeline, through } of view.cut)
    terminal.line(
      `${pipeline}: only its first ${countText(MOST_SLOTS, "slot")} are looked at, ` +
        `through ${timeText(through)}`,
    );
  section(terminal, "pile-ups", view.pileUps, pileUpText);
  section(terminal, "runs that will overlap", view.overlaps, overlapText);
  section(
    terminal,
    "slots that daylight saving changes",
    view.moved,
    ({ pipeline, slot, local, note = "" }) => `${pipeline}  ${slot}  ${local}  ${note}`,
  );
}

function pileUpText({ second, count, pipelines }: PileUp): string {
  const names = pipelines.slice(0, NAMES_SHOWN).join(", ");
  return (
    `${timeText(second)}  ${countText(count, "slot")} at once: ${names}` +
    `${pipelines.length > NAMES_SHOWN ? ", …" : ""}; jitterSeconds spreads them`
  );
}

function overlapText(it: Overlap): string {
  return (
    `${it.pipeline}: its runs take ${formatDuration(it.medianMs)} ` +
    `(one in ten ${formatDuration(it.longMs)} or more), and ${countText(it.slots, "slot")} ` +
    `come sooner after the one before, first ${timeText(it.nextSlot)}`
  );
}

function section<T>(
  terminal: Terminal,
  title: string,
  found: readonly T[],
  text: (one: T) => string,
): void {
  terminal.line("");
  terminal.line(span("bold", title), found.length === 0 ? ": none" : `: ${found.length}`);
  for (const one of found.slice(0, LINES_SHOWN)) terminal.line("  ", text(one));
  if (found.length > LINES_SHOWN)
    terminal.line(span("dim", `  and ${found.length - LINES_SHOWN} more; --json has them all`));
}
