/** Requests: who asked for what, and what became of it. */
import type { JSX } from "preact";
import type { RequestPage, RequestRow } from "../../../views/request-list.ts";
import { now } from "../clock.ts";
import { Columns } from "../columns.tsx";
import { address, hrefOf, withQuery } from "../location.ts";
import { Status } from "../marks.tsx";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { useView } from "../view.ts";
import { relativeText } from "../words.ts";
import { fullTime } from "../zone.ts";

const STATES = {
  open: ["initializing", "waits for the daemon"],
  accepted: ["completed", "accepted"],
  refused: ["failed", "refused"],
} as const;

export function Requests(): JSX.Element {
  const { query } = address.value;
  const [id, cursor] = [query.get("id"), query.get("cursor")];
  const route = cursor === null ? "requests" : `requests?cursor=${encodeURIComponent(cursor)}`;
  const { value, problem } = useView<RequestPage>(route);
  return (
    <article>
      <h1>Requests</h1>
      <p class="lead mute">
        Who asked for something, and what became of it. A reply is kept for an hour.
      </p>
      {id !== null && <Chosen id={id} />}
      {problem !== undefined && <ProblemBox problem={problem} />}
      {value === undefined && problem === undefined && <Waiting what="the requests" />}
      {value?.requests.length === 0 && <p class="none">Nobody has asked for anything of late.</p>}
      {value !== undefined && value.requests.length > 0 && <Table page={value} chosen={id} />}
      <p class="pager">
        {cursor !== null && <a href={withQuery({ cursor: null })}>The newest</a>}{" "}
        {typeof value?.cursor === "string" && (
          <a href={withQuery({ cursor: value.cursor })}>Older ones</a>
        )}
      </p>
    </article>
  );
}

function Chosen({ id }: { readonly id: string }): JSX.Element {
  const { value, problem } = useView<RequestRow>(`requests/${encodeURIComponent(id)}`);
  return (
    <section class="card" aria-labelledby="chosen">
      <div class="card-head">
        <h2 id="chosen">{safeText(id)}</h2>
        <a href={withQuery({ id: null })}>close</a>
      </div>
      {problem !== undefined && <p class="bad">{safeText(problem.detail)}</p>}
      {value !== undefined && (
        <p role="status">
          <State row={value} /> <What row={value} />
          {value.reason !== null && `: ${sentence(value.reason)}`}
        </p>
      )}
    </section>
  );
}

function Table({
  page,
  chosen,
}: {
  readonly page: RequestPage;
  readonly chosen: string | null;
}): JSX.Element {
  return (
    <section class="card flush" aria-label="Requests">
      <div class="scrolls" tabIndex={0} role="group" aria-label="Requests, newest first">
        <table class="data stacked">
          <Columns names={["State", "What", "By", "At", "Reason", "Id"]} />
          <tbody>
            {page.requests.map((row) => (
              <tr key={row.id} class={row.id === chosen ? "selected" : ""}>
                <td>
                  <State row={row} />
                </td>
                <td>
                  <What row={row} />
                </td>
                <td>{safeText(row.by ?? "not known")}</td>
                <td title={fullTime(row.at)}>{relativeText(row.at, now.value)}</td>
                <td>{sentence(row.reason)}</td>
                <td>
                  <a href={withQuery({ id: row.id })}>
                    <code>{safeText(row.id.length > 14 ? `${row.id.slice(0, 12)}…` : row.id)}</code>
                  </a>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function State({ row: { state } }: { readonly row: RequestRow }): JSX.Element {
  const [status, text] = STATES[state] ?? STATES.open;
  return <Status status={status} text={text} />;
}

function What({ row: { type, pipeline, run } }: { readonly row: RequestRow }): JSX.Element {
  return (
    <>
      <b>{safeText((type ?? "a request").replaceAll("_", " "))}</b>{" "}
      {run !== null ? (
        <a href={hrefOf(["runs", run])}>{safeText(run)}</a>
      ) : (
        pipeline !== null && <a href={hrefOf(["pipelines", pipeline])}>{safeText(pipeline)}</a>
      )}
    </>
  );
}
