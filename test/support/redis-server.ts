/** A redis-server of a test's own. `ORCHD_SKIP_REDIS=1` has the tests with one skipped. */
import { BrokerServer } from "./broker-server.ts";
import { freePort } from "./free-port.ts";

/** Whether the tests with a redis-server are to be left out. */
export const SKIP_REDIS = process.env["ORCHD_SKIP_REDIS"] === "1";

/** A server that can be stopped, started again at the same port, and made to stand still. */
export class RedisServer extends BrokerServer {
  /**
   * Starts one. Call `remove` at the end.
   *
   * @param more lines of its configuration, in which PORT is its port. Default: its port
   * @throws Error, one line, if there is none
   */
  static async start(more = "port PORT"): Promise<RedisServer> {
    const program = {
      name: "redis-server",
      skippedBy: "ORCHD_SKIP_REDIS",
      scheme: "redis",
      words: [],
      greets: false,
      config: (port: number, folder: string) =>
        `bind 127.0.0.1\n${more.replaceAll("PORT", String(port))}\n` +
        `dir ${folder}\nappendonly yes\nsave ""\n`,
    };
    const server = new RedisServer(program, await freePort());
    await server.begin();
    return server;
  }
}
