/**
 * Holds back what the engine's command says on stderr before it is known whether the step began.
 *
 * The command's stderr is the step's, and where a container cannot be started it is the engine's.
 * So a first text that looks like the engine's is held: until more is printed, until a moment has
 * passed, or until the command has ended.
 */

const LOOKS_LIKE = /^(Error|docker|time=|WARN|[Uu]nable|Trying|unknown |invalid |flag needs)/;
/** The most bytes that are held. */
const MOST = 16 * 1024;
/** How long a text is held, in milliseconds. */
const HELD_MS = 1_000;

/** Passes on what a command prints. */
export class OutputHold {
  readonly #give: (stream: "stdout" | "stderr", chunk: Buffer) => void;
  #held: Buffer[] | undefined = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(give: (stream: "stdout" | "stderr", chunk: Buffer) => void) {
    this.#give = give;
  }

  take(stream: "stdout" | "stderr", chunk: Buffer): void {
    const held = this.#held;
    if (held !== undefined && stream === "stderr") {
      const size = held.reduce((sum, { length }) => sum + length, chunk.length);
      if (size <= MOST && LOOKS_LIKE.test((held[0] ?? chunk).toString("latin1", 0, 16))) {
        held.push(chunk);
        this.#timer ??= setTimeout(() => this.release(), HELD_MS);
        return;
      }
    }
    this.release();
    this.#give(stream, chunk);
  }

  /** It was the step's. */
  release(): void {
    clearTimeout(this.#timer);
    const held = this.#held;
    this.#held = undefined;
    for (const chunk of held ?? []) this.#give("stderr", chunk);
  }

  /** It was the engine's. @returns what it said; undefined: it is passed on already */
  drop(): string | undefined {
    clearTimeout(this.#timer);
    const held = this.#held;
    this.#held = undefined;
    return held === undefined ? undefined : Buffer.concat(held).toString();
  }
}
