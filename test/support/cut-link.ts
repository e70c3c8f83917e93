/**
 * A TCP link that can be cut: nothing passes, and neither side is told. What was on its way waits,
 * and arrives late once the link is mended, as behind a switch that was pulled out.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";

export class CutLink {
  readonly #server: Server;
  readonly #ends = new Set<Socket>();
  #isCut = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Opens a link to a port of this machine. Call {@link close} at the end.
   *
   * @param host the address of its near end
   */
  static async to(port: number, host = "127.0.0.1"): Promise<CutLink> {
    const server = createServer();
    const link = new CutLink(server);
    server.on("connection", (near) => link.#join(near, connect(port, "127.0.0.1")));
    server.listen(0, host);
    await once(server, "listening");
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const end of this.#ends) end.pause();
  }

  mend(): void {
    this.#isCut = false;
    for (const end of this.#ends) end.resume();
  }

  /** Ends all connections at once. New ones may be made. */
  drop(): void {
    for (const end of this.#ends) end.destroy();
  }

  close(): void {
    this.drop();
    this.#server.close();
  }

  #join(near: Socket, far: Socket): void {
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#ends.add(one);
      one.on("data", (chunk) => void other.write(chunk));
      one.on("error", () => undefined);
      one.on("close", () => {
        this.#ends.delete(one);
        if (!this.#isCut) other.destroy();
      });
      if (this.#isCut) one.pause();
    }
  }
}
