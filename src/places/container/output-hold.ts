/**
 * Holds back what the engine's command says on stderr before it is known whose words they are.
 *
 * The command's stderr is the step's. Where a container cannot be started, or the engine dies under
 * the command, it is the engine's. So a first text that looks like the engine's is held, and later
 * one that looks as if the engine had died: until more is printed, until a moment has passed, or
 * until the command has ended.
 */
import { isCut } from "./engine-away.ts";

const LOOKS_LIKE = /^(Error|docker|time=|WARN|[Uu]nable|Trying|unknown |invalid |flag needs)/;
/** The most bytes that are held. */
const MOST = 16 * 1024;
/** How long a text is held, in milliseconds. */
const HELD_MS = 1_000;

/** Passes on what a command prints. */
export class OutputHold {
  readonly #give: (stream: "stdout" | "stderr", chunk: Buffer) => void;
  #held: Buffer[] = [];
  #hasBegun = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(give: (stream: "stdout" | "stderr", chunk: Buffer) => void) {
    this.#give = give;
  }

  take(stream: "stdout" | "stderr", chunk: Buffer): void {
    if (stream === "stderr" && this.#mayBeEngines(chunk)) {
      this.#held.push(chunk);
      this.#timer ??= setTimeout(() => this.release(), HELD_MS);
      return;
    }
    this.release();
    this.#give(stream, chunk);
  }

  #mayBeEngines(chunk: Buffer): boolean {
    const size = this.#held.reduce((sum, { length }) => sum + length, chunk.length);
    if (size > MOST) return false;
    if (this.#hasBegun) return chunk.length < 1_024 && isCut(chunk.toString());
    return LOOKS_LIKE.test((this.#held[0] ?? chunk).toString("latin1", 0, 16));
  }

  /** It was the step's. */
  release(): void {
    this.#hasBegun = true;
    for (const chunk of this.#taken()) this.#give("stderr", chunk);
  }

  /** It was the engine's. @returns what it said; undefined: nothing is held */
  drop(): string | undefined {
    const held = this.#taken();
    return held.length === 0 ? undefined : Buffer.concat(held).toString();
  }

  #taken(): Buffer[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#held.splice(0);
  }
}
