/**
 * Which engine has an attempt: noted beside its files before the engine is asked for anything, and
 * gone with them. So the next daemon asks the engine that has it, whatever orchd.yaml and the
 * daemon's environment say by then (docs/adr/0066).
 *
 * A name is not enough: `DOCKER_HOST` may name another dockerd by then, and podman has other
 * containers for another user or another storage. So the note has what an engine is reached by, and
 * what tells it from others. An engine that is reached and is another one is none that answers.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  EngineError,
  ENGINES,
  findEngine,
  type Engine,
  type EngineName,
  type EngineVariables,
} from "./engine.ts";

const NOTE = "engine.json";

/** What says which engine a command of it reaches. None of them is a secret. */
const VARIABLES = [
  "DOCKER_HOST",
  "DOCKER_CONTEXT",
  "DOCKER_CONFIG",
  "DOCKER_TLS_VERIFY",
  "DOCKER_CERT_PATH",
  "CONTAINER_HOST",
  "CONTAINER_CONNECTION",
  "CONTAINER_SSHKEY",
  "CONTAINERS_CONF",
  "CONTAINERS_STORAGE_CONF",
  "STORAGE_DRIVER",
  "STORAGE_OPTS",
  "HOME",
  "XDG_CONFIG_HOME",
  "XDG_DATA_HOME",
  "XDG_RUNTIME_DIR",
];

/** An engine, and how it was reached. */
export interface EngineNote {
  readonly engine: EngineName;
  /** {@link Engine.id} */
  readonly id: string;
  readonly env: EngineVariables;
}

/** An engine as a note has it. */
export function noteOf({ name, id, env }: Engine): EngineNote {
  const all = { ...process.env, ...env };
  const had = VARIABLES.flatMap((variable) =>
    all[variable] === undefined ? [] : [[variable, all[variable]] as const],
  );
  return { engine: name, id, env: Object.fromEntries(had) };
}

/** Writes the note of an attempt. @throws a Node error */
export function writeNote(folder: string, note: EngineNote): void {
  writeFileSync(join(folder, NOTE), JSON.stringify(note), { mode: 0o600 });
}

/**
 * The note in an attempt's folder. Undefined: there is none, so nothing had begun, or an earlier
 * release made the folder.
 */
export function noteIn(folder: string): EngineNote | undefined {
  try {
    const note = JSON.parse(readFileSync(join(folder, NOTE), "utf8")) as EngineNote;
    return ENGINES.includes(note.engine) ? note : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Removes the note of an attempt whose container has ended and stays: nothing can run there, so its
 * engine may go. Never throws: where it stays, that engine is asked once more for nothing.
 */
export function removeNote(folder: string): void {
  try {
    rmSync(join(folder, NOTE), { force: true });
  } catch {
    // The disk is read-only, or it fails.
  }
}

/** Whether this is the engine of a note. */
export function isOf({ name, id }: Engine, note: EngineNote): boolean {
  return name === note.engine && id === note.id;
}

/**
 * The engine of a note.
 *
 * @param folder an attempt's that has this note
 * @throws EngineError, a sentence that says what a person can do, if it does not answer
 */
export async function engineOf(note: EngineNote, folder: string): Promise<Engine> {
  const { engine: name, env } = note;
  // A variable that was not set then is not set for it now.
  const all = Object.fromEntries(VARIABLES.map((variable) => [variable, env[variable]]));
  let why: string;
  try {
    const engine = await findEngine(name, all);
    if (isOf(engine, note)) return engine;
    why = `another one answers, ${engine.id}`;
  } catch (error) {
    why = (error as Error).message;
  }
  throw new EngineError(
    `an earlier attempt may still run in ${nameOf(note)}, which does not answer (${why}): ` +
      `start that engine, or end what runs there and remove ${folder}`,
  );
}

function nameOf({ engine, id, env }: EngineNote): string {
  const by = env["DOCKER_HOST"] ?? env["CONTAINER_HOST"] ?? "";
  const [kept = ""] = id.split(" ");
  return [engine, kept === "" ? "" : `(${kept})`, by === "" ? "" : `at ${by}`]
    .filter((word) => word !== "")
    .join(" ");
}
