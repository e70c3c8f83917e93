/** A nats-server of a test's own. `ORCHD_SKIP_NATS=1` has the tests with one skipped. */
import { BrokerServer } from "./broker-server.ts";
import { freePort } from "./free-port.ts";

/** Whether the tests with a nats-server are to be left out. */
export const SKIP_NATS = process.env["ORCHD_SKIP_NATS"] === "1";

/** A server that can be stopped, started again at the same port, and made to stand still. */
export class NatsServer extends BrokerServer {
  /**
   * Starts one. Call `remove` at the end.
   *
   * @param more lines of its configuration, in which FOLDER is its folder. Default: JetStream, and
   *   nothing else
   * @throws Error, one line, if there is none
   */
  static async start(more = ""): Promise<NatsServer> {
    const program = {
      name: "nats-server",
      skippedBy: "ORCHD_SKIP_NATS",
      scheme: "nats",
      words: ["-c"],
      greets: true,
      config(port: number, folder: string) {
        const store = more.includes("jetstream") ? "" : `jetstream { store_dir: "FOLDER/js" }\n`;
        const lines = `host: 127.0.0.1\nport: ${port}\n${store}${more}\n`;
        return lines.replaceAll("FOLDER", folder);
      },
    };
    const server = new NatsServer(program, await freePort());
    await server.begin();
    return server;
  }
}
