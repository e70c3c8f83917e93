/** The versions of a pipeline's file that the ledgers know. */
import type { JSX } from "preact";
import type { PipelinePage } from "../../../views/pipeline-page.ts";
import { Status } from "../marks.tsx";
import { hrefOf } from "../location.ts";
import { safeText } from "../safe-text.ts";
import { fullTime } from "../zone.ts";

/** So many are listed at first. */
const MOST = 6;

export function Versions({ page }: { readonly page: PipelinePage }): JSX.Element {
  const rest = page.versions.slice(MOST);
  return (
    <section class="card" aria-labelledby="versions">
      <div class="card-head">
        <h2 id="versions">Versions of its file</h2>
        <a href={hrefOf(["pipelines", page.name, "file"])}>the file</a>
      </div>
      {page.versions.length === 0 && <p class="none">No daemon has read it yet.</p>}
      <List versions={page.versions.slice(0, MOST)} />
      {rest.length > 0 && (
        <details>
          <summary>{`${rest.length} older`}</summary>
          <List versions={rest} />
        </details>
      )}
    </section>
  );
}

function List({ versions }: { readonly versions: PipelinePage["versions"] }): JSX.Element {
  return (
    <ul class="reasons">
      {versions.map(({ at, digest, valid, errors }, index) => (
        <li key={`${at} ${index}`}>
          {valid ? (
            <Status status="completed" text="valid" />
          ) : (
            <Status status="failed" text="not valid" />
          )}{" "}
          <Read at={at} digest={digest} />
          {errors.map((error, line) => (
            <p key={line} class="bad">
              {safeText(error)}
            </p>
          ))}
        </li>
      ))}
    </ul>
  );
}

/** When a version was read, and the beginning of its digest. */
function Read({
  at,
  digest,
}: {
  readonly at: string;
  readonly digest: string | null;
}): JSX.Element {
  return (
    <>
      <time dateTime={at}>{fullTime(at)}</time>{" "}
      {digest !== null && <code title={safeText(digest)}>{safeText(digest.slice(0, 12))}</code>}
    </>
  );
}
