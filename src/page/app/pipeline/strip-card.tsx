/** A pipeline's last slots and runs by hand, as marks that lead to their runs. */
import type { JSX } from "preact";
import type { StripMark } from "../../../views/overview.ts";
import type { PipelinePage } from "../../../views/pipeline-page.ts";
import { hrefOf } from "../location.ts";
import { markSentence, MarkShape, StripLegend } from "../marks.tsx";

const HEIGHT = 26;

export function StripCard({ page }: { readonly page: PipelinePage }): JSX.Element {
  return (
    <section class="card strip-card" aria-labelledby="strip">
      <div class="card-head">
        <h2 id="strip">
          Its last slots <small>newest at the right</small>
        </h2>
        <StripLegend />
      </div>
      {page.strip.length === 0 ? (
        <p class="none">It has not fired yet.</p>
      ) : (
        <ul class="strip-marks">
          {page.strip.map((mark) => (
            <li key={`${mark.slot ?? ""} ${mark.run ?? ""} ${mark.decision}`}>
              <Mark mark={mark} pipeline={page.name} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Mark({
  mark,
  pipeline,
}: {
  readonly mark: StripMark;
  readonly pipeline: string;
}): JSX.Element {
  const sentence = markSentence(mark);
  const href =
    mark.run === null ? hrefOf(["slots"], { pipeline, at: mark.slot }) : hrefOf(["runs", mark.run]);
  return (
    <a href={href} aria-label={sentence} title={sentence}>
      <svg width="11" height={HEIGHT} viewBox={`-1 0 11 ${HEIGHT}`} aria-hidden="true">
        <MarkShape {...mark} height={HEIGHT} />
      </svg>
    </a>
  );
}
