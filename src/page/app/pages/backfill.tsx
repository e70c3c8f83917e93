/**
 * Backfill: past slots are run, and their price is told before. The plan is in the address, so that
 * a link carries it; only the button asks for anything.
 */
import type { JSX, TargetedSubmitEvent } from "preact";
import type { LedgerPrice } from "../../../views/ledger-price.ts";
import type { PipelinePage } from "../../../views/pipeline-page.ts";
import type { StatusView } from "../../../views/status-view.ts";
import type { Intent } from "../confirm.tsx";
import { Command } from "../command.tsx";
import { formText } from "../form-text.ts";
import { address, hrefOf, setQuery } from "../location.ts";
import { useNamed } from "../named-view.ts";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { AskButton } from "../run/ask-button.tsx";
import { safeText } from "../safe-text.ts";
import { UnderWay } from "../under-way.tsx";
import { useView } from "../view.ts";
import { countText, durationText } from "../words.ts";
import { fullTime } from "../zone.ts";

/** What a backfill takes, as it stands in the address. */
interface Plan {
  readonly pipeline: string;
  readonly from: string;
  readonly to: string;
  readonly which: string;
  readonly maxActive: string;
}

const CHOICES = [
  ["missing", "slots without a run"],
  ["failed", "slots whose newest run failed or was stopped"],
  ["all", "every slot"],
] as const;

export function Backfill(): JSX.Element {
  const plan = planOf(address.value.query);
  const isWhole = plan.pipeline !== "" && plan.from !== "" && plan.to !== "";
  const route = isWhole ? `backfill/price?${new URLSearchParams({ ...plan }).toString()}` : null;
  const { value, problem, stale } = useNamed<LedgerPrice>(route, { pipeline: plan.pipeline });
  // The price of another plan would be asked for with this plan's figures.
  const price = stale ? undefined : value;
  return (
    <article class="backfill">
      <h1>Backfill</h1>
      <p class="lead mute">Runs past slots. The price comes first; nothing is asked for by it.</p>
      <PlanForm key={JSON.stringify(plan)} plan={plan} />
      {problem !== undefined && <ProblemBox problem={problem} />}
      {isWhole && price === undefined && problem === undefined && <Waiting what="the price" />}
      {isWhole && price !== undefined && problem === undefined && (
        <Price price={price} plan={plan} />
      )}
      {plan.pipeline !== "" && <OfPipeline pipeline={plan.pipeline} />}
    </article>
  );
}

function planOf(query: URLSearchParams): Plan {
  const get = (name: string): string => query.get(name) ?? "";
  const which = get("which");
  return {
    pipeline: get("pipeline"),
    from: get("from"),
    to: get("to"),
    which: CHOICES.some(([choice]) => choice === which) ? which : "missing",
    maxActive: get("maxActive") || "1",
  };
}

/**
 * What is typed is the browser's until it is sent: a `value` would take it away with each update.
 */
function PlanForm({ plan }: { readonly plan: Plan }): JSX.Element {
  const { value } = useView<StatusView>("status", { none: true });
  const names = (value?.pipelines ?? []).map(({ name }) => name);
  const price = (event: TargetedSubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const keys = ["pipeline", "from", "to", "which", "maxActive"];
    setQuery(Object.fromEntries(keys.map((key) => [key, formText(given, key)])), {
      replace: false,
    });
  };
  return (
    <form class="card choice plan" onSubmit={price}>
      <label>
        Pipeline
        <input
          name="pipeline"
          list="pipelines"
          required
          spellcheck={false}
          autocomplete="off"
          defaultValue={plan.pipeline}
        />
      </label>
      <datalist id="pipelines">
        {names.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <label>
        From
        <input name="from" placeholder="7d, or 2026-11-23" required defaultValue={plan.from} />
      </label>
      <label>
        To
        <input name="to" placeholder="now" required defaultValue={plan.to} />
      </label>
      <label>
        Which
        <select name="which">
          {CHOICES.map(([choice, text]) => (
            <option key={choice} value={choice} selected={choice === plan.which}>
              {`${choice}: ${text}`}
            </option>
          ))}
        </select>
      </label>
      <label>
        At once
        <input
          name="maxActive"
          type="number"
          min="1"
          max="1000"
          required
          defaultValue={plan.maxActive}
        />
      </label>
      <button type="submit" class="button">
        Tell the price
      </button>
    </form>
  );
}

function Price({ price, plan }: { readonly price: LedgerPrice; readonly plan: Plan }): JSX.Element {
  const { slots, runs, executes, cached, steps, estimatedMs, first, last } = price;
  const intent = intentOf(price, plan);
  const time =
    estimatedMs === null ? "no run of it has completed yet" : `about ${roughText(estimatedMs)}`;
  const note = estimatedMs === null ? "how long is not known" : time;
  const off = whyNothing(price);
  return (
    <section class="card price" aria-labelledby="price">
      <h2 id="price">The price</h2>
      <dl class="facts">
        <div>
          <dt>Slots</dt>
          <dd>
            {slots.toLocaleString("en")}
            <small>{`${fullTime(price.from)} to ${fullTime(price.to)}`}</small>
          </dd>
        </div>
        <div>
          <dt>Runs</dt>
          <dd>
            {runs.toLocaleString("en")}
            <small>{`of ${countText(slots, "slot")}: ${price.which}`}</small>
          </dd>
        </div>
        <div>
          <dt>Execute</dt>
          <dd>
            {executes.toLocaleString("en")}
            <small>{`the cache answers ${countText(cached, "run")} whole`}</small>
          </dd>
        </div>
        <div>
          <dt>Steps</dt>
          <dd>
            {(steps.total - steps.cached).toLocaleString("en")}
            <small>{`of ${steps.total.toLocaleString("en")}; the cache answers the rest`}</small>
          </dd>
        </div>
        <div>
          <dt>Takes</dt>
          <dd>
            {off !== undefined ? "no time" : estimatedMs === null ? "not known" : time}
            <small>{`${plan.maxActive} at once, by what its runs took so far`}</small>
          </dd>
        </div>
      </dl>
      <PricedBy price={price} />
      {first !== null && last !== null && (
        <p class="mute">{`The first slot is ${fullTime(first)}, the last ${fullTime(last)}.`}</p>
      )}
      <div class="acts">
        <AskButton
          isPrimary
          intent={intent}
          text={`Backfill ${countText(runs, "slot")}`}
          note={off === undefined ? note : undefined}
          off={off}
        />
      </div>
      {off !== undefined && <p class="mute">{`There is nothing to run: ${off}.`}</p>}
      <Command words={intent.command} />
    </section>
  );
}

/** Why a backfill would run nothing: a clause; undefined where it would run something. */
function whyNothing({ runs, slots, which }: LedgerPrice): string | undefined {
  if (runs > 0) return undefined;
  if (slots === 0) return "no slot lies between the two times";
  return which === "missing" ? "each slot has a run" : "no slot's newest run failed or was stopped";
}

/** Whole seconds: an estimate is no better than that. */
function roughText(milliseconds: number): string {
  return durationText(Math.max(1, Math.round(milliseconds / 1_000)) * 1_000);
}

/** By which run's steps it was priced. */
function PricedBy({
  price: { pricedBy, runs },
}: {
  readonly price: LedgerPrice;
}): JSX.Element | null {
  if (runs === 0) return null;
  if (pricedBy === null)
    return <p class="mute">It has never run, so its steps are not known and not counted.</p>;
  return (
    <p class="mute">
      {"Priced by the steps of "}
      <a href={hrefOf(["runs", pricedBy.run])}>{safeText(pricedBy.run)}</a>
      {pricedBy.older && "; the file was changed since, so it may have other steps now"}.
    </p>
  );
}

function intentOf(price: LedgerPrice, plan: Plan): Intent {
  const { pipeline, from, to, which, runs, executes, estimatedMs } = price;
  const maxActive = Number(plan.maxActive);
  const time = estimatedMs === null ? "" : ` It takes about ${roughText(estimatedMs)}.`;
  return {
    title: `Backfill ${pipeline}`,
    what:
      `${countText(runs, "run")} of past slots from ${fullTime(from)} to ${fullTime(to)} ` +
      `begin, ${maxActive} at once; ${executes} of them execute at least one step.${time}`,
    button: `Backfill ${countText(runs, "slot")}`,
    command: [
      "orchd",
      "backfill",
      pipeline,
      "--from",
      from,
      "--to",
      to,
      `--${which}`,
      ...(maxActive === 1 ? [] : ["--max-active", String(maxActive)]),
    ],
    request: { type: "backfill", pipeline, from, to, which, maxActive },
  };
}

function OfPipeline({ pipeline }: { readonly pipeline: string }): JSX.Element | null {
  const { value } = useNamed<PipelinePage>(`pipelines/${encodeURIComponent(pipeline)}`, {
    pipeline,
  });
  return <UnderWay backfills={value?.backfills ?? []} />;
}
