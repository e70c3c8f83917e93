/** What may be asked about a run: to run again, to be compared, to stop. */
import type { JSX } from "preact";
import type { RunPage } from "../../../views/run-page.ts";
import { confirmFirst, type Intent } from "../confirm.tsx";
import { mayOperate } from "../here.ts";
import { useKeys } from "../keys.ts";
import { hrefOf } from "../location.ts";
import { countText } from "../words.ts";
import { AskButton } from "./ask-button.tsx";

/** The buttons at the head of a run. They are always the same ones: none moves. */
export function RunActions({ page }: { readonly page: RunPage }): JSX.Element {
  const { run, inProgress, status } = page;
  const again = rerunIntent(page);
  const before = page.before.at(-2)?.run;
  useKeys([
    {
      key: "r",
      does: "run it again",
      run: () => {
        if (!inProgress && mayOperate.value) confirmFirst(again.intent);
      },
    },
  ]);
  const off = inProgress ? "the run still goes on" : undefined;
  const isStopping = status === "stopping";
  return (
    <div class="acts">
      <AskButton isPrimary={!inProgress} {...again} off={off} />
      <AskButton intent={editedIntent(page)} text="Re-run as edited" off={off} />
      <a class="button" href={hrefOf(["diff"], { a: before, b: run })}>
        Compare…
      </a>
      <AskButton
        intent={stopIntent(run, isStopping)}
        text={isStopping ? "Force stop" : "Stop"}
        off={inProgress ? undefined : "the run has ended"}
      />
    </div>
  );
}

/** Whether only what failed is run again. */
function isFailed({ status }: RunPage): boolean {
  return status === "failed" || status === "stopped";
}

function rerunIntent(page: RunPage): {
  readonly intent: Intent;
  readonly text: string;
  readonly note: string | undefined;
} {
  const { run, rerun } = page;
  const failed = isFailed(page);
  const flags = failed ? ["--failed"] : [];
  return {
    text: failed ? "Re-run what failed" : "Re-run",
    note:
      rerun === null ? undefined : `${rerun.reused} of ${countText(rerun.steps, "step")} reused`,
    intent: {
      title: failed ? `Re-run what failed of ${run}` : `Re-run ${run}`,
      what:
        (failed
          ? "A new run runs what did not complete, and what has changed since, " +
            "as the pipeline was then."
          : "A new run does the same again, as the pipeline was then.") +
        (rerun === null
          ? ""
          : ` It reuses the results of ${rerun.reused} of ${countText(rerun.steps, "step")}.`),
      button:
        failed && rerun !== null
          ? `Re-run ${rerun.steps - rerun.reused} of ${countText(rerun.steps, "step")}`
          : "Re-run it",
      command: ["orchd", "rerun", run, ...flags],
      request: { type: "rerun", run, ...(failed ? { failed: true } : {}) },
    },
  };
}

function editedIntent(page: RunPage): Intent {
  const { run } = page;
  const failed = isFailed(page);
  return {
    title: `Re-run ${run} as edited`,
    what:
      "A new run takes the pipeline as its file is now, and reuses the results " +
      "of steps that did not change.",
    button: "Re-run it as edited",
    command: ["orchd", "rerun", run, ...(failed ? ["--failed"] : []), "--edited"],
    request: { type: "rerun", run, edited: true, ...(failed ? { failed: true } : {}) },
  };
}

function stopIntent(run: string, force: boolean): Intent {
  return {
    title: force ? `Stop ${run} by force` : `Stop ${run}`,
    what: force
      ? "Its steps are told to stop. Those that have not ended after their grace period are ended."
      : "No step of it starts any more. Those that run are told to stop, and none is ended: " +
        "Force stop does that.",
    button: force ? "Stop it by force" : "Stop it",
    command: ["orchd", "stop", run, ...(force ? ["--force"] : [])],
    request: { type: "stop", run, mode: force ? "force" : "graceful" },
  };
}
