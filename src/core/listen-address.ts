/** Where a program listens, as a person writes it: `127.0.0.1:4114`, `[::1]:4114`, `unix:PATH`. */

/** A place to listen. */
export type ListenAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** A socket's path has to fit into the kernel's struct, in bytes. */
const LONGEST_PATH = 107;
const HIGHEST_PORT = 65_535;
const TCP = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/;

/**
 * Reads an address. @returns the address, or what is wrong with it, in one sentence
 */
export function readListenAddress(
  text: string,
):
  | { readonly ok: true; readonly address: ListenAddress }
  | { readonly ok: false; readonly because: string } {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (path === "" || path.includes("\0"))
      return { ok: false, because: "unix: needs the path of a socket, as unix:/run/orchd.sock" };
    if (new TextEncoder().encode(path).length > LONGEST_PATH)
      return {
        ok: false,
        because: `a socket's path has at most ${LONGEST_PATH} bytes; name a shorter one`,
      };
    return { ok: true, address: { kind: "unix", path } };
  }
  const [, v6, name, digits] = TCP.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined || Number(digits) > HIGHEST_PORT)
    return {
      ok: false,
      because:
        `${JSON.stringify(text)} is no address; ` +
        "write HOST:PORT, as 127.0.0.1:4114, or unix:PATH",
    };
  return { ok: true, address: { kind: "tcp", host, port: Number(digits) } };
}

/** Whether only this machine can reach a host. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}
