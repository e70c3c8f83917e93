/** What did not run, by reason, with the backfill that would mend it. */
import type { SlotReason } from "../../../views/overview.ts";
import { address, hrefOf } from "../location.ts";
import { Status } from "../marks.tsx";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";

/** How many pipelines of a reason are named. */
const NAMED = 3;

export function Reasons({ reasons }: { reasons: readonly SlotReason[] }) {
  return (
    <section aria-labelledby="reasons-title">
      <h2 id="reasons-title">Not run, by reason</h2>
      {reasons.length === 0 ? (
        <p class="card">Every slot of this time ran.</p>
      ) : (
        <table class="table reasons">
          <thead>
            <tr>
              <th scope="col">Slots</th>
              <th scope="col">Decision</th>
              <th scope="col">Pipelines</th>
              <th scope="col">Because</th>
              <th scope="col">
                <span class="unseen">Backfill</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {reasons.map((reason) => (
              <ReasonRow key={`${reason.decision} ${reason.because}`} reason={reason} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function ReasonRow({ reason }: { reason: SlotReason }) {
  const { slots, decision, because, pipelines } = reason;
  const rest = pipelines.length - NAMED;
  return (
    <tr>
      <td class="number">{slots.toLocaleString("en")}</td>
      <td>
        <Status status={decision} />
      </td>
      <td>
        {pipelines.slice(0, NAMED).map((name, index) => (
          <>
            {index > 0 && ", "}
            <a href={hrefOf(["slots"], { ...kept(), pipeline: name })}>{safeText(name)}</a>
          </>
        ))}
        {rest > 0 && ` and ${rest} more`}
      </td>
      <td class="because">{sentence(because)}</td>
      <td class="mend">
        {decision === "missed" &&
          pipelines.slice(0, NAMED).map((name) => (
            <a key={name} class="button" href={backfillOf(reason, name)}>
              Backfill{pipelines.length > 1 && ` ${safeText(name)}`}… <small>the price first</small>
            </a>
          ))}
      </td>
    </tr>
  );
}

/** The span stays as it is chosen. */
function kept(): Record<string, string | null> {
  const { query } = address.value;
  return { span: query.get("span"), until: query.get("until") };
}

/** The backfill's end is the second after the last slot: slots are whole seconds. */
function backfillOf({ from, to }: SlotReason, pipeline: string): string {
  const end = new Date(Date.parse(to) + 1_000).toISOString();
  return hrefOf(["backfill"], { pipeline, from, to: end, which: "missing" });
}
