/**
 * Who is told what of a pipeline: orchd.yaml's rules, or the pipeline's own in their place.
 *
 * Of several rules that tell one channel the same kind, the first counts: so a channel gets one
 * message for one cause, and its `after`, `group`, `repeat` and quiet hours are those of one rule.
 */
import type { AlertKind } from "../core/alert.ts";
import { canonicalHash } from "../core/canonical-json.ts";
import {
  resolvePipelineNotify,
  type NotifyRule,
  type NotifySettings,
} from "../core/notify-settings.ts";
import type { NotifyState, PipelineAlerts } from "../core/notify-state.ts";

/** A rule with the name by which a message that gathers remembers it. */
export interface BookRule extends NotifyRule {
  readonly id: string;
}

/** A channel, and the rule by which it is told. */
export interface Recipient {
  readonly channel: string;
  readonly rule: BookRule;
}

/** What of a pipeline decides which rules hold. */
type Ruled = Pick<PipelineAlerts, "tags" | "notify">;

/** The rules of one orchd.yaml. */
export class RuleBook {
  readonly #settings: Pick<NotifySettings, "channels" | "rules">;
  readonly #timezone: string;
  readonly #rules: readonly BookRule[];
  readonly #ids: Map<string, BookRule>;
  /** The rules of pipelines that have their own, by that text. */
  readonly #own = new Map<string, readonly BookRule[] | undefined>();
  /** Recipients by pipeline and kind. */
  #known = new Map<string, readonly Recipient[]>();

  /** @param timezone orchd.yaml's, for quiet hours that name none */
  constructor(settings: Pick<NotifySettings, "channels" | "rules">, timezone: string) {
    this.#settings = settings;
    this.#timezone = timezone;
    this.#rules = settings.rules.map(booked);
    this.#ids = new Map(this.#rules.map((rule) => [rule.id, rule]));
  }

  /** Whether orchd.yaml has the channel. */
  has(channel: string): boolean {
    return Object.hasOwn(this.#settings.channels, channel);
  }

  /** A rule by its name, if it is one of orchd.yaml's or of a pipeline that was asked for. */
  rule(id: string): BookRule | undefined {
    return this.#ids.get(id);
  }

  /** Learns the rules of pipelines that have their own, so that {@link rule} knows them. */
  learn({ pipelines }: NotifyState): void {
    for (const [name, pipeline] of pipelines) this.#rulesOf(name, pipeline);
  }

  /** Who is told this kind of a pipeline. */
  recipients(name: string, pipeline: Ruled, kind: AlertKind): readonly Recipient[] {
    const key = JSON.stringify([name, kind, pipeline.tags ?? [], pipeline.notify ?? null]);
    let found = this.#known.get(key);
    if (found === undefined) {
      const { tags = [] } = pipeline;
      found = this.#firsts(
        this.#rulesOf(name, pipeline).filter(
          (rule) =>
            rule.on.includes(kind) && (rule.tags?.some((tag) => tags.includes(tag)) ?? true),
        ),
      );
      if (this.#known.size >= 50_000) this.#known = new Map();
      this.#known.set(key, found);
    }
    return found;
  }

  /** Who is told this kind of the daemon: rules for some pipelines only are not about it. */
  daemonRecipients(kind: AlertKind): readonly Recipient[] {
    return this.#firsts(this.#rules.filter((rule) => isOfAll(rule) && rule.on.includes(kind)));
  }

  /**
   * Who is told that a channel takes no messages: the other channels of each rule that names it,
   * and of each rule that asks for that kind.
   */
  besides(broken: string, { pipelines }: NotifyState): readonly Recipient[] {
    const own = [...pipelines].flatMap(([name, pipeline]) =>
      pipeline.notify === undefined ? [] : this.#rulesOf(name, pipeline),
    );
    const rules = [...this.#rules, ...own].filter(
      (rule) => rule.to.includes(broken) || (isOfAll(rule) && rule.on.includes("channel_broken")),
    );
    return this.#firsts(rules).filter(({ channel }) => channel !== broken);
  }

  #rulesOf(name: string, { notify }: Ruled): readonly BookRule[] {
    if (notify !== undefined) {
      const own = this.#ownRules(JSON.stringify(notify), notify);
      if (own !== undefined) return own;
    }
    return this.#rules.filter(({ pipelines }) => pipelines?.includes(name) ?? true);
  }

  #ownRules(text: string, notify: unknown): readonly BookRule[] | undefined {
    if (!this.#own.has(text)) {
      const rules = resolvePipelineNotify(notify, this.#timezone)?.map(booked);
      for (const rule of rules ?? []) this.#ids.set(rule.id, rule);
      this.#own.set(text, rules);
    }
    return this.#own.get(text);
  }

  #firsts(rules: readonly BookRule[]): readonly Recipient[] {
    const first = new Map<string, Recipient>();
    for (const rule of rules)
      for (const channel of rule.to)
        if (!first.has(channel) && this.has(channel)) first.set(channel, { channel, rule });
    return [...first.values()];
  }
}

function isOfAll({ tags, pipelines }: NotifyRule): boolean {
  return tags === undefined && pipelines === undefined;
}

function booked(rule: NotifyRule): BookRule {
  return { ...rule, id: canonicalHash(rule).slice(0, 16) };
}
