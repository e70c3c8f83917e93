/** The backfills of a pipeline that are under way, each with the button that ends it. */
import type { JSX } from "preact";
import type { BackfillView } from "../../views/pipeline-view.ts";
import { hrefOf } from "./location.ts";
import { AskButton } from "./run/ask-button.tsx";
import { safeText } from "./safe-text.ts";
import { fullTime } from "./zone.ts";

export function UnderWay({
  backfills,
}: {
  readonly backfills: readonly BackfillView[];
}): JSX.Element | null {
  if (backfills.length === 0) return null;
  return (
    <section class="card" aria-labelledby="under-way">
      <h2 id="under-way">Backfills under way</h2>
      <ul class="reasons">
        {backfills.map(({ id, from, to, which }) => (
          <li key={id} class="backfill-row">
            <span>
              <a href={hrefOf(["requests"], { id })}>
                <b>{safeText(id)}</b>
              </a>
              {` · ${fullTime(from)} to ${fullTime(to)}, ${safeText(which)}`}
            </span>
            <AskButton
              text="Cancel"
              note="runs that have begun go on"
              intent={{
                title: `Cancel the backfill ${id}`,
                what: "It makes no more runs. Those that have begun go on.",
                button: "Cancel the backfill",
                command: ["orchd", "backfill", "--cancel", id],
                request: { type: "cancel_backfill", id },
              }}
            />
          </li>
        ))}
      </ul>
    </section>
  );
}
