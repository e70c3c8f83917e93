/** Wires `orchd place prepare`: settings, a connection, and what it is for. It holds no logic. */
import { systemClock } from "../src/clock.ts";
import type { PrepareOptions } from "../src/cli/command.ts";
import { hasNone } from "../src/core/did-you-mean.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import { WIRE_PROTOCOL } from "../src/places/pool/wire.ts";
import { prepareOnce } from "../src/places/ssh/prepare.ts";
import { hostText } from "../src/places/ssh/ssh-words.ts";
import { loadSettings } from "../src/schedules/load-settings.ts";
import { formatProblem } from "../src/schedules/problem.ts";

/**
 * Prepares a place. @returns the exit status: 1 where the machine cannot run steps, 2 for a bad
 * orchd.yaml, a place that it does not have, or one that needs no preparation
 */
export async function preparePlace(options: PrepareOptions): Promise<number> {
  const { root, runs, place, tell } = options;
  const read = await loadSettings(root, new RunStore(runs).bundles, { modules: "later" });
  if (!read.ok) {
    for (const error of read.errors) tell(formatProblem(error));
    return 2;
  }
  const { places } = read.settings;
  const settings = Object.hasOwn(places, place) ? places[place] : undefined;
  if (settings === undefined) {
    tell(hasNone("orchd.yaml", "place", place, Object.keys(places)));
    return 2;
  }
  if (settings.engine !== "ssh") {
    tell(
      `${place} is a place of ${settings.engine}, whose machines need no preparation: start ` +
        `\`orchd worker --place ${place}\` on each.`,
    );
    return 2;
  }
  const prepared = await prepareOnce(systemClock, settings, WIRE_PROTOCOL);
  if (!prepared.ok) {
    tell(`${prepared.because}.`);
    return 1;
  }
  const { machine, id, did, version, protocol, removed } = prepared;
  const { node, platform } = machine;
  const host = hostText(settings);
  const folder = `${machine.folder}/${id}`;
  options.done({ place, host, did, folder, version, protocol, node, platform, removed });
  return 0;
}
