/** Real receivers over loopback: HTTP with a script of answers, raw sockets, and a proxy. */
import { createServer, request } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import {
  connect,
  createServer as createSocketServer,
  type AddressInfo,
  type Server,
} from "node:net";
import type { Socket } from "node:net";
import type { Certificate } from "./certificates.ts";

/** A request as it was received. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
  readonly json: () => any;
}

/** What listens, and what it got. */
export interface Receiver {
  readonly url: string;
  readonly port: number;
  readonly received: Received[];
  /** Connections that are open now. */
  readonly open: () => number;
  readonly close: () => Promise<void>;
}

/** Answers a request. */
export type Answer = (response: ServerResponse, received: Received, nth: number) => void;

/** An answer of a status, a body and headers. */
export const answer =
  (status: number, body = "", headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, headers).end(body);
  };

/** An HTTP receiver; with a certificate, an HTTPS one. */
export async function startReceiver(
  answering: Answer = answer(200, "ok"),
  certificate?: Certificate,
): Promise<Receiver> {
  const received: Received[] = [];
  const listener: Parameters<typeof createServer>[1] = (message, response) => {
    const chunks: Buffer[] = [];
    message.on("error", () => {});
    message.on("data", (chunk: Buffer) => chunks.push(chunk));
    message.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      const one: Received = {
        method: message.method ?? "",
        path: message.url ?? "",
        headers: message.headers,
        rawHeaders: message.rawHeaders,
        body,
        json: () => JSON.parse(body) as unknown,
      };
      received.push(one);
      answering(response, one, received.length);
    });
  };
  const server =
    certificate === undefined
      ? createServer(listener as never)
      : createSecureServer({ ...certificate }, listener as never);
  server.on("tlsClientError", () => {});
  const { port, open, close } = await listen(server);
  const scheme = certificate === undefined ? "http" : "https";
  return { url: `${scheme}://127.0.0.1:${port}`, port, received, open, close };
}

/** A receiver that speaks no HTTP of itself: the test writes the bytes. */
export async function startSocket(serve: (socket: Socket) => void): Promise<Receiver> {
  const server = createSocketServer((socket) => {
    socket.on("error", () => {});
    // A socket that nobody reads never sees the other's end.
    socket.resume();
    serve(socket);
  });
  const { port, open, close } = await listen(server);
  return { url: `http://127.0.0.1:${port}`, port, received: [], open, close };
}

/**
 * A proxy that knows names of its own: `HOST` or `HOST:PORT` of each request and each CONNECT is
 * looked up in `names`, and nothing else is reached. With `user`, it wants `Proxy-Authorization`.
 */
export async function startProxy(
  names: Readonly<Record<string, number>>,
  user?: string,
): Promise<Receiver> {
  const received: Received[] = [];
  const note = (message: IncomingMessage): void => {
    received.push({
      method: message.method ?? "",
      path: message.url ?? "",
      headers: message.headers,
      rawHeaders: [],
      body: "",
      json: () => undefined,
    });
  };
  const mayPass = (headers: IncomingHttpHeaders): boolean =>
    user === undefined ||
    headers["proxy-authorization"] === `Basic ${Buffer.from(user).toString("base64")}`;
  const server = createServer((message, response) => {
    note(message);
    const target = new URL(message.url ?? "", "http://none");
    const port = names[target.hostname];
    if (!mayPass(message.headers)) return void response.writeHead(407).end();
    if (port === undefined) return void response.writeHead(502).end();
    const onward = request(
      {
        host: "127.0.0.1",
        port,
        method: message.method,
        path: target.pathname + target.search,
        headers: message.headers,
      },
      (reply) => {
        response.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(response);
      },
    );
    onward.on("error", () => response.destroy());
    message.pipe(onward);
  });
  server.on("connect", (message, socket: Socket) => {
    note(message);
    socket.on("error", () => {});
    const port = names[(message.url ?? "").replace(/:\d+$/, "")];
    if (!mayPass(message.headers))
      return void socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    if (port === undefined) return void socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    const onward = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onward.pipe(socket);
      socket.pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    onward.on("close", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  });
  const { port, open, close } = await listen(server);
  return { url: `http://127.0.0.1:${port}`, port, received, open, close };
}

async function listen(
  server: Server,
): Promise<{ port: number; open: () => number; close: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    open: () => sockets.size,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
