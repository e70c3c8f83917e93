/** A pipeline's last slots and runs by hand, as marks that lead to their runs. */
import type { JSX } from "preact";
import type { PipelinePage } from "../../../views/pipeline-page.ts";
import { StripLegend } from "../marks.tsx";
import { Strip } from "../strip.tsx";

export function StripCard({ page }: { readonly page: PipelinePage }): JSX.Element {
  return (
    <section class="card strip-card" aria-labelledby="strip">
      <div class="card-head">
        <h2 id="strip">
          Its last slots <small>newest at the right</small>
        </h2>
        <StripLegend />
      </div>
      <div class="scrolls strip-room">
        <Strip pipeline={page.name} marks={page.strip} />
      </div>
    </section>
  );
}
