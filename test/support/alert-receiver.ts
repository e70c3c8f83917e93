/** A receiver of webhooks and heartbeats over loopback: it keeps what comes. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** A message as a webhook gets it. */
export interface ReceivedAlert {
  readonly key: string;
  readonly kind: string;
  readonly of: string | null;
  readonly pipeline: string | null;
  readonly run: string | null;
  readonly because: string;
  readonly count: number;
  /** The `Idempotency-Key` of the request. */
  readonly header: string | undefined;
}

/** What came so far. */
export interface AlertReceiver {
  readonly url: string;
  readonly alerts: ReceivedAlert[];
  /** When each heartbeat came, in milliseconds since 1970. */
  readonly beats: number[];
  /** The status that the next requests get. */
  status: number;
}

/** Listens until the test ends. */
export async function alertReceiver(): Promise<AlertReceiver> {
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      if (request.method === "GET") receiver.beats.push(Date.now());
      else if (receiver.status === 200) {
        const header = request.headers["idempotency-key"] as string | undefined;
        receiver.alerts.push({ ...(JSON.parse(body) as ReceivedAlert), header });
      }
      response.writeHead(receiver.status).end("ok");
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const receiver: AlertReceiver = {
    url: `http://127.0.0.1:${port}/in`,
    alerts: [],
    beats: [],
    status: 200,
  };
  return receiver;
}
