/**
 * Messages that nothing is due for: a test of a channel, and what the end of a run would tell.
 * Nothing of them is recorded, and each has a key of its own.
 */
import type { Alert } from "../core/alert.ts";
import type { NotifySettings } from "../core/notify-settings.ts";
import { sha256 } from "../core/sha256.ts";
import type { Json } from "../core/snapshot.ts";
import { iso } from "../core/time.ts";
import { AlertFold } from "./alert-fold.ts";
import type { PipelineFacts } from "./notify-input.ts";
import { RuleBook } from "./rule-book.ts";

/** The alert that tries a channel. @param now milliseconds since 1970 */
export function testAlert(channel: string, now: number): Alert {
  return {
    key: ownKey("test", channel, now),
    kind: "failed",
    channel,
    because: `this message tries channel ${channel}; nothing failed`,
    at: iso(now),
    count: 1,
    telling: 1,
  };
}

/** A pipeline's lines, for {@link replayed}. */
export interface ReplayedLine {
  readonly file: string;
  readonly seq: number;
  readonly line: Readonly<Record<string, unknown>>;
}

/** What the end of a run tells. */
export interface Replayed {
  readonly due: readonly Alert[];
  /** Why nobody is told, a clause; undefined where somebody is. */
  readonly untold?: string;
}

/**
 * What the end of a run tells, and to which channels, if what its pipeline's ledger says before it
 * is all that is known. Groups and quiet hours do not hold it back.
 *
 * @param lines of the pipeline's ledger, oldest first; read up to the run's end
 * @returns undefined where no line says that the run ended
 */
export function replayed(
  run: string,
  facts: PipelineFacts,
  lines: Iterable<ReplayedLine>,
  settings: NotifySettings,
  timezone: string,
): Replayed | undefined {
  const rules = settings.rules.map(({ quiet: _quiet, ...rule }) => ({ ...rule, groupMs: 0 }));
  const fold = new AlertFold({ book: new RuleBook({ ...settings, rules }, timezone) });
  const present = { ...facts, notify: atOnce(facts.notify), paused: false, silence: undefined };
  fold.take({ type: "pipeline", now: 0, ...present });
  const { pipeline } = facts;
  for (const { file, seq, line } of lines) {
    const { at, type } = line;
    const now = Date.parse(String(at));
    // The rules that are in force now are asked, and a silence of that time is no answer.
    if (/^pipeline\.(?:loaded|paused|silenced|checkpoint)$/.test(String(type))) continue;
    const { due } = fold.take({ type: "line", now, pipeline, file, seq, line });
    if (type !== "run.finished" || line["run"] !== run) continue;
    if (due.length === 0) return { due, untold: whyUntold(fold, pipeline, line["status"]) };
    const own = due.map((alert) => ({ ...alert, key: ownKey("replay", alert.key, Date.now()) }));
    return { due: own };
  }
  return undefined;
}

function whyUntold(fold: AlertFold, pipeline: string, status: unknown): string {
  const firing = fold.state.pipelines.get(pipeline)?.firing.get("failed");
  if (status !== "failed") return `it ended ${String(status)}, and no failure was told before it`;
  if (firing === undefined || firing.untold === "no_rule") return "no rule is about its failure";
  const nth = `it is failure ${firing.count} in a row`;
  return firing.untold === "after"
    ? `${nth}, and the rule tells a later one`
    : `${nth}, and an earlier one was told`;
}

/** A pipeline's own rules without what holds a message back. */
function atOnce(notify: Json | undefined): Json | undefined {
  if (notify === null || typeof notify !== "object") return notify;
  if (Array.isArray(notify)) return notify.map((rule) => atOnce(rule as Json) ?? null);
  const { group: _group, quiet: _quiet, ...rule } = notify as { [name: string]: Json };
  return rule;
}

function ownKey(...parts: readonly (string | number)[]): string {
  return sha256(parts.join(" ")).slice(0, 32);
}
