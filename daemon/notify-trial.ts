/** Wires `orchd notify --test` and `--replay`: messages that nothing is due for. */
import type { NotifyOptions, TriedMessage } from "../src/cli/command.ts";
import { systemClock } from "../src/clock.ts";
import type { Alert } from "../src/core/alert.ts";
import { hasNone } from "../src/core/did-you-mean.ts";
import { parseRunId } from "../src/core/run-id.ts";
import type { NotifyProgramSettings } from "../src/core/notify-program.ts";
import type { RunStore } from "../src/ledger/run-store.ts";
import type { TimedChannel } from "../src/notify/deliveries.ts";
import { makeMessage } from "../src/notify/message-maker.ts";
import { replayed, testAlert } from "../src/notify/replay.ts";
import type { ChannelSecrets } from "../src/notify/secrets.ts";
import { readLogEnd } from "../src/views/log-end.ts";
import { pipelineLines, toldOf } from "../src/views/pipeline-facts.ts";

const clock = systemClock;

/** What a trial needs. */
export interface Trial extends NotifyProgramSettings {
  readonly options: NotifyOptions;
  readonly store: RunStore;
  readonly secrets: ChannelSecrets;
  readonly make: (channel: string) => TimedChannel;
}

/** Sends a message over a channel. @returns 0: it was taken; 1: it was not; 2: no such channel */
export async function tryChannel(name: string, trial: Trial): Promise<number> {
  const names = Object.keys(trial.notify.channels);
  if (!names.includes(name)) {
    trial.options.tell(hasNone("orchd.yaml", "channel", name, names));
    return 2;
  }
  const tried = await send(testAlert(name, clock.now()), trial, true);
  return finish([tried], trial);
}

/** Tells again what a run's end tells. @returns 0; 1: a channel did not take it; 3: no such run */
export async function tryReplay(run: string, trial: Trial): Promise<number> {
  const { options, store, notify, timezone } = trial;
  const pipeline = parseRunId(run)?.pipeline;
  const facts = pipeline === undefined || !store.exists(run) ? undefined : toldOf(store, pipeline);
  if (facts === undefined) {
    options.tell(`There is no run ${JSON.stringify(run)}; \`orchd runs\` lists them.`);
    return 3;
  }
  const told = replayed(run, facts, pipelineLines(store, facts.pipeline), notify, timezone);
  if (told === undefined) {
    options.tell(`The ledger of ${facts.pipeline} does not say how run ${run} ended.`);
    return 3;
  }
  const tried: TriedMessage[] = [];
  for (const alert of told.due) tried.push(await send(alert, trial, false));
  return finish(tried, trial, told.untold);
}

async function send(alert: Alert, trial: Trial, test: boolean): Promise<TriedMessage> {
  const { options, store, secrets, notify: settings, make } = trial;
  const logEnd = (run: string, most: number) => readLogEnd(store, run, most);
  const message = await makeMessage(alert, { settings, secrets, logEnd }, test);
  const { title, text } = message;
  const { channel: name, kind } = alert;
  const shown = { channel: name, kind, title, text };
  if (options.dryRun) return { ...shown, sent: null, answer: null };
  const { channel } = make(name);
  const answer = await channel.send(message, new AbortController().signal);
  channel.close();
  return answer.ok
    ? { ...shown, sent: true, answer: answer.answer ?? null }
    : { ...shown, sent: false, answer: answer.because };
}

function finish(tried: readonly TriedMessage[], { options }: Trial, untold?: string): number {
  options.trial(tried, untold);
  const failed = tried.filter(({ sent }) => sent === false);
  for (const { channel, answer } of failed)
    options.tell(`Channel ${channel} did not take the message: ${answer}.`);
  return failed.length === 0 ? 0 : 1;
}
