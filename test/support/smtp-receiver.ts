/** A mail server of a test, over loopback: what it took, parsed, and what it refuses. */
import type { AddressInfo } from "node:net";
import { simpleParser, type ParsedMail } from "mailparser";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { onTestFinished } from "vitest";
import { Authority, type Certificate } from "./certificates.ts";

/** A mail that it took. */
export interface TakenMail {
  readonly mail: ParsedMail;
  readonly raw: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly secure: boolean;
  readonly user: string | undefined;
}

/** What it does with addresses and mails: a text refuses, with its code in front. */
export interface SmtpManners {
  readonly rcpt?: (address: string) => string | undefined;
  readonly data?: (taken: TakenMail) => string | undefined | Promise<string | undefined>;
  readonly options?: SMTPServerOptions;
}

/** A server that runs until the test ends. */
export interface SmtpReceiver {
  readonly port: number;
  readonly mails: readonly TakenMail[];
  readonly server: SMTPServer;
}

/** An error with the code and the words of a reply. */
function refusal(reply: string): Error {
  const [, code = "550", words = ""] = /^(\d{3}) (.*)$/.exec(reply) ?? [];
  return Object.assign(new Error(words), { responseCode: Number(code) });
}

let own: Certificate | undefined;

/** A certificate that nobody trusts. */
function ownCertificate(): Certificate {
  if (own !== undefined) return own;
  const authority = new Authority();
  own = authority.sign(["DNS:mail.test"]);
  authority.remove();
  return own;
}

/** Starts a server. */
export async function smtpReceiver(manners: SmtpManners = {}): Promise<SmtpReceiver> {
  const mails: TakenMail[] = [];
  const server = new SMTPServer({
    ...ownCertificate(),
    authOptional: true,
    disableReverseLookup: true,
    onRcptTo({ address }, _session, callback) {
      const reply = manners.rcpt?.(address);
      callback(reply === undefined ? null : refusal(reply));
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => void take(Buffer.concat(chunks)));
      const take = async (bytes: Buffer): Promise<void> => {
        const { mailFrom, rcptTo } = session.envelope;
        const taken: TakenMail = {
          mail: await simpleParser(bytes),
          raw: bytes.toString(),
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          secure: session.secure,
          user: session.user as string | undefined,
        };
        const reply = await manners.data?.(taken);
        if (reply === undefined) mails.push(taken);
        callback(reply === undefined ? null : refusal(reply));
      };
    },
    ...manners.options,
  });
  server.on("error", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { port: (server.server.address() as AddressInfo).port, mails, server };
}
