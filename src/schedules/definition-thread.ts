/**
 * Reads large definitions in a thread of its own, so that the daemon's events go on.
 *
 * A compiled pipeline comes out in pieces, one each time that it is asked for: so the daemon takes
 * each in a turn of its own (loaded-pieces.ts). The pipeline exists once all of them were taken.
 */
import type { Fault } from "../core/fault.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { AnsweringThread } from "../disk/answering-thread.ts";
import type {
  CompileAnswer,
  CompileOrder,
  DefinitionReader,
  DefinitionText,
  ReadAnswer,
} from "./definition-reading.ts";
import { LoadedFromPieces } from "./loaded-pieces.ts";
import type { Problem } from "./problem.ts";

/** A question about the reading with this number. */
export type DefinitionQuestion = { readonly reading: number } & (
  | { readonly ask: "read"; readonly file: string; readonly text: DefinitionText }
  | { readonly ask: "compile"; readonly order: CompileOrder }
  /** The text of a pipeline that was kept in a file. */
  | { readonly ask: "kept"; readonly path: string }
  /** The next piece of the pipeline; undefined after the last one. */
  | { readonly ask: "piece" }
  | { readonly ask: "locate"; readonly faults: readonly Fault[] }
  | { readonly ask: "end" }
);

/** The answer to `compile`: `ok` if pieces can be asked for. */
export type CompiledInThread =
  | { readonly ok: true }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** The thread that reads large definitions. */
export class DefinitionThread {
  readonly #thread = new AnsweringThread<DefinitionQuestion, unknown>("definitions");
  #readings = 0;

  /** A reader of one definition. @param file the pipeline file's absolute path */
  readerOf(file: string): DefinitionReader {
    const reading = (this.#readings += 1);
    const thread = this.#thread;
    thread.hold();
    return {
      read: (text: DefinitionText) =>
        thread.ask({ reading, ask: "read", file, text }) as Promise<ReadAnswer>,
      compile: async (order: CompileOrder): Promise<CompileAnswer> => {
        const compiled = (await thread.ask({ reading, ask: "compile", order })) as CompiledInThread;
        return compiled.ok ? { ok: true, loaded: await this.#taken(reading) } : compiled;
      },
      locate: (faults: readonly Fault[]) =>
        thread.ask({ reading, ask: "locate", faults }) as Promise<readonly Problem[]>,
      end: () => this.#end(reading),
    };
  }

  /** The pipeline that was kept in a file as JSON. Rejects where there is none. */
  async kept(path: string): Promise<LoadedPipeline> {
    const reading = (this.#readings += 1);
    this.#thread.hold();
    try {
      await this.#thread.ask({ reading, ask: "kept", path });
      return await this.#taken(reading);
    } finally {
      this.#end(reading);
    }
  }

  /** Ends the thread. */
  close(): Promise<void> {
    return this.#thread.close();
  }

  async #taken(reading: number): Promise<LoadedPipeline> {
    const pieces = new LoadedFromPieces();
    for (;;) {
      const piece = (await this.#thread.ask({ reading, ask: "piece" })) as string | undefined;
      if (piece === undefined) return pieces.loaded;
      pieces.take(piece);
    }
  }

  #end(reading: number): void {
    void this.#thread
      .ask({ reading, ask: "end" })
      .catch(() => undefined)
      .finally(() => this.#thread.release());
  }
}
