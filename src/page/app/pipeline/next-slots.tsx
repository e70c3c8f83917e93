/** The next ten slots of a pipeline, with what is special about each. */
import type { JSX } from "preact";
import type { PipelinePage } from "../../../views/pipeline-page.ts";
import { Command } from "../command.tsx";
import { now } from "../clock.ts";
import { safeText } from "../safe-text.ts";
import { comingText } from "../words.ts";
import { shortTime, zoned } from "../zone.ts";

export function NextSlots({ page }: { readonly page: PipelinePage }): JSX.Element {
  return (
    <section class="card" aria-labelledby="next">
      <h2 id="next">
        Next slots <small>{page.schedule === null ? "" : safeText(page.schedule)}</small>
      </h2>
      {page.next.length === 0 ? (
        <p class="none">{noneText(page)}</p>
      ) : (
        <ol class="next-slots">
          {page.next.map((slot) => (
            <li key={`${slot.slot} ${slot.schedule ?? ""}`}>
              <time dateTime={slot.slot} title={safeText(slot.local)}>
                {zoned(shortTime(slot.slot, now.value))}
              </time>
              <small>{comingText(slot.due ?? slot.slot, now.value)}</small>
              {slot.schedule !== undefined && <small>{safeText(slot.schedule)}</small>}
              {slot.note !== undefined && <span class="noted">{safeText(slot.note)}</span>}
            </li>
          ))}
        </ol>
      )}
      <Command words={["orchd", "next", page.name]} />
    </section>
  );
}

/** Why no slot comes. */
function noneText({ schedule, removed, valid, versions }: PipelinePage): string {
  if (removed === true) return "None: its file was removed.";
  if (schedule !== null) return "None.";
  return valid || versions.some((version) => version.valid)
    ? "It has no schedule; it runs when it is asked to."
    : "None while no version of its file is in force.";
}
