/**
 * A run's ledger, line by line, as it stands on the disk: the text that is copied is the ledger's
 * own, byte for byte, and what is shown of it is cut where it is long.
 */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { RunPage } from "../../../views/run-page.ts";
import { apiUrl, headers } from "../api.ts";
import { Command } from "../command.tsx";
import { listen } from "../live.ts";
import { safeText } from "../safe-text.ts";
import { untilAnswered } from "../until-answered.ts";
import { countText } from "../words.ts";
import { CopyButton } from "./copy-button.tsx";
import { VirtualList } from "./virtual-list.tsx";

/** A value is cut to this many characters of its JSON. */
const MOST_VALUE = 400;
/** A line is read whole up to this many characters; a snapshot may have a million. */
const MOST_PARSED = 200_000;
const FRAME = new Set(["seq", "b", "at", "type", "crc"]);
const BAD = new Set(["step.failed", "step.interrupted", "hook.failed", "stop.failed"]);

/** One line, as far as it can be read. */
interface Line {
  readonly text: string;
  readonly seq: number;
  readonly type: string;
  readonly step: string;
  readonly at: number;
  readonly rest: readonly (readonly [key: string, json: string])[];
}

/** The ledger's card. */
export function LedgerLines({ page }: { readonly page: RunPage }): JSX.Element {
  const { lines, problem } = useLines(page.run, page.ledger.lines);
  const from = lines[0]?.at ?? 0;
  return (
    <section class="card ledger" aria-labelledby="ledger">
      <h2 id="ledger">
        Ledger{" "}
        <small>
          {safeText(page.ledger.file.split("/").at(-1)!)}
          {` · ${countText(page.ledger.lines, "line")}, `}
          {page.ledger.fault === null ? "crc whole" : <b class="bad">damaged</b>}
        </small>
      </h2>
      {page.ledger.fault !== null && <p class="fault">{safeText(page.ledger.fault)}</p>}
      {problem !== undefined && <p class="fault">{safeText(problem)}</p>}
      <VirtualList
        class="lgs"
        label="The ledger's lines"
        rows={lines.length}
        height={74}
        keyOf={(row) => row}
      >
        {(row) => <LedgerLine line={lines[row]!} from={from} />}
      </VirtualList>
      <Command words={["orchd", "status", page.run]} />
    </section>
  );
}

function LedgerLine({ line, from }: { readonly line: Line; readonly from: number }): JSX.Element {
  const { seq, type, step, at, rest, text } = line;
  const bad = BAD.has(type) || rest.some(([key, json]) => key === "status" && json === '"failed"');
  return (
    <div class={`lg${bad ? " bad" : ""}`}>
      <span class="lg-n">{Number.isNaN(seq) ? "?" : seq}</span>
      <div class="lg-head">
        <strong>{safeText(type)}</strong> <span>{safeText(step)}</span>
        <span class="lg-at">{Number.isNaN(at) ? "" : offset(at - from)}</span>
        <CopyButton text={text} what={`line ${seq}`} />
      </div>
      <code>
        {rest.length === 0 && safeText(text.slice(0, MOST_VALUE))}
        {rest.map(([key, json], index) => (
          <span key={key}>
            {index > 0 && " "}
            <em>{safeText(key)}:</em>
            {key === "because" ? <b>{safeText(shown(json))}</b> : safeText(shown(json))}
          </span>
        ))}
      </code>
    </div>
  );
}

function shown(json: string): string {
  return json.length > MOST_VALUE
    ? `${json.slice(0, MOST_VALUE)}… ${json.length.toLocaleString("en")} characters`
    : json;
}

/** `+1.084`: seconds since the first line. */
function offset(milliseconds: number): string {
  return `${milliseconds < 0 ? "−" : "+"}${(Math.abs(milliseconds) / 1_000).toFixed(3)}`;
}

function readLine(text: string): Line {
  try {
    if (text.length > MOST_PARSED) return { ...framed(text), rest: [] };
    const fields = JSON.parse(text) as Record<string, unknown>;
    return {
      text,
      seq: Number(fields["seq"]),
      type: String(fields["type"]),
      step: typeof fields["step"] === "string" ? fields["step"] : "",
      at: Date.parse(String(fields["at"])),
      rest: Object.entries(fields)
        .filter(([key]) => !FRAME.has(key) && key !== "step")
        .map(([key, value]) => [key, JSON.stringify(value)] as const),
    };
  } catch {
    return { text, seq: Number.NaN, type: "not JSON", step: "", at: Number.NaN, rest: [] };
  }
}

/** The frame of a long line: it stands at the line's beginning. */
function framed(text: string): Omit<Line, "rest"> {
  const head = text.slice(0, 400);
  return {
    text,
    seq: Number(/"seq":(\d+)/.exec(head)?.[1]),
    type: /"type":"([^"]*)"/.exec(head)?.[1] ?? "",
    step: /"step":"([^"]*)"/.exec(head)?.[1] ?? "",
    at: Date.parse(/"at":"([^"]*)"/.exec(head)?.[1] ?? ""),
  };
}

/** The lines, and those that come. @param known how many lines the view has seen */
function useLines(
  run: string,
  known: number,
): { readonly lines: readonly Line[]; readonly problem: string | undefined } {
  const [lines, setLines] = useState<readonly Line[]>([]);
  const [problem, setProblem] = useState<string>();
  const held = useRef<{ run: string; lines: readonly Line[] }>({ run, lines: [] });
  if (held.current.run !== run) held.current = { run, lines: [] };
  const mine = held.current;
  useEffect(() => {
    const own = new AbortController();
    const doing = { busy: false, isWanted: false };
    const take = (more: readonly string[]): void => {
      if (more.length === 0) return;
      mine.lines = [...mine.lines, ...more.map(readLine)];
      setLines(mine.lines);
    };
    /** The next part of the ledger: the server gives a long one a part at a time. */
    const part = async (): Promise<readonly string[] | undefined> => {
      const read = await readFrom(run, (mine.lines.at(-1)?.seq ?? 0) + 1);
      if (own.signal.aborted) return undefined;
      setProblem("problem" in read ? read.problem : undefined);
      return "lines" in read ? read.lines : undefined;
    };
    const more = async (): Promise<void> => {
      doing.isWanted = true;
      if (doing.busy) return;
      doing.busy = true;
      // What comes while it reads may be missing in what it reads.
      while (doing.isWanted && !own.signal.aborted) {
        doing.isWanted = false;
        const read = (await untilAnswered(part, own.signal)) ?? [];
        doing.isWanted ||= read.length > 0;
        take(read);
      }
      doing.busy = false;
    };
    void more();
    const stop = listen({ run }, (line) => {
      // A stream that begins does not tell of the lines before it.
      if (line === undefined) return void more();
      if (!line.file.includes(`/${run}.`)) return;
      const place = mine.lines.at(-1)?.seq ?? 0;
      if (line.seq !== place + 1 || doing.busy) return void more();
      take([line.text]);
    });
    return () => {
      own.abort();
      stop();
    };
  }, [run, known === 0]);
  return { lines, problem };
}

async function readFrom(
  run: string,
  seq: number,
): Promise<{ readonly lines: readonly string[] } | { readonly problem: string }> {
  try {
    const response = await fetch(
      apiUrl(`runs/${encodeURIComponent(run)}/ledger?from=${seq}&limit=5000`),
      {
        headers: headers({ Accept: "application/x-ndjson" }),
        cache: "no-store",
      },
    );
    if (!response.ok) return { problem: `The ledger cannot be read: status ${response.status}.` };
    const text = await response.text();
    return { lines: text.split("\n").filter((line) => line !== "") };
  } catch {
    return { problem: "The page's server does not answer." };
  }
}
