/**
 * The far runner's end of the wire (pool/wire.ts): what comes goes to the host, what the host says
 * goes out, and the lease is asked for.
 *
 * A large result is in files. They go out piece by piece, as fast as they are taken, and their
 * `done` follows. Everything else passes them meanwhile.
 */
import { writeSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { connect, Socket } from "node:net";
import type { StagedFile } from "../../core/task.ts";
import { FAILURE_CODES } from "../../core/failure.ts";
import { packEnds, unpackSteps } from "../pool/packed-batch.ts";
import type { PackedFromRunner, PackedToRunner } from "../pool/packed-batch.ts";
import type { FromRunner, ToRunner } from "../pool/protocol.ts";
import { BEAT_MS, LEASE_MS, LONGEST_LINE, PIECE_BYTES, parseLine } from "../pool/wire.ts";
import type { FromFar, ToFar } from "../pool/wire.ts";
import { WireLines } from "../pool/wire-lines.ts";
import type { FarFolder } from "./far-folder.ts";

/** How often it is looked whether the lease is over, in milliseconds. */
const LOOK_MS = 500;

/** How much may wait for the daemon before outputs are held back, in bytes. */
const MOST_WAITING = 1024 * 1024;

type Done = Extract<FromRunner, { type: "done" }>;

/** What is needed of the runner. */
export interface WirePorts {
  /** The descriptor to read from; the next one is written to. */
  readonly descriptor: number;
  /** It is read and written in their place. */
  readonly socket?: Socket | undefined;
  readonly folder: FarFolder;
  receive(batch: readonly ToRunner[]): void;
  /** The daemon takes more again. */
  drained(): void;
  /** The daemon is gone, or the lease is over. */
  over(): void;
}

/**
 * Connects to the daemon's socket. Undefined: it is not there, or is none for this side, as where
 * the engine runs containers in a machine of its own. Never rejects.
 */
export function connectWire(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("error", () => resolve(undefined)).once("connect", () => resolve(socket));
  });
}

/** Speaks to the daemon. */
export class WireLink {
  readonly #ports: WirePorts;
  readonly #output: Socket;
  readonly #asked = new Map<number, number>();
  #beats = 0;
  /** Monotonic. */
  #leaseEnd = performance.now() + LEASE_MS;
  #uploads: Promise<void> = Promise.resolve();

  constructor(ports: WirePorts) {
    this.#ports = ports;
    const { descriptor, socket } = ports;
    const input = socket ?? new Socket({ fd: descriptor, readable: true, writable: false });
    const lines = new WireLines(
      LONGEST_LINE,
      (line) => this.#hear(line),
      () => ports.over(),
    );
    input.on("data", (chunk: Buffer) => lines.add(chunk));
    for (const event of ["end", "error", "close"]) input.on(event, () => ports.over());
    this.#output = socket ?? new Socket({ fd: descriptor + 1, readable: false, writable: true });
    this.#output.on("error", () => ports.over()).on("drain", () => ports.drained());
    this.#write({ type: "ready", folder: ports.folder.folder });
    this.#ask();
    setInterval(() => this.#ask(), BEAT_MS);
    setInterval(() => {
      if (this.hasLease) return;
      this.#tellLost();
      ports.over();
    }, LOOK_MS);
  }

  /** Whether the daemon still counts on this runner. */
  get hasLease(): boolean {
    return performance.now() < this.#leaseEnd;
  }

  /** Takes what the host says. @returns false: no more for now */
  send(batch: readonly FromRunner[]): boolean {
    const now = batch.filter((message) => !isStaged(message));
    if (now.length > 0) this.#write(packEnds(now));
    for (const message of batch)
      if (isStaged(message)) this.#uploads = this.#uploads.then(() => this.#upload(message));
    return this.#output.writableLength < MOST_WAITING;
  }

  #ask(): void {
    this.#beats += 1;
    this.#asked.set(this.#beats, performance.now());
    this.#write({ type: "beat", number: this.#beats });
  }

  #hear(line: string): void {
    const value = parseLine(line) as ToFar | readonly PackedToRunner[] | undefined;
    if (value === undefined) return this.#ports.over();
    if (Array.isArray(value)) {
      // An empty batch asks for a sign of life.
      if (value.length === 0) return this.#ask();
      return this.#ports.receive(unpackSteps(value as readonly PackedToRunner[]));
    }
    const message = value as ToFar;
    switch (message.type) {
      case "beat": {
        const askedAt = this.#asked.get(message.number);
        if (askedAt === undefined) return;
        for (const number of this.#asked.keys())
          if (number <= message.number) this.#asked.delete(number);
        this.#leaseEnd = Math.max(this.#leaseEnd, askedAt + LEASE_MS);
        return;
      }
      case "need":
        this.#write(this.#ports.folder.need(message));
        return;
      case "put": {
        const answer = this.#ports.folder.put(message);
        if (answer !== undefined) this.#write(answer);
        return;
      }
    }
  }

  async #upload(message: Done): Promise<void> {
    const { files } = (message.result as Extract<Done["result"], { readonly staged: unknown }>)
      .staged;
    try {
      for (const [index, each] of files.entries()) await this.#sendFile(message.id, index, each);
      this.#write([message]);
    } catch (error) {
      const because = `its result could not be read over there: ${(error as Error).message}`;
      const failed = { name: "PlaceError", message: because, code: FAILURE_CODES.place };
      this.#write([{ ...message, result: { ok: false, outcome: "failed", error: failed } }]);
    }
    await Promise.all(files.map(({ file }) => rm(file, { force: true }).catch(() => undefined)));
  }

  async #sendFile(id: string, index: number, { file: path }: StagedFile): Promise<void> {
    const file = await open(path, "r");
    try {
      for (;;) {
        const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(PIECE_BYTES));
        const last = bytesRead < PIECE_BYTES;
        const data = buffer.toString("base64", 0, bytesRead);
        this.#write({ type: "piece", id, file: index, data, last });
        await this.#drained();
        if (last) return;
      }
    } finally {
      await file.close();
    }
  }

  /** Says why it ends, if that can be said at once: the process in front only sees a kill. */
  #tellLost(): void {
    const detail = `had no answer of the daemon for ${LEASE_MS / 1_000} s`;
    const over: FromFar = { type: "over", detail, outOfMemory: false, isLost: true };
    try {
      writeSync(this.#ports.descriptor + 1, `\n${JSON.stringify(over)}\n`);
    } catch {
      // Nobody reads: then nobody blames a step.
    }
  }

  #drained(): Promise<void> {
    if (!this.#output.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => void this.#output.once("drain", () => resolve()));
  }

  #write(message: FromFar | readonly PackedFromRunner[]): void {
    this.#output.write(`${JSON.stringify(message)}\n`);
  }
}

function isStaged(message: FromRunner): message is Done {
  return message.type === "done" && "staged" in message.result;
}
