/** Alerts: what fires, what waits to be sent, what was given up, and how each channel fares. */
import type { ComponentChildren, JSX } from "preact";
import { useRef } from "preact/hooks";
import { kindText, messageText, untoldText } from "../../../core/alert-words.ts";
import type { AlertsView, ChannelView, FiringAlert, MessageView } from "../../../views/alerts.ts";
import { now } from "../clock.ts";
import { mayOperate } from "../here.ts";
import { hrefOf } from "../location.ts";
import { DataTable } from "../data-table.tsx";
import { Status } from "../marks.tsx";
import { endSilenceIntent, silenceIntent } from "../pipeline-requests.tsx";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { useRowKeys } from "../row-keys.ts";
import { AskButton } from "../run/ask-button.tsx";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { useView } from "../view.ts";
import { comingText, countText, relativeText } from "../words.ts";
import { fullTime } from "../zone.ts";

export function Alerts(): JSX.Element {
  const { value, problem } = useView<AlertsView>("alerts", { alerts: true });
  return (
    <article>
      <h1>Alerts</h1>
      {problem !== undefined && <ProblemBox problem={problem} />}
      {value === undefined && problem === undefined && <Waiting what="the alerts" />}
      {value !== undefined && <Shown view={value} />}
    </article>
  );
}

function Shown({ view }: { readonly view: AlertsView }): JSX.Element {
  const { firing, waiting, sent, gaveUp, counts, channels, fault } = view;
  const box = useRef<HTMLDivElement>(null);
  useRowKeys(box);
  return (
    <div ref={box}>
      <Lead view={view} />
      {fault !== null && <p class="bad">{sentence(`${fault}.`)}</p>}
      <Firing firing={firing} count={counts.firing} />
      <Messages
        title="Given up"
        note="No channel took these, and they are not tried again."
        none="No message was given up."
        messages={gaveUp}
        last="Given up"
      />
      <Messages
        title="Waiting"
        none="No message waits."
        messages={waiting}
        count={counts.waiting}
        last="Next try"
      />
      <Silences view={view} />
      <Channels channels={channels} />
      <Messages title="Sent" none="No message was sent." messages={sent} last="Sent" />
    </div>
  );
}

/** Whether anybody is told anything. */
function Lead({ view }: { readonly view: AlertsView }): JSX.Element {
  const { configured, running, asOf, counts } = view;
  if (!configured)
    return (
      <div class="card">
        <p>
          Nobody is told: <code>orchd.yaml</code> has no <code>notify</code>. Name channels there,
          such as mail, Slack or a webhook. <code>docs/alerts.md</code> has each kind.
        </p>
        <p>
          Until then, the page and <code>/metrics</code> show what needs you: failed runs, missed
          slots, overdue runs, invalid files.
        </p>
      </div>
    );
  if (!running)
    return (
      <p class="lead bad">
        Nothing is sent: <code>orchd notify</code> does not run. The daemon runs it where{" "}
        <code>orchd.yaml</code> has <code>notify</code>.
        {asOf !== null && ` What follows is as of ${fullTime(asOf)}.`}
      </p>
    );
  return (
    <p class="lead mute">
      {counts.firing === 0
        ? "Nothing fires."
        : `${countText(counts.firing, "alert fires", "alerts fire")}.`}{" "}
      <code>orchd notify</code> runs.
    </p>
  );
}

const TONES: Readonly<Record<string, string>> = {
  recovered: "completed",
  missed: "missed",
  late: "retrying",
  overdue: "retrying",
  queued: "initializing",
  restarted: "stopped",
};

function Kind({ kind }: { readonly kind: string }): JSX.Element {
  return <Status status={TONES[kind] ?? "failed"} text={kindText(kind)} />;
}

function Firing({
  firing,
  count,
}: {
  readonly firing: readonly FiringAlert[];
  readonly count: number;
}): JSX.Element {
  const heads = ["Kind", "About", "Since", "Times", "Told", "Because"];
  return (
    <Card title="Firing" none="Nothing fires." length={firing.length} count={count}>
      <DataTable label="What fires, newest first" heads={mayOperate.value ? [...heads, ""] : heads}>
        {firing.map((one) => (
          <tr
            key={`${one.kind} ${one.pipeline} ${one.since} ${one.because}`}
            data-row={`${one.kind} ${one.pipeline}`}
          >
            <td>
              <Kind kind={one.kind} />
            </td>
            <td>
              <About pipeline={one.pipeline} run={one.run} />
            </td>
            <td title={fullTime(one.since)}>{relativeText(one.since, now.value)}</td>
            <td>{countText(one.count, "time")}</td>
            <td>{one.told ? "yes" : `no: ${untoldText(one.untold)}`}</td>
            <td class="because">{sentence(one.because)}</td>
            {mayOperate.value && (
              <td>
                {one.pipeline !== null && (
                  <AskButton intent={silenceIntent(one.pipeline)} text="Silence…" />
                )}
              </td>
            )}
          </tr>
        ))}
      </DataTable>
    </Card>
  );
}

/** Messages of one state. `last`: what the last time of each is. */
function Messages({
  title,
  note,
  none,
  messages,
  count = messages.length,
  last,
}: {
  readonly title: string;
  readonly note?: string;
  readonly none: string;
  readonly messages: readonly MessageView[];
  readonly count?: number;
  readonly last: "Next try" | "Given up" | "Sent";
}): JSX.Element {
  const hasFault = last !== "Sent";
  const heads = ["Channel", "What", "About", "Due", "Tries", last, hasFault ? "Fault" : "Because"];
  return (
    <Card title={title} note={note} none={none} length={messages.length} count={count}>
      <DataTable label={`${title}, newest first`} heads={heads}>
        {messages.map((one) => (
          <tr key={one.key} data-row={one.key}>
            <td>
              <b>{safeText(one.channel)}</b>
            </td>
            <td title={messageText(one)}>
              <Kind kind={one.kind} />
              {one.of !== null && ` from ${kindText(one.of)}`}
              {one.count > 1 && ` × ${one.count.toLocaleString("en")}`}
            </td>
            <td>
              <About pipeline={one.pipeline} run={one.run} />
            </td>
            <td title={fullTime(one.dueAt)}>{relativeText(one.dueAt, now.value)}</td>
            <td>{one.attempts > 0 && countText(one.attempts, "try", "tries")}</td>
            <td>
              <LastTime message={one} />
            </td>
            <td class="because">{sentence(hasFault ? one.fault : one.because)}</td>
          </tr>
        ))}
      </DataTable>
    </Card>
  );
}

function LastTime({ message }: { readonly message: MessageView }): JSX.Element {
  const { endedAt, retryAt } = message;
  if (endedAt !== null)
    return <span title={fullTime(endedAt)}>{relativeText(endedAt, now.value)}</span>;
  if (retryAt === null) return <>now</>;
  return <span title={fullTime(retryAt)}>{comingText(retryAt, now.value)}</span>;
}

function Silences({ view }: { readonly view: AlertsView }): JSX.Element | null {
  const { silences } = view;
  if (silences.length === 0) return null;
  return (
    <Card title="Silent" none="" length={silences.length}>
      <DataTable label="Silent pipelines" heads={["Pipeline", "Until", "By", "Because", ""]}>
        {silences.map(({ pipeline, until, by, because }) => (
          <tr key={pipeline} data-row={pipeline}>
            <td>
              <About pipeline={pipeline} run={null} />
            </td>
            <td title={fullTime(until)}>
              {fullTime(until)}, {comingText(until, now.value)}
            </td>
            <td>{safeText(by ?? "not known")}</td>
            <td class="because">{sentence(because)}</td>
            <td>
              <AskButton intent={endSilenceIntent(pipeline)} text="End…" />
            </td>
          </tr>
        ))}
      </DataTable>
    </Card>
  );
}

function Channels({ channels }: { readonly channels: readonly ChannelView[] }): JSX.Element | null {
  if (channels.length === 0) return null;
  const heads = [
    "Channel",
    "Kind",
    "State",
    "Sent",
    "Failed tries",
    "Given up",
    "Last sent",
    "Fault",
  ];
  return (
    <Card title="Channels" none="" length={channels.length}>
      <DataTable label="Channels" heads={heads}>
        {channels.map((one) => (
          <tr key={one.name}>
            <td>
              <b>{safeText(one.name)}</b>
            </td>
            <td>{safeText(one.kind ?? "not in orchd.yaml")}</td>
            <td>
              <ChannelState channel={one} />
            </td>
            <td>{one.sent.toLocaleString("en")} sent</td>
            <td>{one.failed > 0 && countText(one.failed, "failed try", "failed tries")}</td>
            <td>{one.gaveUp > 0 && `${one.gaveUp.toLocaleString("en")} given up`}</td>
            <td>{one.lastSentAt === null ? "never" : relativeText(one.lastSentAt, now.value)}</td>
            <td class="because">{sentence(one.fault)}</td>
          </tr>
        ))}
      </DataTable>
    </Card>
  );
}

function ChannelState({ channel }: { readonly channel: ChannelView }): JSX.Element {
  if (channel.broken) return <Status status="failed" text="broken" />;
  if (channel.fault !== null) return <Status status="retrying" text="last try failed" />;
  if (channel.lastSentAt === null) return <Status status="initializing" text="not used yet" />;
  return <Status status="completed" text="works" />;
}

function About({
  pipeline,
  run,
}: {
  readonly pipeline: string | null;
  readonly run: string | null;
}): JSX.Element {
  if (run !== null) return <a href={hrefOf(["runs", run])}>{safeText(run)}</a>;
  if (pipeline === null) return <a href={hrefOf([])}>the daemon</a>;
  return <a href={hrefOf(["pipelines", pipeline])}>{safeText(pipeline)}</a>;
}

function Card({
  title,
  note,
  none,
  length,
  count = length,
  children,
}: {
  readonly title: string;
  readonly note?: string | undefined;
  readonly none: string;
  readonly length: number;
  readonly count?: number;
  readonly children: ComponentChildren;
}): JSX.Element {
  const id = `alerts-${title.replace(/\W/g, "-").toLowerCase()}`;
  return (
    <section class="card flush" aria-labelledby={id}>
      <div class="card-head">
        <h2 id={id}>
          {title} {count > 0 && <small class="mute">{count.toLocaleString("en")}</small>}
        </h2>
      </div>
      {length === 0 ? <p class="none">{none}</p> : children}
      {length > 0 && note !== undefined && <p class="none">{note}</p>}
      {count > length && <p class="none">The newest {length} are shown.</p>}
    </section>
  );
}
