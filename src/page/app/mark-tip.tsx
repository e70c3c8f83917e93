/** What the tooltip says of a mark: the whole story of a slot, and where to go on. */
import type { StripMark } from "../../views/overview.ts";
import { Command } from "./command.tsx";
import { hrefOf } from "./location.ts";
import { decisionText, Status } from "./marks.tsx";
import { safeText } from "./safe-text.ts";
import { sentence } from "./sentence.ts";
import { durationText } from "./words.ts";
import { fullTime, shortTime, zoned } from "./zone.ts";

/** A mark leads to its run; without one, to the slot's answer on its pipeline's page. */
export function hrefOfMark(pipeline: string, { run, slot }: StripMark): string {
  return run === null ? hrefOf(["pipelines", pipeline], { at: slot }) : hrefOf(["runs", run]);
}

export function MarkTip({
  pipeline,
  mark,
  count = 1,
}: {
  pipeline: string;
  mark: StripMark;
  /** How many slots the mark stands for. */
  count?: number;
}) {
  const { slot, because, run, status, lateMs, durationMs, decidedAt } = mark;
  const isLate = (lateMs ?? 0) > 1_000;
  return (
    <>
      <p>
        <b>{safeText(pipeline)}</b>
        {slot !== null && ` · ${mark.decision === "by_hand" ? "" : "slot "}${fullTime(slot)}`}
      </p>
      <p>
        <b>{decisionText(mark).replace(" late", "")}</b>
        {isLate && ` ${durationText(lateMs ?? 0)} late`}
        {status !== null && (
          <>
            {", "}
            <Status status={status} />
            {durationMs !== null && ` in ${durationText(durationMs)}`}
          </>
        )}
      </p>
      {because !== null && <p>{sentence(because)}</p>}
      {count > 1 && <p>The worst of {count} slots here; a shorter span shows each.</p>}
      <p>
        <small>
          {decidedAt !== null && slot !== null && (
            <>decided {zoned(shortTime(decidedAt, Date.parse(slot)))} · </>
          )}
          {run !== null && (
            <>
              <a href={hrefOf(["runs", run])}>open the run</a>
              {" · "}
              <a href={hrefOf(["runs", run], {}, "ledger")}>its ledger</a>
              {" · "}
            </>
          )}
          <a href={hrefOf(["pipelines", pipeline])}>the pipeline</a>
        </small>
      </p>
      {slot !== null && mark.decision !== "by_hand" && (
        <Command words={["orchd", "why", pipeline, slot]} />
      )}
    </>
  );
}
