/**
 * What `notify.jsonl` says, as a fold over its lines: how far the feed was folded, which messages
 * wait, what became of the others, and how each channel fares.
 *
 * A `notify.due` counts with the `notify.checkpoint` of the same write (`b`). One without it comes
 * from a write that a crash cut: it was never acknowledged and never sent, and the same is decided
 * again from the checkpoint before it.
 *
 * A long state is cut into `notify.state` lines before its checkpoint: no line may reach 1 MiB.
 */
import type { Alert } from "./alert.ts";
import { defined } from "./defined.ts";
import type { Framed } from "./event.ts";
import { alertOf, dueEvent } from "./due-alert.ts";
import type { NotifyEvent } from "./notify-event.ts";
import type { Json } from "./snapshot.ts";

/** What became of a try. */
export type NotifyOutcome =
  | { readonly how: "sent"; readonly attempt: number; readonly answer?: string | undefined }
  | {
      readonly how: "failed";
      readonly attempt: number;
      readonly because: string;
      /** ISO 8601, UTC. */
      readonly retryAt: string;
    }
  | { readonly how: "gave_up"; readonly because: string };

/** A message, and what became of it. Times are ISO 8601, UTC. */
export interface NotifyMessage {
  readonly alert: Alert;
  /** When it was due: 24 hours after it, it is given up. */
  readonly dueAt: string;
  /** How many tries failed, or were made if it ended. */
  readonly attempts: number;
  /** When it is tried again, and why the last try failed. */
  readonly retryAt?: string;
  readonly fault?: string;
  /** What became of it in the end; undefined: it waits. */
  readonly ended?: { readonly how: "sent" | "gave_up"; readonly at: string };
}

/** How a channel fared since the ledger began. */
export interface ChannelTotals {
  readonly sent: number;
  /** How many tries failed. */
  readonly failed: number;
  readonly gaveUp: number;
  readonly lastSentAt?: string;
  /** Why the last try failed; undefined after one that did not. */
  readonly fault?: string;
}

/** The totals of a channel that was never used. */
export const NO_TOTALS: ChannelTotals = { sent: 0, failed: 0, gaveUp: 0 };

/** How far the feed was folded. */
export interface NotifyCheckpoint {
  /** The feed's position: a text of the feed. */
  readonly position: string;
  /** The state of each alert after it, as the fold of src/notify has it. */
  readonly state: Json;
}

/** A write of which the checkpoint was not read yet. */
interface OpenWrite {
  readonly b: number;
  readonly messages: NotifyMessage[];
  readonly texts: string[];
}

/** What the lines say. It changes in place. */
export interface NotifyRecord {
  /** Undefined before the first checkpoint. */
  checkpoint: NotifyCheckpoint | undefined;
  checkpointAt: string | undefined;
  /** By key, in the order in which they were due. */
  readonly waiting: Map<string, NotifyMessage>;
  /** By channel. */
  readonly totals: Map<string, ChannelTotals>;
  /** What the write that is read has before its checkpoint. */
  open: OpenWrite;
}

const NOTHING_OPEN: OpenWrite = { b: 0, messages: [], texts: [] };
/** The longest text of a state that stands in one line, in characters of at most 3 bytes. */
const PART_CHARACTERS = 200_000;

/** The state before the first line. */
export function emptyNotifyRecord(): NotifyRecord {
  return {
    checkpoint: undefined,
    checkpointAt: undefined,
    waiting: new Map(),
    totals: new Map(),
    open: NOTHING_OPEN,
  };
}

/**
 * Takes one line. Lines of types that are not known change nothing.
 *
 * @param onEnded called with each message that ends
 */
export function evolveNotify(
  state: NotifyRecord,
  line: Framed<NotifyEvent>,
  onEnded?: (message: NotifyMessage) => void,
): void {
  switch (line.type) {
    case "notify.began":
      return;
    case "notify.due":
      return void beginWrite(state, line.b).messages.push(messageOf(line));
    case "notify.state":
      return void beginWrite(state, line.b).texts.push(line.text);
    case "notify.checkpoint":
      return commit(state, line);
    case "notify.sent": {
      const { attempt: attempts, at } = line;
      addTo(state, line.channel, ({ fault: _fault, ...all }) => {
        return { ...all, sent: all.sent + 1, lastSentAt: at };
      });
      return end(state, line.key, { attempts, ended: { how: "sent", at } }, onEnded);
    }
    case "notify.failed": {
      const { attempt: attempts, retryAt, because: fault } = line;
      addTo(state, line.channel, (all) => ({ ...all, failed: all.failed + 1, fault }));
      const message = state.waiting.get(line.key);
      if (message !== undefined)
        state.waiting.set(line.key, { ...message, attempts, retryAt, fault });
      return;
    }
    case "notify.gave_up": {
      const { at, because: fault } = line;
      addTo(state, line.channel, (all) => ({ ...all, gaveUp: all.gaveUp + 1, fault }));
      return end(state, line.key, { fault, ended: { how: "gave_up", at } }, onEnded);
    }
  }
}

/** The lines that a new file begins with: they say all that a state says. */
export function carriedOver(state: NotifyRecord): NotifyEvent[] {
  const { checkpoint } = state;
  if (checkpoint === undefined) return [];
  const carried = [...state.waiting.values()].map(
    ({ alert, ended: _ended, ...more }): NotifyEvent => ({
      ...dueEvent(alert),
      ...more,
    }),
  );
  return [...carried, ...checkpointEvents(checkpoint, state.totals)];
}

/** The lines of a checkpoint: the last one is `notify.checkpoint`. */
export function checkpointEvents(
  { position, state }: NotifyCheckpoint,
  totals: ReadonlyMap<string, ChannelTotals>,
): NotifyEvent[] {
  const all = Object.fromEntries([...totals].map(([name, one]) => [name, { ...one }]));
  const checkpoint = { type: "notify.checkpoint", position, totals: all } as const;
  const text = JSON.stringify(state);
  if (text.length <= PART_CHARACTERS) return [{ ...checkpoint, state }];
  const parts: NotifyEvent[] = [];
  for (let from = 0; from < text.length; from += PART_CHARACTERS)
    parts.push({ type: "notify.state", text: text.slice(from, from + PART_CHARACTERS) });
  return [...parts, { ...checkpoint, parts: parts.length }];
}

function beginWrite(state: NotifyRecord, b: number): OpenWrite {
  if (state.open.b !== b) state.open = { b, messages: [], texts: [] };
  return state.open;
}

function commit(
  state: NotifyRecord,
  line: Framed<Extract<NotifyEvent, { type: "notify.checkpoint" }>>,
): void {
  const { messages, texts } = beginWrite(state, line.b);
  state.open = NOTHING_OPEN;
  for (const message of messages) state.waiting.set(message.alert.key, message);
  const { position, totals } = line;
  const read = line.parts === undefined ? line.state : parsed(texts.join(""));
  state.checkpoint = { position, state: read ?? null };
  state.checkpointAt = line.at;
  if (totals === undefined) return;
  state.totals.clear();
  for (const [name, one] of Object.entries(totals)) state.totals.set(name, defined(one));
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function messageOf(line: Framed<Extract<NotifyEvent, { type: "notify.due" }>>): NotifyMessage {
  const { dueAt = line.at, attempts = 0, retryAt, fault } = line;
  return defined({ alert: alertOf(line), dueAt, attempts, retryAt, fault });
}

function addTo(
  { totals }: NotifyRecord,
  channel: string,
  add: (before: ChannelTotals) => ChannelTotals,
): void {
  totals.set(channel, add(totals.get(channel) ?? NO_TOTALS));
}

function end(
  state: NotifyRecord,
  key: string,
  how: Pick<NotifyMessage, "ended"> & Partial<Pick<NotifyMessage, "attempts" | "fault">>,
  onEnded?: (message: NotifyMessage) => void,
): void {
  const message = state.waiting.get(key);
  if (message === undefined) return;
  state.waiting.delete(key);
  const { retryAt: _retryAt, ...kept } = message;
  onEnded?.({ ...kept, ...how });
}
