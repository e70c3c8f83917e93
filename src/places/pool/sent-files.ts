/**
 * The files that one far runner has, or is being sent: bundles, their source maps, and artifacts.
 * Each is asked for once, by name and sha256, and sent only where it is not there.
 *
 * Files are sent one after the other, a piece at a time: the next piece is read when the wire has
 * taken the last one. So no more than one piece is ever held here.
 */
import { createHash } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { PIECE_BYTES, type FromFar, type ToFar } from "./wire.ts";

/** A file of this machine that a task needs over there. */
export interface FarFile {
  /** Where it is kept over there, below the runner's folder. */
  readonly name: string;
  readonly path: string;
  /** Its sha256, where it is known. */
  readonly hash?: string | undefined;
  /** A bundle that other machines cannot run, or its text. Returns why not, in a sentence. */
  readonly check?: ((text: string) => string | undefined) | undefined;
  /** What is sent in place of its text. */
  readonly sentAs?: ((text: string) => string) | undefined;
  /** The file is there already, or sent under its own name: these are the files that it names. */
  readonly within?: ((text: string) => readonly FarFile[]) | undefined;
}

/** Why a task cannot run over there, in a sentence. */
export class NotSent extends Error {
  override readonly name = "PlaceError";
}

/** The wire, as files need it. */
export interface FileWire {
  write(message: ToFar): void;
  /** Resolves when the wire takes more; rejects when it is gone. */
  drained(): Promise<void>;
}

interface Known {
  /** Whether it was here to be sent, or is over there. */
  readonly there: Promise<boolean>;
  isThere: boolean;
  hear(answer: Extract<FromFar, { readonly name: string }>): void;
}

/** Sends files to one runner. */
export class SentFiles {
  readonly #wire: FileWire;
  readonly #known = new Map<string, Known>();
  #sending: Promise<void> = Promise.resolve();

  constructor(wire: FileWire) {
    this.#wire = wire;
  }

  /**
   * Has all these files over there.
   *
   * @returns undefined: they are; otherwise a promise, which rejects with {@link NotSent}
   */
  ensure(files: readonly FarFile[]): Promise<unknown> | undefined {
    let waits: Promise<boolean>[] | undefined;
    for (const file of files) {
      let known = this.#known.get(file.name);
      if (known?.isThere === true) continue;
      known ??= this.#ask(file);
      (waits ??= []).push(known.there);
    }
    return waits === undefined ? undefined : Promise.all(waits);
  }

  /** The runner answered about a file. */
  hear(answer: Extract<FromFar, { readonly name: string }>): void {
    this.#known.get(answer.name)?.hear(answer);
  }

  #ask(file: FarFile): Known {
    let hear!: Known["hear"];
    let answered = new Promise<Extract<FromFar, { readonly name: string }>>(
      (resolve) => (hear = resolve),
    );
    const known: Known = {
      isThere: false,
      hear: (answer) => hear(answer),
      there: this.#have(file, async () => {
        const answer = await answered;
        answered = new Promise((resolve) => (hear = resolve));
        return answer;
      }),
    };
    this.#known.set(file.name, known);
    // The next task that needs it tries again.
    const forget = (): void => void this.#known.delete(file.name);
    known.there.then((isThere) => (isThere ? (known.isThere = true) : forget()), forget);
    return known;
  }

  /** @returns false: it is gone here, and the runner says so when it needs it */
  async #have(
    { name, path, hash: given, check, sentAs, within }: FarFile,
    answer: () => Promise<Extract<FromFar, { readonly name: string }>>,
  ): Promise<boolean> {
    if (within !== undefined) {
      const text = await readFile(path, "utf8").catch(() => undefined);
      if (text === undefined) return false;
      const files = within(text);
      await this.ensure(files);
      return files.every((file) => this.#known.get(file.name)?.isThere === true);
    }
    let hash = given;
    let content: Buffer | undefined;
    if (hash === undefined) {
      let bytes = await readFile(path).catch(() => undefined);
      // The runner says what is missing, as it does on this machine.
      if (bytes === undefined) return false;
      const because = check?.(bytes.toString("utf8"));
      if (because !== undefined) throw new NotSent(because);
      if (sentAs !== undefined) content = bytes = Buffer.from(sentAs(bytes.toString("utf8")));
      hash = createHash("sha256").update(bytes).digest("hex");
    }
    this.#wire.write({ type: "need", name, hash });
    let said = await answer();
    if (said.type === "lacks") {
      const sent = this.#sending.then(() =>
        content === undefined ? this.#send(name, path, hash) : this.#sendBytes(name, content, hash),
      );
      this.#sending = sent.then(
        () => undefined,
        () => undefined,
      );
      if (!(await sent)) return false;
      said = await answer();
    }
    if (said.type === "cannot") throw new NotSent(said.because);
    return true;
  }

  async #sendBytes(name: string, bytes: Buffer, hash: string): Promise<true> {
    for (let from = 0; ; from += PIECE_BYTES) {
      const data = bytes.toString("base64", from, from + PIECE_BYTES);
      const last = from + PIECE_BYTES > bytes.length;
      this.#wire.write({ type: "put", name, hash, data, last });
      if (last) return true;
      await this.#wire.drained();
    }
  }

  /** @returns false if the file is gone */
  async #send(name: string, path: string, hash: string): Promise<boolean> {
    const file = await open(path, "r").catch(() => undefined);
    if (file === undefined) return false;
    try {
      for (;;) {
        const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(PIECE_BYTES));
        const last = bytesRead < PIECE_BYTES;
        const data = buffer.toString("base64", 0, bytesRead);
        this.#wire.write({ type: "put", name, hash, data, last });
        if (last) return true;
        await this.#wire.drained();
      }
    } finally {
      await file.close();
    }
  }
}
