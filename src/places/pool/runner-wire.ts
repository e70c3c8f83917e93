/**
 * The daemon's end of the wire to a far runner: lines out, and lines in.
 *
 * It is the stdin and stdout of the command that starts the runner. Where both are on one machine a
 * runner may be offered a **socket** beside them ({@link WireSocket}): a container's stdin and
 * stdout are copied twice on their way, by the engine's command and by its monitor, and a socket is
 * not. The runner's first line by it makes it the way out. A runner that cannot connect speaks by
 * stdout, as it does where there is no socket.
 *
 * One connection is taken, and no other: nothing runs over there yet that could be first. What the
 * process in front of the runner says comes by stdout, always. So the end of the socket means
 * nothing here: the runner has ended, and the process in front says how.
 */
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { createServer, type Server, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { readWithRests } from "./paced-reading.ts";
import type { WireSocket } from "./stream-place.ts";
import { LONGEST_LINE } from "./wire.ts";
import { WireLines } from "./wire-lines.ts";
/** The longest path of a socket, in bytes: the kernel cuts a longer one. */
const LONGEST_PATH = 107;

/** Who hears the runner. */
export interface WireHearing {
  line(line: string): void;
  /** A line is longer than {@link LONGEST_LINE}. Nothing more is heard from there. */
  tooLong(): void;
}

/** One wire. */
export class RunnerWire {
  readonly #hearing: WireHearing;
  readonly #lines: WireLines[] = [];
  readonly #server: Server | undefined;
  #command: ChildProcessWithoutNullStreams | undefined;
  #socket: Socket | undefined;
  /** Undefined: the command was not started yet. */
  #out: Writable | undefined;

  /** @param offered where the runner may connect. Undefined: nowhere */
  constructor(offered: WireSocket | undefined, hearing: WireHearing) {
    this.#hearing = hearing;
    if (offered === undefined || Buffer.byteLength(offered.here) > LONGEST_PATH) return;
    this.#server = createServer((socket) => this.#connected(socket));
    this.#server.on("error", () => {});
    // The container's user is another one. Only who is in it comes to the folder.
    this.#server.listen({ path: offered.here, readableAll: true, writableAll: true });
  }

  /** Speaks by a command, as long as nobody connects. */
  begin(command: ChildProcessWithoutNullStreams): void {
    this.#command = command;
    this.#out = command.stdin;
    command.stdin.on("error", () => {});
    this.#hear(command.stdout);
  }

  /** Sends a line. */
  write(text: string): void {
    this.#out?.write(`${text}\n`);
  }

  /** Resolves when it takes more. @throws Error if it is closed */
  drained(): Promise<void> {
    const out = this.#out;
    if (out === undefined || out.destroyed) return Promise.reject(new Error("the wire is closed"));
    if (!out.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const drain = (): void => {
        out.off("close", close);
        resolve();
      };
      const close = (): void => {
        out.off("drain", drain);
        reject(new Error("the wire is closed"));
      };
      out.once("drain", drain).once("close", close);
    });
  }

  /** The runner reads the end of its input, once it has read all before it. */
  end(): void {
    this.#server?.close();
    this.#command?.stdin.end();
    this.#socket?.end();
  }

  /** As {@link end}, at once: what waits to be sent is lost. */
  cut(): void {
    this.#server?.close();
    this.#command?.stdin.destroy();
    this.#socket?.destroy();
  }

  /** Nothing more is heard. */
  deafen(): void {
    for (const lines of this.#lines) lines.end();
  }

  /** The command has ended. */
  close(): void {
    this.deafen();
    this.cut();
    this.#command?.stdout.destroy();
  }

  #connected(socket: Socket): void {
    if (this.#socket !== undefined) return void socket.destroy();
    this.#socket = socket;
    this.#server?.close();
    socket.once("data", () => (this.#out = socket));
    this.#hear(socket);
  }

  #hear(from: Readable): void {
    const lines = new WireLines(
      LONGEST_LINE,
      (line) => this.#hearing.line(line),
      () => this.#hearing.tooLong(),
    );
    this.#lines.push(lines);
    readWithRests(from, (chunk) => lines.add(chunk));
  }
}
