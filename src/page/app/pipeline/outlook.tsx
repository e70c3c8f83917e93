/** What the coming days will be like: overlaps, pile-ups and slots that daylight saving moves. */
import type { JSX } from "preact";
import { DAY_MS, HOUR_MS } from "../../../core/time.ts";
import type { PipelinePage } from "../../../views/pipeline-page.ts";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { countText, durationText, someText } from "../words.ts";
import { fullTime } from "../zone.ts";

/** So many of each kind are told. */
const MOST = 5;

export function Outlook({ page }: { readonly page: PipelinePage }): JSX.Element {
  const { from, to, slots, overlaps, pileUps, moved } = page.rehearsal;
  const isQuiet = overlaps.length + pileUps.length + moved.length === 0;
  return (
    <section class="card" aria-labelledby="outlook">
      <h2 id="outlook">
        {`The next ${spanText(Date.parse(to) - Date.parse(from))} `}
        <small>{countText(slots, "slot")}</small>
      </h2>
      {isQuiet && <p class="none">No overlap, no pile-up, no slot that daylight saving moves.</p>}
      <ul class="reasons">
        {overlaps.slice(0, MOST).map((one) => (
          <li key={`o${one.pipeline}`}>
            <b>overdue</b>
            {` from ${fullTime(one.slot)} on: its runs take ${durationText(one.medianMs)}, `}
            {`one in ten ${durationText(one.longMs)}, and the next slot comes after `}
            {`${durationText(one.everyMs)}; ${countText(one.slots, "slot")} in all`}
          </li>
        ))}
        {pileUps.slice(0, MOST).map((one) => (
          <li key={`p${one.second}`}>
            <b>pile-up</b>
            {` at ${fullTime(one.second)}: ${countText(one.count, "slot")} in one second, of `}
            {safeText(someText(one.pipelines))}
          </li>
        ))}
        {pileUps.length > MOST && (
          <li class="mute">{countText(pileUps.length - MOST, "more pile-up")}</li>
        )}
        {moved.slice(0, MOST).map((one) => (
          <li key={`m${one.slot}`}>
            <b>moved</b>
            {` ${safeText(one.local)}: ${sentence(one.note)}`}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** `day`, `7 days`, `5 hours`: a rehearsal takes whole ones. */
function spanText(milliseconds: number): string {
  const days = milliseconds / DAY_MS;
  const [count, unit] = days < 1 ? [milliseconds / HOUR_MS, "hour"] : [days, "day"];
  return count === 1 ? unit : countText(count, unit);
}
