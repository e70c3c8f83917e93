/** The five questions, each answered in a sentence. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Overview, RunningRun } from "../../../views/overview.ts";
import { HOUR_MS } from "../../../core/time.ts";
import { now } from "../clock.ts";
import { hrefOf } from "../location.ts";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { comingText, countText, durationText, someText } from "../words.ts";
import { shortTime, zoned } from "../zone.ts";

const SHOWN = 3;

export function Questions({ view }: { view: Overview }) {
  const { slots, running, next, changes, alerts } = view;
  return (
    <section class="questions" aria-label="What there is to know">
      <Question title="Did it run?">
        <p>
          <DidItRun view={view} />
        </p>
      </Question>
      <Question
        title="What did not, and why?"
        isBad={slots.failed + slots.missed > 0 || alerts !== undefined}
      >
        <p>
          <WhatDidNot view={view} />
        </p>
        {alerts !== undefined && (
          <p>
            <a href={hrefOf(["alerts"])}>{untoldText(alerts)}</a>
          </p>
        )}
      </Question>
      <Question title="What runs now?">
        {running.length === 0 && <p class="mute">Nothing runs.</p>}
        {running.slice(0, SHOWN).map((run) => (
          <Running key={run.run} run={run} />
        ))}
        {running.length > SHOWN && (
          <a class="more" href={hrefOf(["runs"], { status: "running" })}>
            and {running.length - SHOWN} more
          </a>
        )}
      </Question>
      <Question title="What comes next?">
        {next.length === 0 && <p class="mute">Nothing is planned.</p>}
        {next.slice(0, SHOWN).map(({ pipeline, slot }) => (
          <div class="next" key={`${pipeline} ${slot}`}>
            <a href={hrefOf(["pipelines", pipeline])}>{safeText(pipeline)}</a>
            <small title={zoned(shortTime(slot, now.value))}>{comingText(slot, now.value)}</small>
          </div>
        ))}
      </Question>
      <Question title="What changed?">
        <Changes changes={changes} />
      </Question>
    </section>
  );
}

function Question({
  title,
  isBad = false,
  children,
}: {
  title: string;
  isBad?: boolean;
  children: ComponentChildren;
}) {
  return (
    <div class={isBad ? "question alarming" : "question"}>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** `in the last 24 hours`, `in 19 minutes`. */
function spanText({ from, at }: Overview): string {
  const span = Date.parse(at) - Date.parse(from);
  if (span >= 23.9 * HOUR_MS) return "in the last 24 hours";
  const minutes = Math.max(1, Math.round(span / 60_000));
  return minutes < 120
    ? `in ${countText(minutes, "minute")}`
    : `in ${Math.round(minutes / 60)} hours`;
}

function DidItRun({ view }: { view: Overview }) {
  const { total, ran, late } = view.slots;
  if (total === 0) return <>No slot was due {spanText(view)}.</>;
  return (
    <>
      <b class="big">{ran.toLocaleString("en")}</b> of {countText(total, "slot")} ran{" "}
      {spanText(view)}
      {late > 0 && (
        <>
          ; <a href={hrefOf(["slots"], { span: "24h", decision: "late" })}>{late} of them late</a>
        </>
      )}
      .
    </>
  );
}

function WhatDidNot({ view }: { view: Overview }) {
  const { failed, missed, skipped } = view.slots;
  if (failed + missed + skipped === 0) return <>Nothing failed, and no slot was missed.</>;
  const why = whyMissed(view);
  const parts = [
    failed > 0 && (
      <a href={hrefOf(["runs"], { status: "failed", since: view.from })}>
        <b class="big">{failed.toLocaleString("en")}</b> {failed === 1 ? "run" : "runs"} failed
      </a>
    ),
    missed > 0 && (
      <>
        <a href={hrefOf(["slots"], { span: "24h", decision: "missed" })}>
          <b>{missed.toLocaleString("en")}</b> {missed === 1 ? "slot" : "slots"} missed
        </a>
        {why !== undefined && `: ${why}`}
      </>
    ),
    skipped > 0 && (
      <a href={hrefOf(["slots"], { span: "24h", decision: "skipped" })}>
        <b>{skipped.toLocaleString("en")}</b> skipped
      </a>
    ),
  ].filter((part) => part !== false);
  return (
    <>
      {parts.map((part, index) => (
        <>
          {index > 0 && "; "}
          {part}
        </>
      ))}
      .
    </>
  );
}

/** `2 messages to people were given up, and channel chat takes none.` */
function untoldText({ gaveUp, broken }: NonNullable<Overview["alerts"]>): string {
  const were = gaveUp === 1 ? "was" : "were";
  const lost = `${countText(gaveUp, "message")} to people ${were} given up`;
  const one = broken.length === 1;
  const names = safeText(someText(broken));
  const dead = `${one ? "channel" : "channels"} ${names} ${one ? "takes" : "take"} no messages`;
  const parts = [gaveUp > 0 ? lost : undefined, broken.length > 0 ? dead : undefined];
  return `${sentence(parts.filter((part) => part !== undefined).join(", and "))}.`;
}

/** The downtimes, and where there was none the most frequent reason. */
function whyMissed({ downtimes, reasons, at }: Overview): string | undefined {
  const last = downtimes.at(-1);
  if (last === undefined) {
    const reason = reasons.find(({ decision }) => decision === "missed")?.because;
    return reason === undefined ? undefined : sentence(reason);
  }
  const before = Date.parse(at);
  const from = shortTime(last.from, before);
  const to = last.to === null ? "now" : shortTime(last.to, before);
  const times = downtimes.length === 1 ? "" : `${downtimes.length} times, last `;
  return `no daemon was up ${times}${from}–${to}`;
}

/** From this share of the usual time on, a run is slow. */
const SLOW = 1.5;

function Running({ run }: { run: RunningRun }) {
  const { usualMs, startedAt, done, steps, waiting } = run;
  const passed = startedAt === null ? 0 : Math.max(0, now.value - Date.parse(startedAt));
  const times = usualMs === null || usualMs === 0 ? undefined : passed / usualMs;
  const share = times === undefined ? (steps === 0 ? 0 : done / steps) : Math.min(1, times);
  const isSlow = times !== undefined && times > SLOW;
  return (
    <div class="under-way">
      <a href={hrefOf(["runs", run.run])}>{safeText(run.pipeline)}</a>
      <span class="progress" aria-hidden="true">
        <i class={isSlow ? "over" : ""} style={{ width: `${share * 100}%` }} />
      </span>
      <small>
        {startedAt === null ? "has not begun" : durationText(Math.floor(passed / 1_000) * 1_000)}
        {usualMs !== null && `, usually ${durationText(usualMs)}`}
        {` · ${done} of ${countText(steps, "step")}`}
        {waiting > 0 && ` · ${countText(waiting, "waits", "wait")} for a place`}
        {isSlow && (
          <>
            {" · "}
            <b class="slow">slow, {times.toFixed(times < 10 ? 1 : 0)}×</b>
          </>
        )}
      </small>
    </div>
  );
}

function Changes({ changes }: { changes: Overview["changes"] }) {
  const [isWhole, setWhole] = useState(false);
  if (changes.length === 0) return <p class="mute">Nothing changed.</p>;
  const shown = isWhole ? changes : changes.slice(0, SHOWN);
  return (
    <>
      <ul class="changes">
        {shown.map(({ at, pipeline, sentence: text }) => (
          <li key={`${at} ${text}`} title={zoned(shortTime(at, now.value))}>
            {pipeline === null ? (
              sentence(text)
            ) : (
              <a href={hrefOf(["pipelines", pipeline])}>{sentence(text)}</a>
            )}
          </li>
        ))}
      </ul>
      {changes.length > SHOWN && (
        <button
          type="button"
          class="plain more"
          aria-expanded={isWhole}
          onClick={() => setWhole(!isWhole)}
        >
          {isWhole ? "fewer" : `and ${changes.length - SHOWN} more`}
        </button>
      )}
    </>
  );
}
