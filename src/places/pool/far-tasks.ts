/**
 * The daemon's messages on their way to a far runner: each task is told the folders over there, and
 * waits until the files that it needs are there too. All other messages go on meanwhile.
 *
 * A task that waits for files has not begun. So a stop ends it here, and one whose files cannot be
 * sent fails with the reason.
 */
import { isArtifactRef, type ArtifactRef } from "../../core/artifact-ref.ts";
import { defined } from "../../core/defined.ts";
import { FAILURE_CODES, toStepError } from "../../core/failure.ts";
import type { CodeRef, Json } from "../../core/snapshot.ts";
import { wholeTask } from "../../core/task-frame.ts";
import type { StoredInputs } from "../../core/task.ts";
import { farBundleFault, FarBundles, farSourceMap, type FarBundle } from "./far-bundle.ts";
import { startOf } from "./protocol.ts";
import type { FromRunner, PoolMessage, RawResult, ToRunner } from "./protocol.ts";
import { NotSent, type FarFile, type SentFiles } from "./sent-files.ts";
import { join } from "node:path";

/** The folders of a far runner, below its own. */
export const FAR_FOLDERS = { bundles: "bundles", artifacts: "artifacts", scratch: "scratch" };

/** What of a task, a frame or a step's parts matters here. */
interface Parts {
  readonly artifacts?: string;
  readonly stored?: readonly StoredInputs[];
  readonly state?: Json;
  readonly code?: CodeRef;
}

/** A bundle over there. */
interface SentBundle {
  /** What it is called. */
  readonly sha: string;
  readonly files: readonly FarFile[];
}

interface Frame {
  readonly artifacts: string | undefined;
  readonly files: readonly FarFile[];
  /** All of them are there. */
  isThere: boolean;
  /** How many steps of it wait for files. */
  held: number;
  isForgotten: boolean;
}

/** What is needed of the runner. */
export interface FarTasksPorts {
  /** The daemon's folder of bundles. */
  readonly bundles: string;
  /** The runner's folder. */
  readonly folder: string;
  readonly files: SentFiles;
  send(message: ToRunner): void;
  /** A task ended that was never sent. */
  ended(message: FromRunner): void;
}

/** Passes on the messages to one runner. */
export class FarTasks {
  readonly #ports: FarTasksPorts;
  readonly #frames = new Map<number, Frame>();
  /** Tasks that wait for files. */
  readonly #held = new Set<string>();
  /** The folder of each task's artifacts here. */
  readonly #artifacts = new Map<string, string | undefined>();
  readonly #bundles: FarBundles;

  constructor(ports: FarTasksPorts) {
    this.#ports = ports;
    this.#bundles = new FarBundles(ports.bundles);
  }

  /** Takes a message. It is sent at once, later, or never. */
  take(message: PoolMessage): void {
    switch (message.type) {
      case "start": {
        const task = wholeTask(message.task);
        const bundle = this.#bundle(task.kind === "shell" ? undefined : task.code.bundle);
        const start = startOf(message.id, this.#placed(task, bundle), message.isMoved);
        const own = artifactsOf(task as Parts);
        this.#artifacts.set(message.id, task.artifacts);
        const files = own.length === 0 ? bundle.files : [...bundle.files, ...own];
        this.#whenThere(message.id, files, start);
        return;
      }
      case "frame": {
        const parts = JSON.parse(message.text) as Parts & { readonly state?: string };
        const state = parts.state === undefined ? undefined : (JSON.parse(parts.state) as Json);
        const bundle = this.#bundle(message.head.bundle);
        const head = { ...message.head, bundle: bundle.sha };
        const files = [...bundle.files, ...artifactsOf({ ...parts, state: state! })];
        const { artifacts } = parts;
        const frame = { artifacts, files, isThere: false, held: 0, isForgotten: false };
        this.#frames.set(message.frame, frame);
        this.#ports.send({ ...message, head, text: JSON.stringify(this.#placed(parts, bundle)) });
        return;
      }
      case "step": {
        const frame = this.#frames.get(message.frame)!;
        const { parts } = message;
        this.#artifacts.set(message.id, frame.artifacts);
        if (parts?.includes('"$artifact"') === true) {
          const own = artifactsOf({ ...(JSON.parse(parts) as Parts), artifacts: frame.artifacts! });
          this.#whenThere(message.id, [...frame.files, ...own], message, frame);
        } else if (frame.isThere) this.#ports.send(message);
        else this.#whenThere(message.id, frame.files, message, frame);
        return;
      }
      case "stop":
        if (this.#held.delete(message.id))
          this.#end(message.id, {
            ok: false,
            outcome: "stopped",
            error: { name: "Stopped", message: message.because },
          });
        else this.#ports.send(message);
        return;
      case "reply": {
        const artifacts = this.#artifacts.get(message.id);
        const { value } = message;
        const files =
          message.stored !== true || artifacts === undefined || value === undefined
            ? []
            : artifactsOf({ artifacts, stored: [{ step: "", outputs: value, inputs: {} }] });
        const there = this.#ports.files.ensure(files);
        if (there === undefined) this.#ports.send(message);
        else {
          const send = (): void => this.#ports.send(message);
          // Where a file is missing the runner says so.
          there.then(send, send);
        }
        return;
      }
      case "forget":
        for (const number of message.frames) this.#forget(number);
        return;
      case "leave":
      case "expect":
      case "settled":
      // What had begun over there is not asked: it is over, or its lease is.
    }
  }

  /** The folder of a task's artifacts here. */
  artifactsOf(id: string): string | undefined {
    return this.#artifacts.get(id);
  }

  /** Whether a task was given to the runner, or waits to be. */
  has(id: string): boolean {
    return this.#artifacts.has(id);
  }

  /** A task has ended. */
  forgetTask(id: string): void {
    this.#artifacts.delete(id);
    this.#held.delete(id);
  }

  #whenThere(id: string, files: readonly FarFile[], message: ToRunner, frame?: Frame): void {
    const there = this.#ports.files.ensure(files);
    if (there === undefined) {
      // What is there stays there for as long as the runner lives.
      if (frame !== undefined) frame.isThere = true;
      this.#ports.send(message);
      return;
    }
    this.#held.add(id);
    if (frame !== undefined) frame.held += 1;
    const after = (then: () => void): void => {
      if (this.#held.delete(id)) then();
      if (frame !== undefined && (frame.held -= 1) === 0 && frame.isForgotten)
        this.#forget((message as Extract<ToRunner, { type: "step" }>).frame);
    };
    there.then(
      () => after(() => this.#ports.send(message)),
      (error: unknown) =>
        after(() => {
          const failed = toStepError(error);
          this.#end(id, {
            ok: false,
            outcome: "failed",
            error:
              error instanceof NotSent
                ? { name: failed.name, message: failed.message, code: FAILURE_CODES.place }
                : failed,
          });
        }),
    );
  }

  #forget(number: number): void {
    const frame = this.#frames.get(number);
    if (frame === undefined) return;
    frame.isForgotten = true;
    if (frame.held > 0) return;
    this.#frames.delete(number);
    this.#ports.send({ type: "forget", frames: [number] });
  }

  #end(id: string, result: RawResult): void {
    this.#ports.ended({ type: "done", id, result, durationMs: 0, startedAt: 0 });
  }

  /** A task or frame as it is over there. */
  #placed<T extends { readonly artifacts?: string | undefined; readonly code?: CodeRef }>(
    parts: T,
    { sha }: SentBundle,
  ): T {
    const code = parts.code && { ...parts.code, bundle: sha };
    const artifacts = parts.artifacts && `${this.#ports.folder}/${FAR_FOLDERS.artifacts}`;
    return { ...parts, ...defined({ code, artifacts }) };
  }

  #bundle(bundle: string | undefined): SentBundle {
    if (bundle === undefined || bundle === "") return NO_BUNDLE;
    const path = join(this.#ports.bundles, `${bundle}.mjs`);
    const nameOf = (sha: string): string => `${FAR_FOLDERS.bundles}/${sha}.mjs`;
    let far: FarBundle;
    try {
      far = this.#bundles.of(bundle);
    } catch {
      // The runner says that it is missing, as it does on this machine.
      return { sha: bundle, files: [{ name: nameOf(bundle), path }] };
    }
    const name = nameOf(far.sha);
    const sentAs = (text: string): string => farSourceMap(text, this.#ports.bundles);
    const files = [
      { name, path, check: farBundleFault, sentAs: far.sentAs },
      { name: `${name}.map`, path: `${path}.map`, sentAs },
    ];
    return { sha: far.sha, files };
  }
}

const NO_BUNDLE: SentBundle = { sha: "", files: [] };

/** The files of the values that a task loads. */
function artifactsOf({ artifacts, stored, state }: Parts): FarFile[] {
  if (artifacts === undefined) return [];
  const files = (ref: ArtifactRef): FarFile[] => {
    const { $artifact: hash } = ref;
    return [{ name: `${FAR_FOLDERS.artifacts}/${hash}`, path: join(artifacts, hash), hash }];
  };
  const found = isArtifactRef(state) ? files(state) : [];
  for (const { outputs } of stored ?? []) {
    if (!isArtifactRef(outputs)) {
      for (const each of Object.values(outputs as { readonly [name: string]: Json }))
        if (isArtifactRef(each)) found.push(...files(each));
      continue;
    }
    const [whole] = files(outputs) as [FarFile];
    // The outputs as a whole are in a file, and some of them may be in files again.
    const within = (text: string): FarFile[] =>
      text.includes('"$artifact"')
        ? artifactsOf({ artifacts, stored: [{ step: "", outputs: membersOf(text), inputs: {} }] })
        : [];
    found.push(whole, { ...whole, name: `${whole.name}/`, within });
  }
  return found;
}

function membersOf(text: string): Json {
  const value = JSON.parse(text) as Json;
  return value !== null && typeof value === "object" && !isArtifactRef(value) ? value : {};
}
