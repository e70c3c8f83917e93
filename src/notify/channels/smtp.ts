/**
 * Gives one mail to a mail server: one connection a mail. Alerts are rare and a connection that is
 * kept is one that may be dead when it is needed.
 *
 * nodemailer's connection speaks SMTP. Its own time limits are off: a try ends by its signal.
 */
import SMTPConnection from "nodemailer/lib/smtp-connection";
import { defined } from "../../core/defined.ts";
import { connectionFault } from "./connection-fault.ts";

/** nodemailer takes 0 for its default: this is the longest that a timer can be. */
const NEVER_MS = 2_147_483_647;

/** How a mail server is reached. */
export interface SmtpServer {
  readonly host: string;
  readonly port: number;
  /** `opportunistic`: TLS where the server has it, with any certificate. */
  readonly tls: "implicit" | "starttls" | "opportunistic" | "none";
  /** PEM, in place of the authorities that Node trusts. */
  readonly ca?: string | undefined;
  readonly login?: { readonly user: string; readonly password: string } | undefined;
  /** What this machine calls itself; undefined: its address. */
  readonly self?: string | undefined;
}

/** A mail as it is handed over. */
export interface SmtpMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly bytes: Buffer;
}

/** An address that the server did not take. */
export interface RefusedAddress {
  readonly address: string;
  /** What the server said, with its code in front. */
  readonly reply: string;
  /** Whether it may take it later: 4xx. */
  readonly later: boolean;
}

/** What became of it. Texts are as the server gave them: control characters and secrets in them. */
export type SmtpOutcome =
  | {
      readonly taken: true;
      readonly reply: string;
      /** Of several addresses, those that the server did not take. */
      readonly refused: readonly RefusedAddress[];
    }
  | {
      readonly taken: false;
      readonly because: string;
      /** All addresses, where the server took none of them. */
      readonly refused?: readonly RefusedAddress[];
    };

/** The members of nodemailer's errors that are read. */
interface SmtpError extends Error {
  readonly code?: string | undefined;
  /** The system's or TLS' own code. */
  readonly originalCode?: string | undefined;
  readonly command?: string | undefined;
  readonly response?: string | undefined;
  readonly rejectedErrors?: readonly SmtpError[] | undefined;
  readonly recipient?: string | undefined;
}

/** Hands a mail over. Never throws. */
export async function sendBySmtp(
  server: SmtpServer,
  mail: SmtpMail,
  signal: AbortSignal,
): Promise<SmtpOutcome> {
  const connection = new SMTPConnection(optionsOf(server));
  let stage = "does not answer";
  let onAbort!: () => void;
  const ended = new Promise<never>((_, reject) => {
    onAbort = () => reject(new Error(`${server.host} ${stage}`));
    connection.on("error", reject);
    connection.on("end", () => reject(new Error(`${server.host} closed the connection`)));
  });
  ended.catch(() => undefined);
  signal.addEventListener("abort", onAbort);
  const step = <T>(run: (done: (error?: Error | null, value?: T) => void) => void): Promise<T> =>
    Promise.race([
      ended,
      new Promise<T>((resolve, reject) =>
        run((error, value) => (error ? reject(error) : resolve(value!))),
      ),
    ]);
  try {
    if (signal.aborted) onAbort();
    await step<void>((done) => connection.connect(done));
    const { login } = server;
    if (login !== undefined) {
      stage = "does not answer to the login";
      await step<unknown>((done) =>
        connection.login({ user: login.user, pass: login.password }, done),
      );
    }
    stage = "does not say whether it takes the mail";
    const { response, rejectedErrors = [] } = await step<{
      response: string;
      rejectedErrors?: readonly SmtpError[] | undefined;
    }>((done) =>
      connection.send(
        { from: mail.from, to: [...mail.to], size: mail.bytes.length },
        mail.bytes,
        done,
      ),
    );
    connection.quit();
    return { taken: true, reply: response, refused: rejectedErrors.map(refusedOf) };
  } catch (error) {
    const { rejectedErrors = [] } = error as SmtpError;
    const refused = rejectedErrors.length === 0 ? undefined : rejectedErrors.map(refusedOf);
    return defined({
      taken: false as const,
      because: becauseOf(error as SmtpError, server),
      refused,
    });
  } finally {
    signal.removeEventListener("abort", onAbort);
    connection.close();
  }
}

function optionsOf({ host, port, tls, ca, self }: SmtpServer): object {
  return {
    host,
    port,
    secure: tls === "implicit",
    requireTLS: tls === "starttls",
    ignoreTLS: tls === "none",
    opportunisticTLS: tls === "opportunistic",
    // A mail that may go without TLS gains nothing by refusing a certificate.
    tls: defined({ ca, rejectUnauthorized: tls !== "opportunistic" || ca !== undefined }),
    connectionTimeout: NEVER_MS,
    greetingTimeout: NEVER_MS,
    socketTimeout: NEVER_MS,
    dnsTimeout: NEVER_MS,
    ...defined({ name: self }),
  };
}

function refusedOf({ recipient = "", response = "" }: SmtpError): RefusedAddress {
  return { address: recipient, reply: response, later: response.startsWith("4") };
}

/** OpenSSL's codes where a server begins with words. */
const SPEAKS_NO_TLS = new Set(["EPROTO", "ERR_SSL_WRONG_VERSION_NUMBER"]);

/** Why it was not taken, with the server in front. */
function becauseOf(error: SmtpError, { host, port, tls }: SmtpServer): string {
  const { code, originalCode, command = "", response, rejectedErrors = [], message } = error;
  if (rejectedErrors.length > 0)
    return rejectedErrors
      .map(refusedOf)
      .map(({ address, reply }) => `${host} refuses ${address}: ${reply}`)
      .join("; ");
  const said = response === undefined || response === "" ? "" : `: ${response}`;
  if (code === "EAUTH")
    return said === "" ? `${host} takes no login (${message})` : `${host} refuses the login${said}`;
  if (said !== "" && command === "MAIL FROM") return `${host} refuses the sender${said}`;
  if (said !== "" && command === "DATA") return `${host} refuses the mail${said}`;
  if (said !== "") return `${host} answers${command === "" ? "" : ` to ${command}`}${said}`;
  if (SPEAKS_NO_TLS.has(originalCode ?? ""))
    return (
      `${host} does not speak TLS from the start at port ${port}: ` +
      "set `tls: starttls`, or port 465"
    );
  if (originalCode !== undefined)
    return connectionFault(Object.assign(new Error(message), { code: originalCode }), host);
  if (code === "ECONNECTION" || code === "ESOCKET")
    return tls === "implicit"
      ? `${host} closed the connection: check that port ${port} speaks TLS`
      : `${host} closed the connection`;
  return code === undefined ? message : `${host} cannot be reached (${message})`;
}
