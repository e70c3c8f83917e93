/** Places: where steps run, why one takes no work, and which steps wait for which labels. */
import type { ComponentChildren, JSX } from "preact";
import { useRef } from "preact/hooks";
import type { PlaceHostView, PlacesView, PlaceView, WaitingSteps } from "../../../views/places.ts";
import { now } from "../clock.ts";
import { hrefOf } from "../location.ts";
import { Status } from "../marks.tsx";
import { DataTable } from "../data-table.tsx";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { useRowKeys } from "../row-keys.ts";
import { safeText } from "../safe-text.ts";
import { sentence } from "../sentence.ts";
import { useView } from "../view.ts";
import { countText, relativeText } from "../words.ts";
import { fullTime } from "../zone.ts";

/** How many runs are named of those whose steps wait. */
const RUNS_SHOWN = 5;

export function Places(): JSX.Element {
  const { value, problem } = useView<PlacesView>("places", { alerts: true });
  return (
    <article>
      <h1>Places</h1>
      {problem !== undefined && <ProblemBox problem={problem} />}
      {value === undefined && problem === undefined && <Waiting what="the places" />}
      {value !== undefined && <Shown view={value} />}
    </article>
  );
}

function Shown({ view }: { readonly view: PlacesView }): JSX.Element {
  const { places, waiting, unread } = view;
  const box = useRef<HTMLDivElement>(null);
  useRowKeys(box);
  return (
    <div ref={box}>
      <Lead view={view} />
      <WaitingCard waiting={waiting} />
      <Card id="places-all" title="Places" count={places.length}>
        {places.length === 0 ? (
          <p class="none">No daemon of this root has told of its places yet.</p>
        ) : (
          <DataTable
            label="Places and their machines"
            heads={["Place", "Machine", "State", "Labels", "Running", "At once", "Versions"]}
          >
            {places.flatMap(rowsOf)}
          </DataTable>
        )}
      </Card>
      {unread > 0 && <p class="none">{countText(unread, "active run")} more were not looked at.</p>}
    </div>
  );
}

/** Whether what follows is of now, and whether all take work. */
function Lead({ view }: { readonly view: PlacesView }): JSX.Element {
  const { daemon, asOf, places } = view;
  if (daemon === null)
    return (
      <p class="lead bad">
        The daemon is down, and nothing runs anywhere but what goes on without it.
        {asOf !== null && ` What follows is as of ${fullTime(asOf)}.`}
      </p>
    );
  const idle = places.filter(isIdle).map(({ place }) => place);
  const alone = places.filter((place) => !isIdle(place)).flatMap(idleMachines);
  const parts = [
    ...(idle.length === 0
      ? []
      : [`${countText(idle.length, "place takes", "places take")} no work: ${idle.join(", ")}.`]),
    ...(alone.length === 0
      ? []
      : [
          `${countText(alone.length, "machine takes", "machines take")} none: ${alone.join(", ")}.`,
        ]),
  ];
  return (
    <p class={parts.length === 0 ? "lead mute" : "lead bad"}>
      {parts.length === 0 ? "Every place takes work." : safeText(parts.join(" "))}
    </p>
  );
}

/** `w1 of farm`: the machines that take no work of a place that does. */
function idleMachines({ place, hosts }: PlaceView): string[] {
  return hosts.flatMap(({ host, because }) => (because === null ? [] : [`${host} of ${place}`]));
}

/** Whether no machine of it takes work. */
function isIdle({ because, hosts }: PlaceView): boolean {
  return because !== null || hosts.every((host) => host.because !== null);
}

function WaitingCard({ waiting }: { readonly waiting: readonly WaitingSteps[] }): JSX.Element {
  return (
    <Card id="places-waiting" title="Waiting" count={waiting.length}>
      {waiting.length === 0 ? (
        <p class="none">No step waits for a place.</p>
      ) : (
        <DataTable
          label="Labels that steps wait for"
          heads={["Labels", "Steps", "On their way", "Runs", "Because"]}
        >
          {waiting.map((one) => (
            <tr key={one.labels.join("+")} data-row={one.labels.join("+")}>
              <td>
                <b>{safeText(one.labels.join(", "))}</b>
              </td>
              <td>{countText(one.steps, "step waits", "steps wait")}</td>
              <td>{one.starting > 0 && `${one.starting} on the way`}</td>
              <td>
                <Runs runs={one.runs} />
              </td>
              <td class="because">{sentence(one.because ?? "they wait for room")}</td>
            </tr>
          ))}
        </DataTable>
      )}
    </Card>
  );
}

function Runs({ runs }: { readonly runs: readonly string[] }): JSX.Element {
  const more = runs.length - RUNS_SHOWN;
  return (
    <>
      {runs.slice(0, RUNS_SHOWN).map((run, index) => (
        <>
          {index > 0 && ", "}
          <a key={run} href={hrefOf(["runs", run])}>
            {safeText(run)}
          </a>
        </>
      ))}
      {more > 0 && ` and ${more} more`}
    </>
  );
}

function rowsOf(place: PlaceView): JSX.Element[] {
  const { hosts, labels, engine, engineVersion } = place;
  // Its own name chooses it too, and stands before it.
  const isOther = (label: string): boolean => label !== place.place;
  const own = labels.filter(isOther);
  const name = (
    <td title={fullTime(place.since)}>
      <b>{safeText(place.place)}</b>{" "}
      <small class="mute">
        {safeText(engineVersion === null ? engine : `${engine} ${engineVersion}`)}
      </small>
    </td>
  );
  if (hosts.length === 0)
    return [
      <tr key={place.place} data-row={place.place}>
        {name}
        <td />
        <State because={place.because ?? "no machine of it is there"} since={place.since} />
        <td>{safeText(own.join(", "))}</td>
        <td class="count">{place.running} running</td>
        <td />
        <td />
      </tr>,
    ];
  return hosts.map((host) => (
    <tr key={`${place.place} ${host.host}`} data-row={`${place.place} ${host.host}`}>
      {name}
      <td>{safeText(host.host)}</td>
      <State because={place.because ?? host.because} since={place.since} />
      <td>{safeText([...own, ...host.labels.filter(isOther)].join(", "))}</td>
      <td class="count">{host.running} running</td>
      <td class="count">{host.threads} at once</td>
      <td>{safeText(versionsOf(host))}</td>
    </tr>
  ));
}

function State({
  because,
  since,
}: {
  readonly because: string | null;
  readonly since: string;
}): JSX.Element {
  return (
    <td class="because" title={`${relativeText(since, now.value)}: ${fullTime(since)}`}>
      {because === null ? (
        <Status status="completed" text="takes work" />
      ) : (
        <>
          <Status status="failed" text="takes no work" />
          {`: ${sentence(because)}`}
        </>
      )}
    </td>
  );
}

function versionsOf({ node, version, protocol, platform }: PlaceHostView): string {
  return [
    version === null ? undefined : `orchd ${version}`,
    protocol === null ? undefined : `protocol ${protocol}`,
    node === null ? undefined : `Node ${node}`,
    platform ?? undefined,
  ]
    .filter((one) => one !== undefined)
    .join(", ");
}

function Card({
  id,
  title,
  count,
  children,
}: {
  readonly id: string;
  readonly title: string;
  readonly count: number;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <section class="card flush" aria-labelledby={id}>
      <div class="card-head">
        <h2 id={id}>
          {title} {count > 0 && <small class="mute">{count}</small>}
        </h2>
      </div>
      {children}
    </section>
  );
}
