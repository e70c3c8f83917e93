/**
 * What `orchd notify` knows between two lines: what holds, what was told of it, what waits to be
 * told. `notify.checkpoint` records it, and views read it.
 *
 * It holds only what differs from a pipeline that is well: a pipeline without tags, without a
 * `notify:` of its own, and of which nothing holds, has no entry. However many causes there are,
 * an alert that holds is one entry with a count.
 */
import type { AlertItem, AlertKind, FaultKind } from "./alert.ts";
import { isObject } from "./json-object.ts";
import type { Json } from "./snapshot.ts";

/** All of it. Times without a word are milliseconds since 1970; those in ISO 8601 are texts. */
export interface NotifyState {
  readonly pipelines: Map<string, PipelineAlerts>;
  /** What concerns the daemon, by {@link Variant}. */
  readonly daemon: Map<Variant, Firing>;
  /**
   * Messages that gather causes, or wait for the end of quiet hours; in the order of their begin.
   */
  pending: Pending[];
  /** The newest daemon whose start was looked at. */
  epoch?: number;
}

/**
 * What an alert is about: a kind; of `late` and `queued` with the limit of the rule in
 * milliseconds, `queued@3600000`; of `damaged` with the file; of `channel_broken` with the channel.
 */
export type Variant = string;

/** A pipeline. */
export interface PipelineAlerts {
  tags?: readonly string[];
  /** `notify:` of its file, as written. */
  notify?: Json;
  paused?: boolean;
  /** Nobody is told of it until then. */
  silence?: { readonly until: number; readonly because?: string; readonly by?: string };
  readonly firing: Map<Variant, Firing>;
  /** Runs that exist and have not started, by their id. */
  readonly waits: Map<string, Wait>;
}

/** Why something that holds was not told to anybody. */
export type Untold = "after" | "quiet" | "group" | "paused" | "silenced" | "no_rule";

/** Something that holds. */
export interface Firing {
  readonly kind: FaultKind;
  /** When the first cause in a row was; ISO 8601. */
  since: string;
  /** The first cause: `FILE:SEQ`, or a name where no line tells it. */
  cause: string;
  /** Causes in a row. */
  count: number;
  /** The newest cause. */
  at: string;
  because: string;
  run?: string;
  status?: string;
  /** Who was told: the number of tellings, and when it was told last. */
  told: { [channel: string]: { readonly telling: number; readonly at: number } };
  /** Undefined once anybody was told. */
  untold?: Untold;
  /** The runs that it is about, where it ends with them. */
  runs?: string[];
  /** It is over; that is told after the silence or the pause. */
  over?: Recovery;
}

/** What ended an alert. */
export interface Recovery {
  readonly at: string;
  readonly because: string;
  readonly cause: string;
  readonly run?: string;
  readonly status?: string;
}

/** A run that waits for its turn, or that was made a moment ago. */
export interface Wait {
  /** Its slot; undefined for a run that no schedule asked for. */
  readonly slot?: number;
  /** Since when it is queued. */
  readonly queued?: number;
  /** The line that told it. */
  readonly cause: string;
  readonly at: string;
  readonly because?: string;
  /** What it was a cause of. */
  counted?: Variant[];
}

/** A message that is not due yet. */
export interface Pending {
  /** The rule that it goes by, as its digest. */
  readonly rule: string;
  readonly channel: string;
  readonly kind: AlertKind;
  readonly of?: FaultKind;
  /** Undefined: what all pipelines have to say goes into it. */
  readonly scope?: string;
  opened: number;
  /** It gathers until then; quiet hours may hold it for longer. */
  until: number;
  count: number;
  /** The first ones. The others are counted alone. */
  items: PendingItem[];
}

/** What a message that gathers says. */
export interface PendingItem extends AlertItem {
  readonly variant: Variant;
  readonly cause: string;
  /** When the first cause was; ISO 8601. */
  readonly since: string;
  readonly telling: number;
}

/** Before anything is known. */
export function emptyNotifyState(): NotifyState {
  return { pipelines: new Map(), daemon: new Map(), pending: [] };
}

/**
 * Why something that holds was told to nobody until now; undefined: somebody was told.
 *
 * @param name the pipeline; undefined: the daemon
 * @param now milliseconds since 1970
 */
export function untoldOf(
  { pending }: NotifyState,
  name: string | undefined,
  variant: Variant,
  { told, untold }: Firing,
  now: number,
): Untold | undefined {
  const channels = Object.keys(told);
  if (channels.length === 0) return untold ?? "no_rule";
  const gathers = pending.filter((one) =>
    one.items.some(
      (item) => item.variant === variant && item.pipeline === name && item.telling === 1,
    ),
  );
  const isOut = channels.some((channel) => gathers.every((one) => one.channel !== channel));
  if (isOut) return undefined;
  // Only quiet hours hold a message that need not gather any more.
  return gathers.every(({ until }) => until <= now) ? "quiet" : "group";
}

/**
 * The state as JSON: the member `state` of `notify.checkpoint`. It shares nothing with the state.
 */
export function packNotifyState({ pipelines, daemon, pending, epoch }: NotifyState): Json {
  const packed = {
    pipelines: [...pipelines].map(([name, { firing, waits, ...rest }]) => ({
      name,
      ...rest,
      ...(firing.size === 0 ? {} : { firing: [...firing] }),
      ...(waits.size === 0 ? {} : { waits: [...waits] }),
    })),
    daemon: [...daemon],
    pending,
    ...(epoch === undefined ? {} : { epoch }),
  };
  return copied(packed);
}

/**
 * Reads what {@link packNotifyState} made, of this release or another. What cannot be read is as if
 * it had never been: no value makes it throw.
 */
export function unpackNotifyState(given: unknown): NotifyState {
  const state = emptyNotifyState();
  if (!isObject(given)) return state;
  const packed = copied(given) as Fields;
  for (const one of listIn(packed["pipelines"])) {
    if (!isObject(one) || typeof one["name"] !== "string") continue;
    const { name, firing, waits, ...rest } = one;
    state.pipelines.set(name, {
      ...(rest as Omit<PipelineAlerts, "firing" | "waits">),
      firing: mapIn(firing, isFiring),
      waits: mapIn(waits, isWait),
    });
  }
  for (const [variant, one] of mapIn(packed["daemon"], isFiring)) state.daemon.set(variant, one);
  state.pending = listIn(packed["pending"]).filter(isPending);
  if (typeof packed["epoch"] === "number") state.epoch = packed["epoch"];
  return state;
}

type Fields = Readonly<Record<string, unknown>>;

function copied(value: object): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

function mapIn<T>(value: unknown, is: (one: unknown) => one is T): Map<string, T> {
  const map = new Map<string, T>();
  for (const pair of listIn(value)) {
    const [key, one] = listIn(pair);
    if (typeof key === "string" && is(one)) map.set(key, one);
  }
  return map;
}

function isFiring(one: unknown): one is Firing {
  return (
    isObject(one) &&
    ["kind", "since", "cause", "at", "because"].every((name) => typeof one[name] === "string") &&
    typeof one["count"] === "number" &&
    isObject(one["told"])
  );
}

function isWait(one: unknown): one is Wait {
  return isObject(one) && typeof one["cause"] === "string" && typeof one["at"] === "string";
}

function isPending(one: unknown): one is Pending {
  return (
    isObject(one) &&
    ["rule", "channel", "kind"].every((name) => typeof one[name] === "string") &&
    ["opened", "until", "count"].every((name) => typeof one[name] === "number") &&
    Array.isArray(one["items"]) &&
    one["items"].length > 0
  );
}
