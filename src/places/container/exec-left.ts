/**
 * What attempts started in containers that run already: noted beside their files, and ended.
 *
 * A note is written before anything begins, and again, with the pid, before the step's command
 * does. So a note without a pid is of a step that has not begun.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ContainerFiles, type ContainersFolder } from "./container-files.ts";
import { EngineError, sentenceOf, type Engine } from "./engine.ts";
import { engineOf, isOf, noteIn } from "./engine-note.ts";
import { endWords, foundBy, type ExecMark } from "./exec-command.ts";

const NOTE = "exec.json";
/** How often what was ended is looked for again, and when, in milliseconds. */
const LOOKS = 20;
const AGAIN_MS = 50;
/** How long the engine may take to look into a container, in milliseconds. */
const PATIENCE_MS = 5_000;

/** Writes an attempt's note. @throws a Node error */
export function noteMark({ folder }: ContainerFiles, mark: ExecMark): void {
  const aside = join(folder, `${NOTE}.new`);
  writeFileSync(aside, JSON.stringify(mark), { mode: 0o600 });
  renameSync(aside, join(folder, NOTE));
}

/** The note in an attempt's folder. Undefined: there is none, so it was no such attempt. */
export function notedMark(folder: string): ExecMark | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, NOTE), "utf8")) as ExecMark;
  } catch {
    return undefined;
  }
}

/**
 * Sends a signal to all that an attempt started.
 *
 * @param also to the small program that began it too
 * @returns how many there were. Undefined: nobody could look
 */
export async function signalMark(
  engine: Engine,
  mark: ExecMark,
  signal: "TERM" | "KILL",
  also: boolean,
): Promise<number | undefined> {
  const answer = await engine.ask(endWords(mark, signal, also), PATIENCE_MS);
  return foundBy(answer.stdout);
}

/**
 * Ends all that an attempt started. Never rejects.
 *
 * @returns why something may be left. Undefined: nothing is
 */
export async function endLeft(engine: Engine, mark: ExecMark): Promise<string | undefined> {
  let said = "it does not end";
  for (let look = 0; look < LOOKS; look += 1) {
    const answer = await engine.ask(endWords(mark, "KILL", true), PATIENCE_MS);
    const found = foundBy(answer.stdout);
    if (found === 0) return undefined;
    if (found === undefined) {
      // What is in a container that does not run has ended with it.
      const running = await isRunning(engine, mark.container);
      if (running === false) return undefined;
      said = running instanceof EngineError ? running.message : sentenceOf(answer);
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
  return `what an earlier attempt started in the container "${mark.container}" is left: ${said}`;
}

/** Whether a container has processes, be they frozen. */
async function isRunning(engine: Engine, name: string): Promise<boolean | EngineError> {
  try {
    const [state] = await engine.inspect([name]);
    return state !== undefined && (state.running || state.paused);
  } catch (error) {
    return error as EngineError;
  }
}

/** {@link endLeft} in the engine that the attempt was begun in. */
async function endedIn(
  folder: string,
  mark: ExecMark,
  present: Engine | undefined,
): Promise<string | undefined> {
  const note = noteIn(folder);
  try {
    const isPresent = note === undefined || (present !== undefined && isOf(present, note));
    const engine = isPresent ? present : await engineOf(note, folder);
    return engine === undefined ? "no container engine answers" : await endLeft(engine, mark);
  } catch (error) {
    return (error as Error).message;
  }
}

/** The attempts in containers that run already of which something may be left. */
export class LeftExecs {
  readonly #folder: ContainersFolder;
  /** By the folder of their files. Undefined: nobody has looked yet. */
  #marks: Map<string, ExecMark> | undefined;

  constructor(folder: ContainersFolder) {
    this.#folder = folder;
  }

  /** Whether an attempt of an earlier daemon had begun. */
  hadBegun(token: string): boolean {
    return [...this.#all.values()].some((mark) => mark.token === token && mark.boot !== undefined);
  }

  /** The folders that must stay. */
  get folders(): readonly string[] {
    return [...this.#all.keys()];
  }

  /** Something of an attempt of this daemon may be left. */
  add({ folder }: ContainerFiles): void {
    const mark = notedMark(folder);
    if (mark !== undefined) this.#all.set(folder, mark);
  }

  /**
   * Ends what is left of some attempts, each in the engine that it was begun in. Never rejects.
   *
   * @param present the engine that steps are begun in now. Undefined: none answers
   * @returns why something is left yet. Undefined: nothing is
   */
  async end(
    present: Engine | undefined,
    which: (mark: ExecMark) => boolean,
  ): Promise<string | undefined> {
    const ends = [...this.#all].map(async ([folder, mark]) => {
      if (!which(mark)) return undefined;
      const because = mark.boot === undefined ? undefined : await endedIn(folder, mark, present);
      if (because !== undefined) return because;
      this.#all.delete(folder);
      this.#folder.end(new ContainerFiles(folder));
      return undefined;
    });
    return (await Promise.all(ends)).find((because) => because !== undefined);
  }

  get #all(): Map<string, ExecMark> {
    this.#marks ??= new Map(
      this.#folder.all.flatMap((folder) => {
        const mark = notedMark(folder);
        return mark === undefined ? [] : [[folder, mark]];
      }),
    );
    return this.#marks;
  }
}
