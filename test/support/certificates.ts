/** Certificates of a test: an authority that nobody else trusts, and servers that it signed. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A server's key and certificate, as PEM. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** An authority of a test's own, made by the program openssl. */
export class Authority {
  readonly #folder = mkdtempSync(join(tmpdir(), "orchd-ca-"));
  #made = 0;
  /** The file with its certificate. */
  readonly file: string = join(this.#folder, "ca.pem");

  constructor() {
    this.#openssl("ca", "/CN=orchd test", ["basicConstraints=critical,CA:TRUE"], []);
  }

  /** Its certificate, as PEM. */
  get pem(): string {
    return readFileSync(this.file, "utf8");
  }

  /** A certificate for names such as `DNS:hooks.example` and `IP:127.0.0.1`. */
  sign(names: readonly string[], days = 2): Certificate {
    this.#made += 1;
    const name = `server-${this.#made}`;
    this.#openssl(
      name,
      "/CN=receiver",
      [`subjectAltName=${names.join(",")}`],
      ["-CA", this.file, "-CAkey", join(this.#folder, "ca.key")],
      days,
    );
    const read = (end: string): string =>
      readFileSync(join(this.#folder, `${name}.${end}`), "utf8");
    return { key: read("key"), cert: read("pem") };
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #openssl(
    name: string,
    subject: string,
    extensions: readonly string[],
    more: readonly string[],
    days = 2,
  ): void {
    const base = join(this.#folder, name);
    const options = `-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days ${days}`;
    const files = ["-keyout", `${base}.key`, "-out", `${base}.pem`, "-subj", subject, ...more];
    const added = extensions.flatMap((extension) => ["-addext", extension]);
    execFileSync("openssl", ["req", ...options.split(" "), ...files, ...added], { stdio: "pipe" });
  }
}
