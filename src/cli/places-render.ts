/** `orchd places`, for people. */
import { countText } from "../core/counted.ts";
import { relativeText } from "../core/relative-time.ts";
import { timeText } from "../views/moment.ts";
import type { PlaceHostView, PlacesView, PlaceView, WaitingSteps } from "../views/places.ts";
import { daemonLine } from "./status-render.ts";
import { printTable } from "./table.ts";
import { span, type Part, type Terminal } from "./terminal.ts";

/** How many runs are named of those whose steps wait; `--json` has more. */
const RUNS_SHOWN = 3;

/** Prints the view: a line for each machine, and what waits. */
export function printPlaces(terminal: Terminal, view: PlacesView, now: number): void {
  terminal.line(daemonLine(view.daemon, now));
  const { places, waiting, unread, asOf } = view;
  if (view.daemon === null && asOf !== null)
    terminal.line(
      `what follows is as of ${timeText(asOf)}, ${relativeText(Date.parse(asOf), now)}`,
    );
  terminal.line("");
  if (places.length === 0)
    terminal.line("no daemon of this root has told of its places yet; `orchd start` starts one");
  else
    printTable(
      terminal,
      ["PLACE", "ENGINE", "HOST", "LABELS", "RUNNING", "AT ONCE", "NODE", "ORCHD", "STATE"],
      places.flatMap(rowsOf),
      { reasons: true },
    );
  if (waiting.length > 0) {
    terminal.line("");
    terminal.line(span("bold", countText(waitingSteps(waiting), "step waits", "steps wait")));
    printTable(
      terminal,
      ["LABELS", "WAITING", "STARTING", "RUNS", "BECAUSE"],
      waiting.map(waitingRow),
      { reasons: true },
    );
  }
  if (unread > 0) terminal.line(span("dim", `${unread} more active runs were not looked at`));
}

function waitingSteps(waiting: readonly WaitingSteps[]): number {
  return waiting.reduce((sum, { steps, starting }) => sum + steps + starting, 0);
}

function rowsOf(place: PlaceView): Part[][] {
  const { engine, engineVersion, labels, running, because } = place;
  const name = span("bold", place.place);
  const named = engineVersion === null ? engine : `${engine} ${engineVersion}`;
  const isOther = (label: string): boolean => label !== place.place;
  const own = labels.filter(isOther);
  if (place.hosts.length === 0)
    return [[name, named, "-", listed(own), String(running), "-", "-", "-", stateOf(because)]];
  return place.hosts.map((host) => [
    name,
    named,
    host.host,
    listed([...own, ...host.labels.filter(isOther)]),
    String(host.running),
    String(host.threads),
    host.node ?? "-",
    versionOf(host),
    stateOf(because ?? host.because),
  ]);
}

function versionOf({ version, protocol }: PlaceHostView): string {
  if (version === null) return "-";
  return protocol === null ? version : `${version} (protocol ${protocol})`;
}

function stateOf(because: string | null): Part {
  return because === null
    ? span("green", "takes work")
    : [span("yellow", "takes no work"), `: ${because}`];
}

function waitingRow({ labels, steps, starting, runs, because }: WaitingSteps): Part[] {
  const more = runs.length - RUNS_SHOWN;
  return [
    span("bold", labels.join(", ")),
    String(steps),
    String(starting),
    runs.slice(0, RUNS_SHOWN).join(", ") + (more > 0 ? ` and ${more} more` : ""),
    because ?? "they wait for room",
  ];
}

function listed(labels: readonly string[]): string {
  return labels.length === 0 ? "-" : labels.join(", ");
}
