/**
 * Counts warnings and errors in every log file of a folder. Each file is a step of its own.
 *
 * How many steps a run has is only known while it runs, so the pipeline is a function. After a
 * crash the function runs again and must make the same calls. So it only calls steps: whatever
 * reads the disk, the clock or the network is a step.
 */
import { isUtf8 } from "node:buffer";
import { readdir, readFile, stat } from "node:fs/promises";
import { dynamicPipeline, step, unmapped, type Loose, type StepContext } from "orchd";

interface LogFile {
  readonly name: string;
  readonly bytes: number;
  readonly changed: string;
}

interface Counts {
  readonly name: string;
  readonly counts: Readonly<Record<string, number>>;
}

const folder = new URL("../logs/", import.meta.url);

/** Finds the files. It looks each time: no key could tell that a file is new. */
export const find = step(
  async (): Promise<LogFile[]> => {
    const names = (await readdir(folder)).filter((name) => name.endsWith(".log")).sort();
    return Promise.all(
      names.map(async (name) => {
        const { size, mtime } = await stat(new URL(name, folder));
        return { name, bytes: size, changed: mtime.toISOString() };
      }),
    );
  },
  { enableCache: false },
);

/**
 * Counts the lines of each level in one file. A file of the same size and time as before is the
 * same input, so the cache answers, in every slot.
 */
export const scan = step(
  async ({ inputs }: StepContext<Loose, { file: LogFile; levels: string[] }>): Promise<Counts> => {
    const bytes = await readFile(new URL(inputs.file.name, folder));
    if (!isUtf8(bytes)) throw new Error(`${inputs.file.name} is not a text file`);
    const lines = bytes.toString().split("\n");
    const count = (level: string): number =>
      lines.filter((line) => line.split(" ")[1] === level).length;
    return {
      name: inputs.file.name,
      counts: Object.fromEntries(inputs.levels.map((level) => [level, count(level)])),
    };
  },
  { cache: { acrossSlots: true } },
);

/** Adds up what was counted. */
export const report = step(async ({ inputs }: StepContext<Loose, { scanned: Counts[] }>) => {
  const totals: Record<string, number> = {};
  for (const { name, counts } of inputs.scanned) {
    console.log(name, counts);
    for (const [level, count] of Object.entries(counts))
      totals[level] = (totals[level] ?? 0) + count;
  }
  return { files: inputs.scanned.length, totals };
});

export default dynamicPipeline(
  {
    name: "log-scan",
    description: "Counts warnings and errors in every log file of a folder",
    tags: ["logs"],
    params: { levels: ["WARN", "ERROR"] },
    schedule: { cron: "*/15 * * * *" },
    // A thousand files are a thousand steps, and four of them run at once.
    maxParallelSteps: 4,
  },
  async (run) => {
    const files = await run.step(find);
    // To map over an empty list is an error.
    if (files.length === 0) return;
    // One step for each file: `scan`, `scan_2`, and so on. `unmapped` gives all of them the list.
    const scans = run.map(scan, { file: files, levels: unmapped(run.params["levels"]) });
    // `await scans` would give all results, or throw the first failure. This waits for each.
    const ends = await Promise.allSettled((await scans.handles).map((one) => one.result()));
    const scanned = ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
    await run.step(report, { inputs: { scanned } });
    // The report is there. What a function throws makes its run fail, so that somebody looks.
    const failed = files.filter((_, index) => ends[index]?.status === "rejected");
    if (failed.length > 0) {
      const names = failed.map(({ name }) => name).join(", ");
      throw new Error(`${failed.length} of ${files.length} files could not be scanned: ${names}`);
    }
  },
);
