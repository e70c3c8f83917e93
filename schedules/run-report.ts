/**
 * How the pipelines of this root are doing: a table of runs, failures and durations. It is read
 * from the ledgers, as any program may read them.
 *
 * This is a pipeline written in code. Steps are functions, an input names the step that it comes
 * from, and modules and packages are imported as usual.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { pipeline, step } from "orchd";
import { readEndings, summarise, table } from "./steps/endings.ts";
import type { Ending, Summary } from "./steps/endings.ts";

/** Reads how each run of the last day ended. */
export const collect = step(async ({ log }): Promise<Ending[]> => {
  const endings = await readEndings(new URL("../runs/", import.meta.url), Date.now() - 86_400_000);
  log.info(`${endings.length} runs ended within a day`);
  return endings;
});

/** Counts them by pipeline. */
export const count = step(
  async ({ inputs }: { inputs: { endings: Ending[] } }): Promise<Summary[]> =>
    summarise(inputs.endings),
);

/** Writes the table, and prints it: `orchd logs` shows what a step prints. */
export const write = step(
  async ({
    inputs,
  }: {
    inputs: { summaries: Summary[] };
  }): Promise<{ file: string; pipelines: number }> => {
    const text = table(inputs.summaries);
    const folder = new URL("data/", import.meta.url);
    await mkdir(folder, { recursive: true });
    await writeFile(new URL("runs.txt", folder), `${text}\n`);
    console.log(text);
    return { file: "schedules/data/runs.txt", pipelines: inputs.summaries.length };
  },
);

export default pipeline({
  name: "run-report",
  description: "A table of how the last day's runs ended",
  tags: ["upkeep"],
  schedule: { cron: "* * * * *", catchUp: "none" },
  enableCache: false,
  steps: {
    collect: { uses: collect },
    count: { uses: count, inputs: { endings: "collect" } },
    write: { uses: write, inputs: { summaries: "count" } },
  },
});
