/** What steps were given and what they gave. An artifact is shown by its reference. */
import type { JSX } from "preact";
import type { Json } from "../../../core/snapshot.ts";
import type { RunPage, StepPage } from "../../../views/run-page.ts";
import { address, withQuery } from "../location.ts";
import { Status } from "../marks.tsx";
import { safeText } from "../safe-text.ts";
import { countText } from "../words.ts";
import { CopyButton } from "./copy-button.tsx";

/** So many steps are listed while none is chosen. */
const MOST_STEPS = 12;
/** A value is shown up to this many characters of its JSON; the copy is whole. */
const MOST_SHOWN = 4_000;

export function Values({ page }: { readonly page: RunPage }): JSX.Element {
  const chosen = address.value.query.get("step");
  const step = page.steps.find((one) => one.step === chosen);
  return (
    <section class="card values-card" aria-labelledby="values">
      <div class="card-head">
        <h2 id="values">Inputs and outputs</h2>
        {step !== undefined && <a href={withQuery({ step: null })}>all steps</a>}
      </div>
      {step === undefined ? <AllSteps steps={page.steps} /> : <StepValues step={step} />}
    </section>
  );
}

function AllSteps({ steps }: { readonly steps: readonly StepPage[] }): JSX.Element {
  return (
    <>
      {steps.length === 0 && <p class="none">No step has been added yet.</p>}
      {steps.slice(0, MOST_STEPS).map((step) => (
        <details key={step.step}>
          <summary>
            {safeText(step.step)} <small>{brief(step)}</small>
          </summary>
          <StepValues step={step} />
        </details>
      ))}
      {steps.length > MOST_STEPS && (
        <p class="mute">
          {`${countText(steps.length - MOST_STEPS, "more step")}: choose one in the list.`}
        </p>
      )}
    </>
  );
}

function brief({ inputs, outputs }: StepPage): string {
  const given = Object.keys(inputs).length;
  return `${given === 0 ? "no input" : countText(given, "input")}, ${
    outputs === null ? "no output" : "an output"
  }`;
}

function StepValues({ step }: { readonly step: StepPage }): JSX.Element {
  return (
    <div class="values">
      <p>
        <Status status={step.status} /> <b>{safeText(step.step)}</b>
      </p>
      {Object.entries(step.inputs).map(([name, value]) => (
        <Value key={name} name={`input ${name}`} value={value} />
      ))}
      {step.outputs === null ? (
        <p class="none">It gave no output.</p>
      ) : (
        <Value name="output" value={step.outputs} />
      )}
    </div>
  );
}

function Value({ name, value }: { readonly name: string; readonly value: Json }): JSX.Element {
  const text = JSON.stringify(value, null, 2);
  return (
    <figure class="value">
      <figcaption>
        {safeText(name)} <CopyButton text={text} what={safeText(name)} />
      </figcaption>
      <pre tabIndex={0} aria-label={safeText(name)}>
        {text
          .slice(0, MOST_SHOWN)
          .split("\n")
          .map((line) => safeText(line))
          .join("\n")}
        {text.length > MOST_SHOWN && `\n… ${text.length.toLocaleString("en")} characters`}
      </pre>
    </figure>
  );
}
