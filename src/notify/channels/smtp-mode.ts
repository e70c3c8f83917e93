/** How a mail server is spoken to, where orchd.yaml leaves it open: its port, and TLS or not. */
import type { SmtpServer } from "./smtp.ts";

/** What orchd.yaml says of a mail server. */
export interface SmtpWishes {
  readonly port?: number | undefined;
  readonly tls?: SmtpServer["tls"] | undefined;
  /** Whether it names the authorities that sign the server's certificate. */
  readonly hasCa: boolean;
  readonly hasLogin: boolean;
}

/** The port, and TLS from the start, asked for, taken if it is there, or not at all. */
export function smtpMode(wishes: SmtpWishes): Pick<SmtpServer, "port" | "tls"> {
  const { port, tls, hasCa, hasLogin } = wishes;
  const usual = hasLogin || hasCa ? "starttls" : "opportunistic";
  const asked = tls ?? (port === 465 ? "implicit" : usual);
  // A password needs TLS, unless a person wrote that it does not.
  const mode = asked === "opportunistic" && hasLogin ? "starttls" : asked;
  if (port !== undefined) return { port, tls: mode };
  if (mode === "implicit") return { port: 465, tls: mode };
  return { port: hasLogin ? 587 : 25, tls: mode };
}
