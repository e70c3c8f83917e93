/**
 * Brings what is printed in a thread to its capture: what goes to `process.stdout` and
 * `process.stderr`, and so `console`, and what `node:fs` writes to descriptors 1 and 2, which does
 * not go through these streams.
 *
 * The streams' own way to the main thread is not used. It is asynchronous, so the last output of a
 * thread would be lost when the thread ends.
 */
import { createRequire, syncBuiltinESMExports } from "node:module";

/** Takes what was written. It must be done when it returns: the writer may use the bytes again. */
export type OutputSink = (stream: "stdout" | "stderr", chunk: Uint8Array | string) => void;

type Callback = (error: Error | null, written: number, data: unknown) => void;
type FsFunction = (...parameters: unknown[]) => unknown;

/** Puts `sink` in the place of the thread's outputs, for the life of the thread. */
export function redirectOutput(sink: OutputSink): void {
  redirectStream("stdout", sink);
  redirectStream("stderr", sink);
  const fs = createRequire(import.meta.url)("node:fs") as Record<
    "writeSync" | "write" | "writeFileSync" | "appendFileSync",
    FsFunction
  >;
  const { writeSync, write } = fs;
  fs.writeSync = (descriptor, data, ...rest) => {
    const stream = streamOf(descriptor);
    if (stream === undefined) return writeSync(descriptor, data, ...rest);
    const written = bytesOf(data, rest);
    sink(stream, written);
    return Buffer.byteLength(written);
  };
  fs.write = (descriptor, data, ...rest) => {
    const stream = streamOf(descriptor);
    const done = rest.at(-1);
    if (stream === undefined || typeof done !== "function") return write(descriptor, data, ...rest);
    const written = bytesOf(data, rest.slice(0, -1));
    sink(stream, written);
    const size = Buffer.byteLength(written);
    setImmediate(() => (done as Callback)(null, size, data));
    return undefined;
  };
  for (const name of ["writeFileSync", "appendFileSync"] as const) {
    const original = fs[name];
    fs[name] = (path, data, options) => {
      const stream = streamOf(path);
      if (stream === undefined) return original(path, data, options);
      const encoding =
        options !== null && typeof options === "object" && "encoding" in options
          ? options.encoding
          : options;
      sink(stream, bytesOf(data, [undefined, encoding]));
      return undefined;
    };
  }
  syncBuiltinESMExports();
}

/**
 * Replaces the stream's own methods, so that a step can neither end the stream nor fill it: the
 * thread prints for the next step too.
 */
function redirectStream(name: "stdout" | "stderr", sink: OutputSink): void {
  const stream = process[name];
  const take = (chunk: unknown, encoding: unknown, callback: unknown): void => {
    const given =
      typeof chunk === "string" && typeof encoding === "string"
        ? Buffer.from(chunk, encoding as BufferEncoding)
        : chunk;
    sink(name, given as Uint8Array | string);
    const done = typeof encoding === "function" ? encoding : callback;
    if (typeof done === "function") queueMicrotask(() => (done as () => void)());
  };
  stream.write = (chunk: unknown, encoding?: unknown, callback?: unknown): boolean => {
    take(chunk, encoding, callback);
    return true;
  };
  stream.end = ((chunk?: unknown, encoding?: unknown, callback?: unknown): typeof stream => {
    if (typeof chunk === "function") take("", chunk, undefined);
    else take(chunk ?? "", encoding, callback);
    return stream;
  }) as typeof stream.end;
}

function streamOf(descriptor: unknown): "stdout" | "stderr" | undefined {
  return descriptor === 1 ? "stdout" : descriptor === 2 ? "stderr" : undefined;
}

/**
 * The part of `data` that a write names: by offset and length, in an options object, or for a text
 * by its encoding. Bytes are not copied, because copies would be garbage in a flood of output.
 */
function bytesOf(data: unknown, rest: readonly unknown[]): Uint8Array | string {
  const [first, second] = rest;
  if (!ArrayBuffer.isView(data)) {
    const isUtf8 = typeof second !== "string" || /^utf-?8$/i.test(second);
    return isUtf8 ? String(data) : Buffer.from(String(data), second as BufferEncoding);
  }
  const given =
    first !== null && typeof first === "object"
      ? (first as { offset?: number; length?: number })
      : { offset: first as number | null | undefined, length: second as number | null | undefined };
  const offset = given.offset ?? 0;
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).subarray(
    offset,
    offset + (given.length ?? data.byteLength - offset),
  );
}
