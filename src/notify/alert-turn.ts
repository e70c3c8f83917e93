/**
 * One input's turn in the fold: causes and recoveries come in, and what is due comes out.
 *
 * ## States
 *
 * Of a pipeline and a {@link Variant} there is nothing (it is well), or a {@link Firing}:
 *
 * - A cause makes it, or adds to its count.
 * - It is told to each channel once: when the count reaches the rule's `after`, and the pipeline is
 *   neither paused nor silent. After that only `repeat` tells it again.
 * - A recovery ends it. Who was told of it is told that too. While the pipeline is paused or
 *   silent, the recovery waits in `over`; a cause that comes before then takes it back, and who was
 *   told knows that still.
 *
 * What is to be told becomes a message at once, or joins a {@link Pending} one: by the rule's
 * `group`, in quiet hours, and missed slots for a few seconds, since a downtime leaves several
 * lines. There is one pending message a rule, channel and kind.
 *
 * ## What holds
 *
 * - A message's key follows from its channel, its kind and its first cause. So it does not matter
 *   how often, or in which pieces, the lines behind a checkpoint are read: what was told before a
 *   crash is in the checkpoint, and what was not has the same key when it is told.
 * - The state is bounded by the pipelines of which something holds, never by the causes.
 *
 * Rejected: a recovery that takes back a message that still gathers. Nothing would be lost that
 * matters, some say; but then nobody learns of a pipeline that fails each night and mends itself.
 */
import type { Alert, AlertItem, AlertKind, FaultKind } from "../core/alert.ts";
import { canonicalHash } from "../core/canonical-json.ts";
import { defined } from "../core/defined.ts";
import type {
  Firing,
  NotifyState,
  Pending,
  PendingItem,
  PipelineAlerts,
  Recovery,
  Untold,
  Variant,
} from "../core/notify-state.ts";
import { DAY_MS } from "../core/time.ts";
import { quietUntil } from "./quiet-hours.ts";
import type { BookRule, Recipient, RuleBook } from "./rule-book.ts";
import { beginning } from "../core/whole-characters.ts";

/** A message says so much of a reason, in characters. */
const MOST_REASON = 2_000;
/** What holds keeps so much of it. */
const KEPT_REASON = 500;
/** So many are named in one message, beside the first. */
const MOST_OTHERS = 50;
/** Missed slots are told so long after their last line, and no later than the longer time. */
const SETTLE_MS = 5_000;
const LONGEST_SETTLE_MS = 30_000;

/** A silence is remembered for so long after its end: lines of its time may come late. */
const SILENCE_KEPT_MS = DAY_MS;

/** What a cause says. */
export interface Cause {
  readonly at: string;
  readonly because: string;
  /** `FILE:SEQ`, or a name where no line tells it. */
  readonly cause: string;
  readonly run?: string | undefined;
  readonly status?: string | undefined;
  /** How many there are; default: 1. */
  readonly count?: number | undefined;
}

/** The kinds that `after` counts: the others hold from their first cause, or do not hold at all. */
const COUNTED: ReadonlySet<AlertKind> = new Set(["failed", "missed", "late"]);

/** When it is. Milliseconds since 1970. */
export interface TurnTime {
  readonly now: number;
  /** When what is told happened: whether a pipeline was silent is asked of that time. */
  readonly happened: number;
  /** Every line that is durable was given: what holds now holds. */
  readonly isTick: boolean;
}

/** One turn. Changes the state in place. */
export class AlertTurn {
  readonly state: NotifyState;
  readonly book: RuleBook;
  readonly now: number;
  readonly #time: TurnTime;
  readonly due: Alert[] = [];
  /** When a message that gathers may go out. */
  releaseAt = Number.POSITIVE_INFINITY;
  /** When a tick may find something else. */
  lookAt = Number.POSITIVE_INFINITY;

  constructor(state: NotifyState, book: RuleBook, time: TurnTime) {
    this.state = state;
    this.book = book;
    this.now = time.now;
    this.#time = time;
  }

  /** A pipeline's entry, which is made if there is none. */
  pipeline(name: string): PipelineAlerts {
    let entry = this.state.pipelines.get(name);
    if (entry === undefined) {
      entry = { firing: new Map(), waits: new Map() };
      this.state.pipelines.set(name, entry);
    }
    return entry;
  }

  /** Removes a pipeline's entry if it says nothing. */
  tidy(name: string): void {
    const entry = this.state.pipelines.get(name);
    if (entry === undefined) return;
    if (entry.silence !== undefined && entry.silence.until + SILENCE_KEPT_MS <= this.now)
      delete entry.silence;
    const { firing, waits, ...facts } = entry;
    if (firing.size === 0 && waits.size === 0 && Object.keys(facts).length === 0)
      this.state.pipelines.delete(name);
  }

  /** A tick may find something then. */
  lookFrom(at: number): void {
    this.lookAt = Math.min(this.lookAt, at);
  }

  /** Something is wrong. @param name the pipeline; undefined: the daemon */
  cause(name: string | undefined, variant: Variant, kind: FaultKind, cause: Cause): Firing {
    const all = this.#firings(name);
    let firing = all.get(variant);
    if (firing === undefined) {
      firing = { kind, since: cause.at, count: 0, told: {}, ...seen(cause) };
      all.set(variant, firing);
    } else if (firing.over !== undefined) {
      delete firing.over;
      Object.assign(firing, { since: cause.at, cause: cause.cause, count: 0 });
    }
    const { count = 1 } = cause;
    firing.count += count;
    if (firing.count > count) {
      delete firing.run;
      delete firing.status;
      Object.assign(firing, { ...seen(cause), cause: firing.cause });
    }
    this.#gather(name, variant, firing, count);
    this.tell(name, variant);
    return firing;
  }

  /** It is over. Does nothing where nothing holds. */
  recover(name: string | undefined, variant: Variant, recovery: Recovery): void {
    const all = this.#firings(name);
    const firing = all.get(variant);
    if (firing === undefined) return;
    // It ended before, while nobody was to be told. That is told if somebody is now.
    if (firing.over !== undefined) return this.tell(name, variant);
    if (Object.keys(firing.told).length > 0 && this.#muted(name, firing.kind) !== undefined) {
      firing.over = { ...recovery, because: beginning(recovery.because, KEPT_REASON) };
      this.tell(name, variant);
      return;
    }
    all.delete(variant);
    this.#tellRecovered(name, variant, firing, recovery);
  }

  /** Ends something of which nobody is to be told any more. */
  forget(name: string | undefined, variant: Variant): void {
    this.#firings(name).delete(variant);
  }

  /** Whether it says that a channel is broken which orchd.yaml has no more. */
  isOfRemovedChannel(variant: Variant): boolean {
    const channel = brokenChannel(variant);
    return channel !== undefined && !this.book.has(channel);
  }

  /** Something happened that does not hold. */
  once(name: string | undefined, kind: FaultKind, cause: Cause): void {
    const firing: Firing = { kind, since: cause.at, count: 1, told: {}, ...seen(cause) };
    for (const recipient of this.#recipients(name, kind, kind))
      this.#enqueue(name, kind, recipient, itemOf(name, kind, firing, 1));
  }

  /** Tells what holds to those who are to hear of it and have not, or are to hear it again. */
  tell(name: string | undefined, variant: Variant): void {
    const all = this.#firings(name);
    const firing = all.get(variant);
    if (firing === undefined) return;
    const muted = this.#muted(name, firing.kind);
    // A pause that ends is a line, and tells by itself.
    if (muted === "silenced") this.#wakeAfterSilence(name);
    if (firing.over !== undefined) {
      if (muted !== undefined) return;
      all.delete(variant);
      return this.#tellRecovered(name, variant, firing, firing.over);
    }
    let untold: Untold = muted ?? "no_rule";
    for (const recipient of this.#recipients(name, firing.kind, variant)) {
      if (muted !== undefined) continue;
      const { channel, rule } = recipient;
      const told = firing.told[channel];
      if (told === undefined) {
        untold = "after";
        if (COUNTED.has(firing.kind) && firing.count < rule.after) continue;
      } else {
        if (rule.repeatMs === undefined) continue;
        // A clock that was set back must not hold it for longer than that.
        if (told.at > this.now) firing.told[channel] = { ...told, at: this.now };
        const next = Math.min(told.at, this.now) + rule.repeatMs;
        if (this.now < next || !this.#time.isTick) {
          this.lookFrom(next);
          continue;
        }
      }
      const telling = (told?.telling ?? 0) + 1;
      firing.told[channel] = { telling, at: this.now };
      if (rule.repeatMs !== undefined) this.lookFrom(this.now + rule.repeatMs);
      this.#enqueue(name, firing.kind, recipient, itemOf(name, variant, firing, telling));
    }
    if (Object.keys(firing.told).length > 0) delete firing.untold;
    else firing.untold = untold;
  }

  /** Sends the messages that need not wait any longer. */
  release(): void {
    const kept: Pending[] = [];
    for (const pending of this.state.pending) {
      if (!this.book.has(pending.channel)) continue;
      if (pending.opened > this.now) {
        // The clock was set back.
        pending.until -= pending.opened - this.now;
        pending.opened = this.now;
      }
      const ready = readyAt(pending, this.book.rule(pending.rule), this.now);
      if (ready <= this.now) this.due.push(alertOf(pending));
      else {
        this.releaseAt = Math.min(this.releaseAt, ready);
        kept.push(pending);
      }
    }
    this.state.pending = kept;
  }

  /** Why nobody is to be told of a pipeline now. Damage is told in any case. */
  #muted(name: string | undefined, kind: AlertKind): "paused" | "silenced" | undefined {
    const entry = name === undefined ? undefined : this.state.pipelines.get(name);
    if (entry === undefined || kind === "damaged") return undefined;
    if (entry.paused === true) return "paused";
    const { silence } = entry;
    return silence !== undefined && this.#time.happened < silence.until ? "silenced" : undefined;
  }

  #wakeAfterSilence(name: string | undefined): void {
    const entry = name === undefined ? undefined : this.state.pipelines.get(name);
    if (entry?.silence !== undefined) this.lookFrom(entry.silence.until);
  }

  #firings(name: string | undefined): Map<Variant, Firing> {
    return name === undefined ? this.state.daemon : this.pipeline(name).firing;
  }

  #recipients(name: string | undefined, kind: AlertKind, variant: Variant): readonly Recipient[] {
    const broken = brokenChannel(variant);
    if (broken !== undefined) return this.book.besides(broken, this.state);
    const all =
      name === undefined
        ? this.book.daemonRecipients(kind)
        : this.book.recipients(name, this.state.pipelines.get(name) ?? {}, kind);
    return all.filter(({ rule }) => kind === "recovered" || isOf(variant, kind, rule));
  }

  #tellRecovered(
    name: string | undefined,
    variant: Variant,
    firing: Firing,
    recovery: Recovery,
  ): void {
    for (const recipient of this.#recipients(name, "recovered", variant)) {
      const told = firing.told[recipient.channel];
      if (told === undefined || this.#saysAllOfMissed(name, variant, recipient)) continue;
      const item: PendingItem = defined({
        kind: "recovered" as const,
        pipeline: name,
        run: recovery.run,
        status: recovery.status,
        because: beginning(recovery.because, MOST_REASON),
        at: recovery.at,
        count: 1,
        variant,
        cause: recovery.cause,
        since: recovery.at,
        telling: 1,
      });
      this.#enqueue(name, "recovered", recipient, item, firing.kind);
    }
  }

  /** A downtime is one message: where it has not gone out yet, its end needs no other. */
  #saysAllOfMissed(name: string | undefined, variant: Variant, { channel }: Recipient): boolean {
    return (
      variant === "missed" &&
      this.state.pending.some(
        (pending) =>
          pending.channel === channel &&
          pending.kind === "missed" &&
          pending.items.some((item) => item.pipeline === name),
      )
    );
  }

  /** Adds to what messages that gather say already. */
  #gather(name: string | undefined, variant: Variant, { told }: Firing, count: number): void {
    for (const pending of this.state.pending) {
      if (told[pending.channel] === undefined) continue;
      const index = pending.items.findIndex(
        (item) => item.variant === variant && item.pipeline === name && item.kind !== "recovered",
      );
      if (index === -1) continue;
      const item = pending.items[index]!;
      pending.items[index] = { ...item, count: item.count + count };
      pending.count += count;
      if (pending.scope !== undefined) pending.until = settledAt(pending, this.now);
    }
  }

  #enqueue(
    name: string | undefined,
    kind: AlertKind,
    { channel, rule }: Recipient,
    item: PendingItem,
    of?: FaultKind,
  ): void {
    const isQuiet = rule.quiet !== undefined && quietUntil(this.now, rule.quiet) > this.now;
    const settles = kind === "missed" && rule.groupMs === 0 && !isQuiet;
    const scope = settles ? name : undefined;
    const open = this.state.pending.find(
      (one) =>
        one.rule === rule.id &&
        one.channel === channel &&
        one.kind === kind &&
        one.of === of &&
        one.scope === scope,
    );
    if (open !== undefined) return addTo(open, item);
    const opened = this.now;
    const pending: Pending = defined({
      rule: rule.id,
      channel,
      kind,
      of,
      scope,
      opened,
      until: opened + (settles ? SETTLE_MS : rule.groupMs),
      count: item.count,
      items: [item] as PendingItem[],
    });
    if (rule.groupMs === 0 && !isQuiet && !settles) this.due.push(alertOf(pending));
    else {
      this.state.pending.push(pending);
      this.releaseAt = Math.min(this.releaseAt, readyAt(pending, rule, this.now));
    }
  }
}

/** Whether a rule is about this variant of a kind: its limit is the rule's. */
function isOf(variant: Variant, kind: AlertKind, rule: BookRule): boolean {
  return variant.startsWith("damaged@") || variantOf(kind, rule) === variant;
}

/** The variant of a kind that a rule is about. */
export function variantOf(kind: AlertKind, { lateMs, queuedMs }: BookRule): Variant {
  if (kind === "queued") return `queued@${queuedMs}`;
  return kind === "late" && lateMs !== undefined ? `late@${lateMs}` : kind;
}

/** The channel that is broken; undefined where the variant says something else. */
function brokenChannel(variant: Variant): string | undefined {
  return /^channel_broken@(.*)$/s.exec(variant)?.[1];
}

/** The limit in a variant, in milliseconds; undefined: it has none. */
export function limitOf(variant: Variant): number | undefined {
  const [, limit] = /@(\d+)$/.exec(variant) ?? [];
  return limit === undefined ? undefined : Number(limit);
}

function seen({
  at,
  because,
  cause,
  run,
  status,
}: Cause): Pick<Firing, "at" | "because" | "cause" | "run" | "status"> {
  return defined({ at, because: beginning(because, KEPT_REASON), cause, run, status });
}

function itemOf(
  name: string | undefined,
  variant: Variant,
  firing: Firing,
  telling: number,
): PendingItem {
  const { kind, run, status, because, at, count, cause, since } = firing;
  const what = { kind, pipeline: name, run, status, because, at, count };
  return defined({ ...what, variant, cause, since, telling });
}

function addTo(pending: Pending, item: PendingItem): void {
  const { items } = pending;
  const index = items.findIndex(
    (one) => one.variant === item.variant && one.pipeline === item.pipeline,
  );
  const same = items[index];
  if (same !== undefined) {
    // Told twice before it went out: it failed again in the meantime, or it is repeated.
    const count = item.telling > 1 ? item.count : same.count + item.count;
    const { cause, since, telling } = same;
    items[index] = { ...item, count, cause, since, telling };
    pending.count += count - same.count;
    return;
  }
  pending.count += item.count;
  if (items.length <= MOST_OTHERS) items.push(item);
}

function settledAt({ opened }: Pending, now: number): number {
  return Math.min(opened + LONGEST_SETTLE_MS, now + SETTLE_MS);
}

function readyAt({ until }: Pending, rule: BookRule | undefined, now: number): number {
  // Its rule is gone: there is nothing to wait for.
  if (rule === undefined) return now;
  return rule.quiet === undefined ? until : quietUntil(Math.max(until, now), rule.quiet);
}

function alertOf({ channel, kind, of, count, items }: Pending): Alert {
  const [first, ...others] = items as [PendingItem, ...PendingItem[]];
  return defined({
    key: keyOf(channel, of ?? "", first),
    kind,
    of,
    channel,
    pipeline: first.pipeline,
    run: first.run,
    status: first.status,
    because: first.because,
    at: first.at,
    cause: first.cause,
    count,
    telling: first.telling,
    others: others.length === 0 ? undefined : others.map((one) => toldItem(one, of)),
  });
}

/** @param of what all of a group of `recovered` recovered from */
function toldItem(item: PendingItem, of: FaultKind | undefined): AlertItem {
  const { kind, pipeline, run, status, because, at, count } = item;
  return defined({ kind, of, pipeline, run, status, because, at, count });
}

/** The same for the same cause, however often the lines are read; 32 hex digits. */
function keyOf(channel: string, of: string, item: PendingItem): string {
  const { kind, pipeline = "", variant, cause, since, telling } = item;
  const seq = cause.slice(cause.lastIndexOf(":") + 1);
  // A ledger that was rotated has another file's name, and counts its lines from 1: its time tells.
  return canonicalHash([channel, kind, of, pipeline, variant, seq, since, telling]).slice(0, 32);
}
