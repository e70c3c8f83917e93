/** What earlier daemons left in containers, in each engine that may have any of it. */
import { EngineError, ENGINES, findEngine, type ContainerState, type Engine } from "./engine.ts";
import { endUnknown } from "./unknown-processes.ts";
import { engineOf, isOf, noteIn, type EngineNote } from "./engine-note.ts";

/** A container of an earlier daemon. */
export interface LeftContainer {
  readonly engine: Engine;
  readonly state: ContainerState;
}

/**
 * A container, and the engine that has it: orchd.yaml may name another one by now. Where its labels
 * say which files it has, something may be left that its engine does not know.
 */
export interface NamedContainer {
  readonly engine: Engine;
  readonly state: Pick<ContainerState, "name" | "labels">;
}

/** What a look into all of them found. */
export interface Look {
  /** By the token of its attempt. */
  readonly found: ReadonlyMap<string, LeftContainer>;
  /** Why an engine that may have more did not tell, in a sentence. Undefined: all did. */
  readonly silent: string | undefined;
}

/**
 * Asks the present engine and those of the attempts that were begun in others.
 *
 * @param present undefined: none answers
 * @param folders of all attempts
 * @param root the containers' label
 */
export async function lookEverywhere(
  present: Engine | undefined,
  folders: readonly string[],
  root: string,
): Promise<Look> {
  const found = new Map<string, LeftContainer>();
  let silent: string | undefined;
  const ask = async (engine: Engine): Promise<void> => {
    for (const [token, state] of await engine.containersOf(root))
      found.set(token, { engine, state });
  };
  // Found before the first is asked: an engine that fails at once is to be heard.
  const hasUnnoted = folders.some((folder) => noteIn(folder) === undefined);
  const more = hasUnnoted ? await unnoted(present) : [];
  const asked = [
    ...(present === undefined ? [] : [present]).map(ask),
    ...othersOf(present, folders).map(async ([note, folder]) => ask(await engineOf(note, folder))),
    ...more.map(ask),
  ];
  for (const end of await Promise.allSettled(asked))
    if (end.status === "rejected") silent ??= (end.reason as Error).message;
  return { found, silent };
}

/** The notes of other engines than the present one, each once, with a folder that has it. */
function othersOf(
  present: Engine | undefined,
  folders: readonly string[],
): (readonly [EngineNote, folder: string])[] {
  const others = new Map<string, readonly [EngineNote, string]>();
  for (const folder of folders) {
    const note = noteIn(folder);
    if (note === undefined || (present !== undefined && isOf(present, note))) continue;
    others.set(JSON.stringify([note.engine, note.id]), [note, folder]);
  }
  return [...others.values()];
}

/** The engines besides the present one that answer now: an earlier release left no note. */
async function unnoted(present: Engine | undefined): Promise<Engine[]> {
  const names = ENGINES.filter((name) => name !== present?.name);
  const engines = await Promise.allSettled(names.map((name) => findEngine(name)));
  return engines.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
}

/**
 * Ends and removes containers, each by its own engine, and what their engine does not know of them.
 *
 * @throws EngineError if one is left
 */
export async function removeAll(all: readonly NamedContainer[]): Promise<void> {
  for (const engine of new Set(all.map((one) => one.engine))) {
    const own = all.filter((one) => one.engine === engine);
    let because = await engine.remove(own.map(({ state }) => state.name));
    for (const { state } of own) {
      const folder = state.labels["orchd.files"];
      if (folder !== undefined) because ??= await endUnknown(folder);
    }
    if (because !== undefined)
      throw new EngineError(`a container of an earlier attempt cannot be removed: ${because}`);
  }
}
