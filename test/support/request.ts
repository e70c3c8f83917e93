/**
 * Asks a daemon as any process may, by a file in its requests folder (docs/requests.md). This needs
 * no process of the command line.
 */
import { readFileSync, writeFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { awaitSight } from "./await-event.ts";
import { outcomeOf, runsOf, type PlainRun } from "./ledgers.ts";

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
  const pipeline = run.slice(0, run.indexOf("@"));
  const look = (): PlainRun | undefined => runsOf(runs, pipeline).find((one) => one.run === run);
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
