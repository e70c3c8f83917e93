/**
 * `orchd import crontab --compare LOG`: what cron did, beside the slots of the pipelines that an
 * import made. The pipelines are found by the files that the import made, line by line, or where
 * these are gone or changed, by the names that it gives first.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { RunStore } from "../../ledger/run-store.ts";
import { pipelineFiles } from "../../views/pipeline-file-list.ts";
import { readPipeline } from "../../views/pipeline-reading.ts";
import { linesBackwards } from "../../views/run-history.ts";
import type { CommandContext } from "../command.ts";
import { compareWithCron, parseCronLog, plain, type CronComparison } from "../cron-log.ts";
import { faultOf, importedLine, type ImportTarget } from "../crontab-pipeline.ts";
import { pipelineName, type CronEntry } from "../crontab.ts";
import { EXIT, usageError, type ExitStatus } from "../exit.ts";
import { span, type Terminal } from "../terminal.ts";

/** How many differences of a kind are printed for a pipeline. */
const DIFFERENCES_SHOWN = 10;

/** The crontab's entries, and what an import makes pipelines of them with. */
export interface Compared {
  readonly entries: readonly CronEntry[];
  readonly target: ImportTarget;
}

/**
 * Compares and prints.
 *
 * @param log the log's text, from the file `path`
 * @returns status 1 where cron and orchd differ, or nothing could be compared
 * @throws CliError (exit 2) where the log holds no start
 */
export async function compareImport(
  { args, roots, terminal }: CommandContext,
  crontab: Compared,
  path: string,
  log: string,
): Promise<ExitStatus> {
  const starts = parseCronLog(log, Date.now());
  if (starts.length === 0)
    throw usageError(
      `${path} holds no line in which cron says that it started a command ` +
        "(CRON[…]: (user) CMD (…)); name its log, such as /var/log/syslog or " +
        "the output of journalctl -u cron.",
    );
  const store = new RunStore(roots.runs);
  const compared: CronComparison[] = [];
  const entries = await named(crontab, roots.schedules);
  const all = entries.map((one) => ({ ...one, slots: slotsOf(store, one.name) }));
  for (const { name, entry, slots } of all) {
    const command = entry.text;
    const others = all.flatMap((other) =>
      other.name !== name && plain(other.entry.text) === plain(command) ? other.slots : [],
    );
    if (slots.length === 0)
      terminal.note(
        `${name} (line ${entry.line}) has no slots yet: import it with --shadow ` +
          "and let the daemon run beside cron for a while.",
      );
    else
      compared.push(
        compareWithCron(
          name,
          { command, starts, others },
          slots,
          readPipeline(store, name)?.state.through,
        ),
      );
  }
  if (args.flag("json")) terminal.json(compared);
  else for (const one of compared) printComparison(terminal, one);
  // Where nothing could be compared, it is not known that all is alike.
  return compared.length > 0 && compared.every(isAlike) ? EXIT.done : EXIT.failed;
}

/** The entries that an import takes, with the names that it gave them. */
async function named(
  { entries, target }: Compared,
  schedules: string,
): Promise<{ readonly name: string; readonly entry: CronEntry }[]> {
  const { parse } = await import("yaml");
  const files = pipelineFiles(schedules);
  const all = entries.filter((entry) => faultOf(entry, target.machine) === undefined);
  const taken = new Set<string>();
  const names = new Map<CronEntry, string>();
  for (const entry of all) {
    const name = namesOf(entry, files).find(
      (one) => !taken.has(one) && isMadeOf(entry, target, join(schedules, `${one}.yaml`), parse),
    );
    if (name === undefined) continue;
    names.set(entry, name);
    taken.add(name);
  }
  return all.map((entry) => {
    const wanted = pipelineName(entry.command);
    let name = names.get(entry) ?? wanted;
    if (!names.has(entry))
      for (let number = 2; taken.has(name); number += 1) name = `${wanted}-${number}`;
    taken.add(name);
    return { name, entry };
  });
}

/** The names of pipeline files that an import may have given an entry, the lowest number first. */
function namesOf({ command }: CronEntry, files: readonly string[]): string[] {
  const wanted = pipelineName(command);
  const numberOf = (name: string): number =>
    name === wanted ? 1 : Number(name.slice(wanted.length + 1));
  return files
    .filter((file) => file.endsWith(".yaml") && file.startsWith(wanted))
    .map((file) => file.slice(0, -".yaml".length))
    .filter((name) => name === wanted || /^-[1-9]\d*$/.test(name.slice(wanted.length)))
    .toSorted((one, other) => numberOf(one) - numberOf(other));
}

/** Whether a file has the slots and the command of an entry. A person may have changed the rest. */
function isMadeOf(
  entry: CronEntry,
  target: ImportTarget,
  file: string,
  parse: (text: string) => unknown,
): boolean {
  const { schedule, steps } = importedLine(entry, target).definition;
  try {
    const there = parse(readFileSync(file, "utf8")) as Record<string, unknown> | null;
    return isDeepStrictEqual([there?.["schedule"], there?.["steps"]], [schedule, steps]);
  } catch {
    // It cannot be read, or is no YAML.
    return false;
  }
}

function slotsOf(store: RunStore, pipeline: string): number[] {
  const slots: number[] = [];
  if (!existsSync(store.pipelineLedger(pipeline))) return slots;
  for (const { type, slot } of linesBackwards(store, pipeline))
    if (type === "slot.fired" && typeof slot === "string") slots.push(Date.parse(slot));
  return slots;
}

function isAlike({ onlyCron, onlyOrchd }: CronComparison): boolean {
  return onlyCron.length + onlyOrchd.length === 0;
}

function printComparison(terminal: Terminal, compared: CronComparison): void {
  const { pipeline, both, onlyCron, onlyOrchd } = compared;
  const alike = isAlike(compared);
  terminal.line(
    span(alike ? "green" : "red", alike ? "✓ " : "✗ "),
    span("bold", pipeline),
    `: ${both} alike, ${onlyCron.length} by cron alone, ${onlyOrchd.length} by orchd alone`,
  );
  for (const time of onlyCron.slice(0, DIFFERENCES_SHOWN))
    terminal.line(`    cron alone   ${time}`);
  for (const time of onlyOrchd.slice(0, DIFFERENCES_SHOWN))
    terminal.line(`    orchd alone  ${time}`);
}
