/** What may be asked for a pipeline, each with its dialog. */
import { HOUR_MS } from "../../core/time.ts";
import type { PipelineRow } from "../../views/overview.ts";
import { now } from "./clock.ts";
import { confirmFirst, type Intent } from "./confirm.tsx";
import { hrefOf } from "./location.ts";
import { safeText } from "./safe-text.ts";
import { countText } from "./words.ts";

/** Asks whether to run the pipeline now, with its defaults. */
export function askToRun({ name, paused, active }: PipelineRow): void {
  confirmFirst({
    title: `Run ${name} now?`,
    what: (
      <p>
        A run by hand begins, with the default params. {paused && "Its schedule stays paused. "}
        {active.length > 0 &&
          `${countText(active.length, "run of it goes", "runs of it go")} on: ` +
            "its limits say if this one waits. "}
        <a href={hrefOf(["pipelines", name])}>Its page</a> has a form for other params.
      </p>
    ),
    button: "Run it",
    command: ["orchd", "run", name],
    request: { type: "submit", pipeline: name },
  });
}

/** Asks whether to pause the pipeline's schedule, or to let it go on. */
export function askToPause(row: PipelineRow): void {
  confirmFirst(pauseIntent(row));
}

/** What is asked to pause a pipeline's schedule, or to let it go on. */
export function pauseIntent({ name, paused }: PipelineRow): Intent {
  const verb = paused ? "resume" : "pause";
  return {
    title: paused ? `Let ${name} go on?` : `Pause ${name}?`,
    what: (
      <p>
        {paused
          ? `Slots of ${safeText(name)} fire again from now on. What was skipped stays skipped.`
          : `Slots of ${safeText(name)} are skipped until it is resumed. Begun runs go on.`}
      </p>
    ),
    button: paused ? "Resume it" : "Pause it",
    command: ["orchd", verb, name],
    request: { type: verb, pipeline: name },
  };
}

const SILENT_HOURS = 2;

/** What is asked so that nobody is told of a pipeline for two hours. */
export function silenceIntent(name: string): Intent {
  const until = new Date(now.value + SILENT_HOURS * HOUR_MS).toISOString();
  return {
    title: `Tell nobody of ${name} for ${SILENT_HOURS} hours?`,
    what: (
      <p>
        No message about {safeText(name)} is sent until then. Its schedule goes on, and what still
        holds then is told after it.
      </p>
    ),
    button: "Silence it",
    command: ["orchd", "silence", name, "--for", `${SILENT_HOURS}h`],
    request: { type: "silence", pipeline: name, until },
  };
}

/** What is asked so that people are told of a pipeline again. */
export function endSilenceIntent(name: string): Intent {
  return {
    title: `Tell people of ${name} again?`,
    what: <p>What holds now is told at once, as the rules say.</p>,
    button: "End the silence",
    command: ["orchd", "silence", name, "--end"],
    request: { type: "silence", pipeline: name, until: null },
  };
}
