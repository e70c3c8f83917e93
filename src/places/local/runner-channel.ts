/**
 * The channel between a forked runner and this process, at this process's end.
 *
 * The runner's end is Node's own (`process.send`): as Node documents, it is JSON, a line each, over
 * the descriptor that `NODE_CHANNEL_FD` names. This end is not Node's own. A step may write what it
 * likes to a descriptor of the process that it runs in, and Node's reader throws at what is no JSON
 * in the process that forked: a daemon would end by it. Here it is told, as of a runner elsewhere.
 */
import type { Socket } from "node:net";
import { readInTurns } from "../pool/paced-reading.ts";
import { packSteps, unpackEnds } from "../pool/packed-batch.ts";
import type { FromRunner, RawResult, ToRunner } from "../pool/protocol.ts";

import { WireLines } from "../pool/wire-lines.ts";
import { isFromRunner, LONGEST_LINE } from "../pool/wire.ts";
import type { Json } from "../../core/snapshot.ts";

/** The runner's descriptor of its end. */
export const CHANNEL = 3;

/** What the runner's Node has to be told of its end. */
export const CHANNEL_VARIABLES: Readonly<Record<string, string>> = {
  NODE_CHANNEL_FD: String(CHANNEL),
  NODE_CHANNEL_SERIALIZATION_MODE: "json",
};

/** The latest time that a date can have, in milliseconds since 1970. */
const LATEST = 8.64e15;

/** Hears what comes. */
export interface ChannelHearing {
  batch(messages: readonly FromRunner[]): void;
  /** It was no batch. Nothing more is heard. @param line what came, as far as it is known */
  garbled(line: string): void;
  /** Nothing more can come. */
  closed(): void;
}

/** This process's end of one channel. */
export class RunnerChannel {
  readonly #socket: Socket;
  #isOpen = true;

  constructor(socket: Socket, hearing: ChannelHearing) {
    this.#socket = socket;
    const lines = new WireLines(
      LONGEST_LINE,
      (line) => {
        const batch = batchIn(line);
        if (batch !== undefined) return hearing.batch(batch);
        lines.end();
        hearing.garbled(line);
      },
      () => hearing.garbled(`a line of more than ${LONGEST_LINE / 1024 / 1024} MiB`),
    );
    // A runner that ends with unread messages resets it. `close` follows.
    readInTurns(socket, (chunk) => lines.add(chunk));
    socket.on("close", () => {
      this.#isOpen = false;
      hearing.closed();
    });
  }

  /** Whether messages may still cross it. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends a batch. An empty one asks for a sign of life. */
  send(batch: readonly ToRunner[]): void {
    if (this.#isOpen) this.#socket.write(`${JSON.stringify(packSteps(batch))}\n`);
  }

  /** Closes this end, once all is sent: the runner ends. */
  end(): void {
    this.#isOpen = false;
    this.#socket.end();
  }
}

/**
 * The messages of a line, of which none makes the pool throw. Undefined: it is no batch. Results
 * are parsed here, once.
 */
export function batchIn(line: string): FromRunner[] | undefined {
  try {
    const packed = JSON.parse(line) as unknown;
    if (!Array.isArray(packed) || !packed.every(isFromRunner)) return undefined;
    const batch = unpackEnds(packed);
    for (let at = 0; at < batch.length; at += 1) {
      const message = batch[at]!;
      if (message.type === "done" || message.type === "stuck") {
        if (!isTime(message.startedAt) || !isTime(message.durationMs)) return undefined;
        if ("json" in message.result) batch[at] = withValue(message, message.result.json);
      } else if (message.type === "output" && Number.isNaN(Date.parse(message.at)))
        return undefined;
    }
    return batch;
  } catch {
    return undefined;
  }
}

function isTime(milliseconds: number): boolean {
  return Math.abs(milliseconds) <= LATEST;
}

/** Member by member: a copy by `...` costs many times as much, and there is one for each step. */
function withValue(
  message: Extract<FromRunner, { type: "done" | "stuck" }>,
  json: string,
): FromRunner {
  const { type, id, durationMs, startedAt } = message;
  const result: RawResult = { ok: true, value: JSON.parse(json) as Json };
  if (type === "done") return { type, id, result, durationMs, startedAt };
  return { type, id, result, durationMs, startedAt, unstarted: message.unstarted };
}
