/** A client of the event stream, as small as a stranger would write it. */
import { request, type ClientRequest, type IncomingMessage } from "node:http";

/** One event. */
export interface Event {
  readonly id: string;
  readonly data: string;
}

/** A stream that is open. */
export interface EventClient {
  readonly status: number;
  readonly events: Event[];
  /** The id to go on with: that of the last event, or the one that the stream began with. */
  readonly lastId: string;
  /** Resolves once this many events have come. */
  until(count: number, deadlineMs?: number): Promise<void>;
  /** Resolves once the server has ended it. */
  readonly ended: Promise<void>;
  readonly response: IncomingMessage;
  close(): void;
}

/** Opens a stream. Resolves once its head is there. */
export function openEvents(
  where: { readonly port: number } | { readonly socketPath: string },
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<EventClient> {
  return new Promise((resolve, reject) => {
    const asking: ClientRequest = request(
      {
        ...("port" in where ? { host: "127.0.0.1", ...where } : where),
        path,
        headers,
        agent: false,
      },
      (response) => {
        const events: Event[] = [];
        let [rest, lastId] = ["", ""];
        const waiting = new Set<() => void>();
        response.setEncoding("utf8").on("data", (part: string) => {
          const blocks = (rest + part).split("\n\n");
          rest = blocks.pop()!;
          for (const block of blocks) {
            const data: string[] = [];
            for (const line of block.split("\n")) {
              if (line.startsWith("id: ")) lastId = line.slice(4);
              if (line.startsWith("data: ")) data.push(line.slice(6));
            }
            if (data.length > 0) events.push({ id: lastId, data: data.join("\n") });
          }
          for (const look of waiting) look();
        });
        const ended = new Promise<void>((end) => {
          response.on("close", () => end()).on("error", () => end());
        });
        resolve({
          status: response.statusCode ?? 0,
          events,
          get lastId() {
            return lastId;
          },
          ended,
          response,
          close: () => void asking.destroy(),
          until: (count, deadlineMs = 10_000) =>
            new Promise<void>((done, fail) => {
              const late = setTimeout(() => {
                waiting.delete(look);
                fail(new Error(`${events.length} of ${count} events came`));
              }, deadlineMs);
              const look = (): void => {
                if (events.length < count) return;
                clearTimeout(late);
                waiting.delete(look);
                done();
              };
              waiting.add(look);
              look();
            }),
        });
      },
    );
    asking.on("error", reject);
    asking.end();
  });
}
