/**
 * `orchd import crontab --compare LOG`: what cron did, beside the slots of the pipelines that an
 * import made. The pipelines are found by the names that the import gave, line by line.
 */
import { existsSync } from "node:fs";
import { RunStore } from "../../ledger/run-store.ts";
import { readPipeline } from "../../views/pipeline-reading.ts";
import { linesBackwards } from "../../views/run-history.ts";
import type { CommandContext } from "../command.ts";
import { compareWithCron, parseCronLog, plain, type CronComparison } from "../cron-log.ts";
import { faultOf } from "../crontab-pipeline.ts";
import type { MachineZone } from "../crontab-zone.ts";
import { pipelineName, type CronEntry } from "../crontab.ts";
import { EXIT, usageError, type ExitStatus } from "../exit.ts";
import { span, type Terminal } from "../terminal.ts";

/** How many differences of a kind are printed for a pipeline. */
const DIFFERENCES_SHOWN = 10;

/** The crontab's entries, and the machine's zone. */
export interface Compared {
  readonly entries: readonly CronEntry[];
  readonly machine: MachineZone;
}

/**
 * Compares and prints.
 *
 * @param log the log's text, from the file `path`
 * @returns status 1 where cron and orchd differ, or nothing could be compared
 * @throws CliError (exit 2) where the log holds no start
 */
export function compareImport(
  { args, roots, terminal }: CommandContext,
  crontab: Compared,
  path: string,
  log: string,
): ExitStatus {
  const starts = parseCronLog(log, Date.now());
  if (starts.length === 0)
    throw usageError(
      `${path} holds no line in which cron says that it started a command ` +
        "(CRON[…]: (user) CMD (…)); name its log, such as /var/log/syslog or " +
        "the output of journalctl -u cron.",
    );
  const store = new RunStore(roots.runs);
  const compared: CronComparison[] = [];
  const all = named(crontab).map((one) => ({ ...one, slots: slotsOf(store, one.name) }));
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

/** The entries that an import takes, with the names that it gives them. */
function named({
  entries,
  machine,
}: Compared): { readonly name: string; readonly entry: CronEntry }[] {
  const taken = new Set<string>();
  return entries
    .filter((entry) => faultOf(entry, machine) === undefined)
    .map((entry) => {
      const wanted = pipelineName(entry.command);
      let name = wanted;
      for (let number = 2; taken.has(name); number += 1) name = `${wanted}-${number}`;
      taken.add(name);
      return { name, entry };
    });
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
