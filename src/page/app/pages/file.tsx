/** File: a pipeline's file as it stands, read-only, with what is wrong at its lines. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { PipelineFilePage } from "../../../views/pipeline-page.ts";
import { Command } from "../command.tsx";
import { address, hrefOf, withQuery } from "../location.ts";
import { useNamed } from "../named-view.ts";
import type { PageProps } from "../page-props.ts";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { CopyButton } from "../run/copy-button.tsx";
import { VirtualList } from "../run/virtual-list.tsx";
import { safeText } from "../safe-text.ts";
import { countText } from "../words.ts";

const ROW = 20;

export function File({ target }: PageProps): JSX.Element {
  const { value, problem } = useNamed<PipelineFilePage>(
    `pipelines/${encodeURIComponent(target)}/file`,
    { pipeline: target },
  );
  return (
    <article>
      <nav class="crumbs" aria-label="Where this is">
        <a href={hrefOf([])}>Overview</a> ›{" "}
        <a href={hrefOf(["pipelines", target])}>{safeText(target)}</a> ›{" "}
        <span aria-current="page">file</span>
      </nav>
      <h1>{safeText(value?.file.split("/").at(-1) ?? target)}</h1>
      {problem !== undefined && <ProblemBox problem={problem} />}
      {value === undefined && problem === undefined && <Waiting what="the file" />}
      {value !== undefined && <Shown page={value} />}
    </article>
  );
}

function Shown({ page }: { readonly page: PipelineFilePage }): JSX.Element {
  const { file, text, because, faults } = page;
  return (
    <>
      <p class="lead mute">
        {safeText(file)} <small>read-only: edit it where it is</small>
      </p>
      {faults.length > 0 && (
        <section class="card why" aria-labelledby="faults">
          <h2 id="faults">{`It is not valid: ${countText(faults.length, "fault")}`}</h2>
          <ul class="reasons">
            {faults.map(({ line, text: fault }, index) => (
              <li key={index}>
                {line !== null && <a href={withQuery({ line })}>{`line ${line}`}</a>}
                {line !== null && ": "}
                {safeText(fault)}
              </li>
            ))}
          </ul>
          <Command words={["orchd", "validate", file]} />
        </section>
      )}
      {text === null ? (
        <p class="fault" role="alert">
          {safeText(because ?? "It cannot be read.")}
        </p>
      ) : (
        <Source text={text} page={page} />
      )}
    </>
  );
}

function Source({
  text,
  page: { faults },
}: {
  readonly text: string;
  readonly page: PipelineFilePage;
}): JSX.Element {
  const lines = text.replace(/\n$/, "").split("\n");
  const chosen = Number(address.value.query.get("line") ?? "") || undefined;
  const scroller = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (chosen !== undefined && scroller.current !== null)
      scroller.current.scrollTop = (chosen - 1) * ROW - 80;
  }, [chosen]);
  return (
    <section class="card" aria-label="The file">
      <p class="source-head mute">
        {countText(lines.length, "line")} <CopyButton text={text} what="the file" />
      </p>
      <VirtualList
        class="source"
        label="The file's lines"
        rows={lines.length}
        height={ROW}
        keyOf={(row) => row}
        scroller={scroller}
      >
        {(row) => (
          <SourceLine
            number={row + 1}
            text={lines[row]!}
            faults={faults.filter(({ line }) => line === row + 1)}
            selected={chosen === row + 1}
          />
        )}
      </VirtualList>
    </section>
  );
}

function SourceLine({
  number,
  text,
  faults,
  selected,
}: {
  readonly number: number;
  readonly text: string;
  readonly faults: PipelineFilePage["faults"];
  readonly selected: boolean;
}): JSX.Element {
  return (
    <div class={`src${faults.length > 0 ? " faulty" : ""}${selected ? " selected" : ""}`}>
      <a href={withQuery({ line: number })} tabIndex={-1} aria-label={`Line ${number}`}>
        {number}
      </a>
      <code>{safeText(text)}</code>
      {faults.map((fault, index) => (
        <p key={index} class="bad">
          ↑ {safeText(fault.text)}
        </p>
      ))}
    </div>
  );
}
