/**
 * Reads what `orchd alerts` and the page's Alerts show: from notify.jsonl, from its lock, and from
 * what orchd.yaml says of channels. Nothing is written, and `orchd notify` may be down.
 */
import { NO_TOTALS, type NotifyMessage } from "../core/notify-fold.ts";
import { unpackNotifyState, type Firing, type NotifyState } from "../core/notify-state.ts";
import type { PipelineSilence } from "../core/pipeline-state.ts";
import { iso } from "../core/time.ts";
import { readNotifyHolder } from "../ledger/notify-holder.ts";
import { NotifyReader, type NotifyReading } from "../ledger/notify-reading.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type {
  AlertsSummary,
  AlertsView,
  ChannelView,
  FiringAlert,
  MessageView,
  Silence,
} from "./alerts.ts";
import { readPipeline } from "./pipeline-reading.ts";

/** The most of each list. */
const MOST = 200;
const MOST_BROKEN = 20;
const CHANNEL_BROKEN = "channel_broken@";

/** What orchd.yaml says of alerts. */
export interface NotifySetup {
  /** Whether it has `notify:`. */
  readonly configured: boolean;
  /** Each channel's kind, by its name. */
  readonly channels: ReadonlyMap<string, string | null>;
}

/** No orchd.yaml, or one without `notify:`. */
export const NO_SETUP: NotifySetup = { configured: false, channels: new Map() };

/** What alerts are read from. */
export interface AlertsSource {
  readonly store: RunStore;
  readonly setup: NotifySetup;
  /** Until when nobody is told of a pipeline; default: its ledger is read. */
  readonly silenceOf?: ((pipeline: string) => PipelineSilence | undefined) | undefined;
  /** Keep it from question to question: it reads what is new. */
  readonly reader?: NotifyReader | undefined;
}

/**
 * What fires, waits, was sent and was given up.
 *
 * @param now milliseconds since 1970
 * @throws LedgerFormatError if a newer release wrote the ledger; a Node error if it cannot be read
 */
export function readAlerts(
  {
    store,
    setup,
    silenceOf = (name) => readPipeline(store, name)?.state.silence,
    reader = new NotifyReader(store),
  }: AlertsSource,
  now: number,
): AlertsView {
  const reading = reader.read();
  const state = stateOf(reading);
  const firing = firingOf(state);
  const waiting = reading?.waiting ?? [];
  return {
    at: iso(now),
    configured: setup.configured,
    running: readNotifyHolder(store) !== null,
    asOf: reading?.checkpointAt ?? null,
    fault: faultOf(reading),
    firing: firing.slice(0, MOST),
    waiting: waiting.slice(0, MOST).map(viewMessage),
    sent: (reading?.sent ?? []).slice(0, MOST).map(viewMessage),
    gaveUp: (reading?.gaveUp ?? []).slice(0, MOST).map(viewMessage),
    counts: { firing: firing.length, waiting: waiting.length },
    silences: silencesOf(store, silenceOf, now),
    channels: channelsOf(setup, reading, brokenIn(state)),
  };
}

/**
 * What the Overview says of alerts; undefined where there is nothing to say, or nothing to read.
 *
 * @param from what was given up before counts no more, in milliseconds since 1970
 */
export function readAlertsSummary(reader: NotifyReader, from: number): AlertsSummary | undefined {
  let reading: NotifyReading | undefined;
  try {
    reading = reader.read();
  } catch {
    // The page's Alerts says what is wrong with it.
    return undefined;
  }
  if (reading === undefined) return undefined;
  const since = iso(from);
  const gaveUp = reading.gaveUp.filter(({ ended }) => ended !== undefined && ended.at >= since);
  const broken = [...brokenIn(stateOf(reading))].toSorted().slice(0, MOST_BROKEN);
  return gaveUp.length + broken.length === 0 ? undefined : { gaveUp: gaveUp.length, broken };
}

/**
 * Unpacking a state of a thousand pipelines takes milliseconds, and most questions find the same.
 */
const unpacked = new WeakMap<NotifyReading, NotifyState>();

function stateOf(reading: NotifyReading | undefined): NotifyState {
  if (reading === undefined) return unpackNotifyState(undefined);
  const known = unpacked.get(reading);
  if (known !== undefined) return known;
  const state = unpackNotifyState(reading.checkpoint?.state);
  unpacked.set(reading, state);
  return state;
}

function faultOf(reading: NotifyReading | undefined): string | null {
  if (reading?.fault === undefined) return null;
  const { line, fault } = reading.fault;
  return `notify.jsonl is damaged at line ${line} (${fault}); what came after is not shown`;
}

function firingOf({ pipelines, daemon }: NotifyState): FiringAlert[] {
  const all = [...pipelines].flatMap(([name, { firing }]) => viewFirings(name, firing));
  return [...viewFirings(null, daemon), ...all].toSorted((a, b) =>
    a.since < b.since ? 1 : a.since > b.since ? -1 : 0,
  );
}

function viewFirings(pipeline: string | null, firings: ReadonlyMap<string, Firing>): FiringAlert[] {
  return [...firings.values()]
    .filter(({ over }) => over === undefined)
    .map(({ kind, since, count, because, run, told, untold }) => {
      const isTold = Object.keys(told).length > 0;
      return {
        kind,
        pipeline,
        since,
        count,
        because,
        run: run ?? null,
        told: isTold,
        untold: isTold ? null : (untold ?? null),
      };
    });
}

function brokenIn({ daemon }: NotifyState): Set<string> {
  const names = [...daemon.keys()].filter((variant) => variant.startsWith(CHANNEL_BROKEN));
  return new Set(names.map((variant) => variant.slice(CHANNEL_BROKEN.length)));
}

function viewMessage({
  alert,
  dueAt,
  attempts,
  retryAt,
  fault,
  ended,
}: NotifyMessage): MessageView {
  const { key, kind, of, channel, pipeline, run, because, count } = alert;
  return {
    key,
    kind,
    of: of ?? null,
    channel,
    pipeline: pipeline ?? null,
    run: run ?? null,
    because,
    count,
    dueAt,
    endedAt: ended?.at ?? null,
    attempts,
    retryAt: retryAt ?? null,
    fault: ended?.how === "sent" ? null : (fault ?? null),
  };
}

/** By the pipelines' own ledgers: `orchd notify` may be down, or behind. The soonest end first. */
function silencesOf(
  store: RunStore,
  silenceOf: (pipeline: string) => PipelineSilence | undefined,
  now: number,
): Silence[] {
  const found = store.pipelines().flatMap((pipeline): Silence[] => {
    const { until, because, by } = quietly(() => silenceOf(pipeline)) ?? {};
    if (until === undefined || !(Date.parse(until) > now)) return [];
    return [{ pipeline, until, because: because ?? null, by: by ?? null }];
  });
  return found.toSorted((a, b) => (a.until < b.until ? -1 : 1)).slice(0, MOST);
}

/** `orchd status` says which ledger cannot be read, and why. */
function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Those of orchd.yaml, and those that were used before. */
function channelsOf(
  { channels }: NotifySetup,
  reading: NotifyReading | undefined,
  broken: ReadonlySet<string>,
): ChannelView[] {
  const totals: NotifyReading["totals"] = reading?.totals ?? new Map();
  return [...new Set([...channels.keys(), ...totals.keys()])].toSorted().map((name) => {
    const { sent, failed, gaveUp, lastSentAt, fault } = totals.get(name) ?? NO_TOTALS;
    return {
      name,
      kind: channels.get(name) ?? null,
      broken: broken.has(name),
      sent,
      failed,
      gaveUp,
      lastSentAt: lastSentAt ?? null,
      fault: fault ?? null,
    };
  });
}
