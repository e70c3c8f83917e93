/** Wires `orchd export otlp`: the feed, the fold, a collector, the position. It holds no logic. */
import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import type { ExportOptions } from "../src/cli/command.ts";
import { systemClock as clock } from "../src/clock.ts";
import type { TelemetrySettings } from "../src/core/telemetry-settings.ts";
import { SecretFiles } from "../src/disk/secret-files.ts";
import { openFeed } from "../src/feed/open-feed.ts";
import type { Feed } from "../src/feed/feed-line.ts";
import {
  keepExportPosition,
  readExportPosition,
  takeExportLock,
} from "../src/ledger/export-position.ts";
import { readLedger } from "../src/ledger/ledger-reader.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import { readTelemetrySettings } from "../src/schedules/settings-file.ts";
import { TELEMETRY_VARIABLE } from "../src/supervise/supervised-telemetry.ts";
import { onParentGone } from "../src/supervise/parent-gone.ts";
import { loadEncoder, PACKAGE, type OtlpEncoder } from "../src/traces/otlp-encoding.ts";
import { lineSender, otlpSender, type SpanSender } from "../src/traces/otlp-sender.ts";
import { otlpTarget, resourceOf, type OtlpTarget } from "../src/traces/otlp-target.ts";
import type { LedgerLine } from "../src/traces/run-trace.ts";
import { CollectorAway, TraceExport } from "../src/traces/trace-export.ts";
import { TraceFold, type EarlierLines } from "../src/traces/trace-fold.ts";
import { activeRunIds } from "../src/views/active-run-ids.ts";
import { VERSION } from "../src/version.ts";

/** How often a collector is tried by an export that is to end. */
const MOST_TRIES = 3;
const NOT_INSTALLED =
  `orchd export otlp needs the package ${PACKAGE}, which is not installed: ` +
  `npm install ${PACKAGE}@0.223 @opentelemetry/api@1, in the folder where orchd is installed.`;

/**
 * Exports until it is told to end. @returns the exit status: 0 after that, 1 where it could not
 * export, 2 where it was asked for wrongly
 */
export async function exportTraces(options: ExportOptions): Promise<number> {
  const store = new RunStore(resolve(options.runs));
  const refuse = (sentence: string, status: number): number => {
    options.tell(sentence);
    return status;
  };
  let settings: TelemetrySettings;
  let target: OtlpTarget;
  try {
    settings = telemetrySettings(options);
    const read = otlpTarget(targetOf(options, settings), process.env);
    if (!read.ok) return refuse(read.because, 2);
    target = read.target;
  } catch (error) {
    return refuse((error as Error).message, 2);
  }
  const encoding = options.lines === undefined ? target.encoding : "json";
  const resource = resourceOf(instance(store), settings.service, process.env);
  const encoder = await loadEncoder(encoding, { resource, version: VERSION });
  if (encoder === undefined) return refuse(NOT_INSTALLED, 1);
  const { lines } = options;
  if (lines !== undefined) return exportLines(store, { ...options, lines }, encoder);
  const taken = takeExportLock(store, { clock, version: VERSION });
  if (!taken.ok) return refuse(taken.because, 1);
  try {
    const { url } = target;
    return await exportFrom(store, options, {
      name: `${url.origin}${url.pathname}`,
      send: otlpSender(target, encoder, () => clock.now()),
      keep: async (position) => {
        if (!taken.lock.stillHeld()) throw new Error("another process has the lock");
        await keepExportPosition(store, position, clock);
      },
    });
  } finally {
    taken.lock.release();
  }
}

/** Writes what there is, and what comes: this export has no position and no lock. */
function exportLines(
  store: RunStore,
  options: ExportOptions & { readonly lines: NonNullable<ExportOptions["lines"]> },
  encoder: OtlpEncoder,
): Promise<number> {
  const { lines, from = "start" } = options;
  const path = typeof lines === "string" ? resolve(lines) : undefined;
  const write = typeof lines === "string" ? (line: string) => appendFileSync(path!, line) : lines;
  const port = {
    name: path ?? "stdout",
    send: lineSender(encoder, write),
    keep: () => Promise.resolve(),
  };
  return exportFrom(store, { ...options, from }, port);
}

interface Destination {
  readonly name: string;
  readonly send: SpanSender;
  readonly keep: (position: string) => Promise<void>;
}

async function exportFrom(
  store: RunStore,
  options: ExportOptions,
  { name, send, keep }: Destination,
): Promise<number> {
  const ends = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => ends.abort());
  onParentGone(() => ends.abort());
  const begin = beginning(store, options);
  if (begin.feed === undefined) {
    options.tell(begin.because);
    return 2;
  }
  const fold = new TraceFold(earlierLines(store));
  const first = begin.isFirst ? activeRunIds(store).flatMap((run) => fold.begin(run)) : [];
  options.begins(name);
  const ports = {
    clock,
    feed: begin.feed,
    fold,
    send,
    keep,
    tell: (clause: string) => options.tell(`traces: ${clause}.`),
    signal: ends.signal,
  };
  const work = new TraceExport(ports, { first, once: options.once, mostTries: MOST_TRIES });
  try {
    const count = await work.run();
    if (options.once) options.ends(count);
    return 0;
  } catch (error) {
    if (!(error instanceof CollectorAway)) throw error;
    options.tell(`${name} does not take spans: ${error.message}. Run the command again later.`);
    return 1;
  }
}

type Beginning =
  | { readonly feed: Feed; readonly isFirst: boolean }
  | { readonly feed: undefined; readonly because: string };

/** The feed from where the export goes on. */
function beginning(store: RunStore, { from, tell }: ExportOptions): Beginning {
  const stored = from === undefined ? readExportPosition(store) : ({ kind: "none" } as const);
  if (stored.kind === "unusable")
    tell("traces: runs/.orchd/otlp.json is unreadable, so all ledgers are sent again.");
  const position =
    from ??
    (stored.kind === "position"
      ? stored.position
      : stored.kind === "unusable"
        ? "start"
        : undefined);
  try {
    const feed = openFeed(store, position === undefined ? {} : { from: position });
    return { feed, isFirst: position === undefined };
  } catch (error) {
    if (from !== undefined)
      return { feed: undefined, because: `--from: ${(error as Error).message}` };
    tell("traces: the position in runs/.orchd/otlp.json is none, so all ledgers are sent again.");
    return { feed: openFeed(store, { from: "start" }), isFirst: false };
  }
}

function earlierLines(store: RunStore): EarlierLines {
  return (run, each) => {
    try {
      readLedger(store.runLedger(run), {
        each: (line) => each(line as unknown as LedgerLine),
      });
    } catch {
      // A run that is gone, or cannot be read, has no trace.
    }
  };
}

/** What orchd.yaml says: the daemon tells what is in force, or else the file is read. */
function telemetrySettings({ root }: ExportOptions): TelemetrySettings {
  const told = process.env[TELEMETRY_VARIABLE];
  if (told !== undefined) return JSON.parse(told) as TelemetrySettings;
  return readTelemetrySettings(root) ?? {};
}

/** @throws Error, a sentence, where a secret is not there */
function targetOf({ endpoint }: ExportOptions, settings: TelemetrySettings): TelemetryTarget {
  // Headers belong to the collector that they were written for.
  if (endpoint !== undefined) return { endpoint };
  const secrets = new SecretFiles([process.env["CREDENTIALS_DIRECTORY"]]);
  const headers = Object.entries(settings.headers ?? {}).map(([name, value]) => [
    name,
    typeof value === "string" ? value : secrets.get(value.secret),
  ]);
  return { endpoint: settings.endpoint, headers: Object.fromEntries(headers) };
}

type TelemetryTarget = Parameters<typeof otlpTarget>[0];

/** The service, its instance and its host. */
function instance({ runsDir }: RunStore): Record<string, string> {
  const host = hostname();
  const digits = createHash("sha256").update(`orchd instance\n${host}\n${runsDir}`).digest("hex");
  return {
    "service.name": "orchd",
    "service.version": VERSION,
    "service.instance.id": digits.replace(
      /^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/,
      "$1-$2-8$3-8$4-$5",
    ),
    "host.name": host,
  };
}
