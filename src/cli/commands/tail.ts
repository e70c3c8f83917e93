/**
 * `orchd tail [PIPELINE] [-f]`: the newest ledger lines, of pipelines and of their runs, in the
 * order in which they were written.
 *
 * Runs are found through the pipeline's ledger, which names each run as it starts and ends; no
 * month folder is listed. With `-f` the ledger of an active run is followed until the run ends, and
 * a pipeline's ledger across its rotation.
 */
import { defined } from "../../core/defined.ts";
import { PIPELINE_NAME } from "../../core/run-id.ts";
import { RunStore } from "../../ledger/run-store.ts";
import { parseObject } from "../../views/json-line.ts";
import { LineFollower } from "../../views/line-follower.ts";
import { readPipeline } from "../../views/pipeline-reading.ts";
import { pipelineOfRun } from "../../views/run-reading.ts";
import type { CommandContext } from "../command.ts";
import { eventText } from "../event-text.ts";
import { EXIT, unknownError, type ExitStatus } from "../exit.ts";
import { parseCount } from "../number-text.ts";
import { LOOK_MS, sleep } from "../pace.ts";
import { span, type Terminal } from "../terminal.ts";

const DEFAULT_LINES = 10;
/** How many looks there are from one search for new pipelines to the next. */
const LOOKS_PER_LISTING = 10;

/** One ledger line, and its pipeline and run. */
interface TailLine {
  readonly pipeline: string;
  readonly run?: string;
  readonly line: Readonly<Record<string, unknown>>;
}

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const store = new RunStore(roots.runs);
  const pipeline = args.text("pipeline");
  const count = parseCount(args.text("lines"), "--lines", DEFAULT_LINES, 0);
  const follow = args.flag("follow");
  if (
    pipeline !== undefined &&
    !(PIPELINE_NAME.test(pipeline) && store.pipelines().includes(pipeline))
  ) {
    throw unknownError(
      `there is no ledger of a pipeline "${pipeline}"; \`orchd status\` lists the pipelines.`,
    );
  }
  const tail = new Tail(store, pipeline);
  const print = (lines: readonly TailLine[]): void => {
    for (const line of lines) printLine(terminal, line, args.flag("json"), pipeline !== undefined);
  };
  print(tail.begin(count));
  if (!follow) return EXIT.done;
  for (let look = 1; ; look += 1) {
    await sleep(LOOK_MS);
    print(tail.look(look % LOOKS_PER_LISTING === 0));
  }
}

/** The ledgers that are followed. */
class Tail {
  readonly #store: RunStore;
  readonly #only: string | undefined;
  readonly #pipelines = new Map<string, LineFollower>();
  readonly #runs = new Map<string, LineFollower>();

  constructor(store: RunStore, only: string | undefined) {
    this.#store = store;
    this.#only = only;
  }

  /** The last `count` lines of all ledgers; after this {@link look} gives the new ones. */
  begin(count: number): TailLine[] {
    this.#list();
    const own: TailLine[] = [];
    for (const [pipeline, follower] of this.#pipelines) {
      for (const run of readPipeline(this.#store, pipeline)?.state.active.keys() ?? [])
        this.#followRun(run);
      own.push(...this.#linesOf(pipeline, undefined, follower.read().slice(-Math.max(1, count))));
    }
    // A line of an ended run is among the last lines only if the pipeline's line about the end is.
    const last = inOrder(own).slice(-count);
    const named = new Set(
      last.flatMap(({ line }) => (typeof line["run"] === "string" ? [line["run"]] : [])),
    );
    const active = new Set(this.#runs.keys());
    const lines: TailLine[] = [...own];
    for (const run of new Set([...named, ...active])) {
      lines.push(
        ...this.#linesOf(
          pipelineOfRun(run),
          run,
          this.#followRun(run)?.read().slice(-Math.max(1, count)) ?? [],
        ),
      );
      if (!active.has(run)) this.#leaveRun(run);
    }
    return count === 0 ? [] : inOrder(lines).slice(-count);
  }

  /** What was written since the last call. */
  look(list: boolean): TailLine[] {
    if (list) this.#list();
    const lines: TailLine[] = [];
    const ended: string[] = [];
    for (const [pipeline, follower] of this.#pipelines) {
      for (const own of this.#linesOf(pipeline, undefined, follower.read())) {
        lines.push(own);
        const name = own.line["run"];
        if (typeof name !== "string") continue;
        if (own.line["type"] === "run.finished") ended.push(name);
        else this.#followRun(name);
      }
    }
    for (const [run, follower] of this.#runs)
      lines.push(...this.#linesOf(pipelineOfRun(run), run, follower.read()));
    // A run's own last line is written before the pipeline's line about the end, and the run's
    // ledger was read after that line: no more lines can come.
    for (const run of ended) this.#leaveRun(run);
    return inOrder(lines);
  }

  #list(): void {
    for (const pipeline of this.#only === undefined ? this.#store.pipelines() : [this.#only]) {
      if (!this.#pipelines.has(pipeline))
        this.#pipelines.set(pipeline, new LineFollower(this.#store.pipelineLedger(pipeline)));
    }
  }

  #followRun(run: string): LineFollower | undefined {
    const known = this.#runs.get(run);
    if (known !== undefined) return known;
    try {
      const follower = new LineFollower(this.#store.runLedger(run));
      this.#runs.set(run, follower);
      return follower;
    } catch {
      // The line names something that is no run's id: there is no file to follow.
      return undefined;
    }
  }

  #leaveRun(run: string): void {
    this.#runs.get(run)?.close();
    this.#runs.delete(run);
  }

  #linesOf(pipeline: string, run: string | undefined, raw: readonly string[]): TailLine[] {
    return raw.flatMap((text) => {
      const line = parseObject(text);
      return line === undefined ? [] : [{ pipeline, ...defined({ run }), line }];
    });
  }
}

/**
 * Lines by time. Lines of one ledger stay in their order. Of one moment the pipeline's line comes
 * last, because it is written last.
 */
function inOrder(lines: readonly TailLine[]): TailLine[] {
  const time = ({ line }: TailLine): string => (typeof line["at"] === "string" ? line["at"] : "");
  return lines.toSorted((a, b) => (time(a) < time(b) ? -1 : time(a) > time(b) ? 1 : 0));
}

function printLine(
  terminal: Terminal,
  { pipeline, run, line }: TailLine,
  json: boolean,
  one: boolean,
): void {
  if (json) {
    terminal.jsonLine({ pipeline, ...defined({ run }), ...line });
    return;
  }
  const at =
    typeof line["at"] === "string" ? `${line["at"].slice(0, 10)} ${line["at"].slice(11, 23)}` : "";
  const { text, style } = eventText(line, run === undefined);
  const owner = run ?? (one ? "" : pipeline);
  terminal.line(
    span("dim", at),
    " ",
    owner === "" ? "" : [span("bold", owner), " "],
    span(style, text),
  );
}
