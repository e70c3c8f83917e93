/** The same as the grid, as a table: for those who read rather than look. Newest first. */
import type { StripMark } from "../../../views/overview.ts";
import type { SlotGrid } from "../../../views/slot-grid.ts";
import { Columns } from "../columns.tsx";
import { hrefOf } from "../location.ts";
import { hrefOfMark } from "../mark-tip.tsx";
import { decisionText, Status } from "../marks.tsx";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { durationText } from "../words.ts";
import { fullTime } from "../zone.ts";

const MOST = 500;

interface Entry {
  readonly pipeline: string;
  readonly mark: StripMark;
  readonly count: number;
}

export function SlotTable({ grid }: { grid: SlotGrid }) {
  const entries = grid.rows
    .flatMap(({ pipeline, marks = [], cells = [] }): Entry[] => [
      ...marks.map((mark) => ({ pipeline, mark, count: 1 })),
      ...cells.map(({ worst, count }) => ({ pipeline, mark: worst, count })),
    ])
    .toSorted((a, b) => ((a.mark.slot ?? "") < (b.mark.slot ?? "") ? 1 : -1));
  return (
    <>
      <table class="table slot-table">
        <Columns names={["Slot", "Pipeline", "Decision", "Run", "Because"]} />
        <tbody>
          {entries.slice(0, MOST).map(({ pipeline, mark, count }) => (
            <tr key={`${pipeline} ${mark.slot} ${mark.schedule} ${mark.run}`}>
              <td>
                <a href={hrefOfMark(pipeline, mark)}>{mark.slot && fullTime(mark.slot)}</a>
                {count > 1 && <small>the worst of {count}</small>}
              </td>
              <td>
                <a href={hrefOf(["pipelines", pipeline])}>{safeText(pipeline)}</a>
              </td>
              <td>{decisionText(mark)}</td>
              <td>
                {mark.status !== null && <Status status={mark.status} />}
                {mark.durationMs !== null && <small>{durationText(mark.durationMs)}</small>}
              </td>
              <td class="because">{sentence(mark.because)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {entries.length > MOST && (
        <p class="foot">
          The newest {MOST} of {entries.length}. A shorter span, or one pipeline, shows the others.
        </p>
      )}
    </>
  );
}
