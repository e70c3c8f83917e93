/**
 * Asks a daemon as any process may, by a file in its requests folder (docs/requests.md). This needs
 * no process of the command line.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { awaitSight } from "./await-event.ts";
import { readWholeLedger } from "./independent-ledger.ts";
import { outcomeOf, type PlainRun } from "./ledgers.ts";

let asked = 0;

/** Submits a run, and gives its id once the daemon has accepted it. */
export async function submit(
  runs: string,
  pipeline: string,
  params: Record<string, unknown> = {},
  more: { readonly noCache?: boolean } = {},
): Promise<string> {
  const id = `test-${process.pid}-${(asked += 1)}.json`;
  writeFileSync(
    join(runs, ".orchd/requests", `.${id}`),
    JSON.stringify({ type: "submit", pipeline, params, ...more }),
  );
  renameSync(join(runs, ".orchd/requests", `.${id}`), join(runs, ".orchd/requests", id));
  const reply = await awaitSight(
    join(runs, ".orchd/replies"),
    () => {
      try {
        return JSON.parse(readFileSync(join(runs, ".orchd/replies", id), "utf8")) as {
          accepted: boolean;
          run?: string;
          reason?: string;
        };
      } catch {
        return undefined;
      }
    },
    `a reply to a run of ${pipeline}`,
  );
  if (reply.run === undefined) throw new Error(`${pipeline} was refused: ${reply.reason}`);
  return reply.run;
}

/** Waits for a run's end. */
export function ended(runs: string, run: string): Promise<PlainRun> {
  const [, pipeline, year, month] = /^(.*)@(\d{4})(\d\d)/.exec(run)!;
  const path = join(runs, pipeline!, `${year}-${month}`, `${run}.jsonl`);
  const look = (): PlainRun | undefined => {
    const bytes = existsSync(path) ? readFileSync(path) : undefined;
    // A last line without its LF is being written at this moment.
    if (bytes?.at(-1) !== 0x0a) return undefined;
    return { run, path, lines: readWholeLedger(path, bytes) };
  };
  return awaitSight(
    runs,
    () => {
      const seen = look();
      return seen !== undefined && outcomeOf(seen) !== undefined ? seen : undefined;
    },
    () => `an end of ${run}: ${JSON.stringify(look()?.lines.slice(1))}`,
    30_000,
  );
}
