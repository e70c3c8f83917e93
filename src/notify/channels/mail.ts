/**
 * Mail, over SMTP. Plain text alone: it shows the same in every program, and nothing in a log or a
 * reason can become markup.
 *
 * The Message-ID is made from the alert's key, so it is the same at each try: a server that took
 * the mail and lost the connection before it said so gets the same mail again, and receivers can
 * tell. Mails of one pipeline and kind refer to one thread, with what is told again and what is
 * over.
 *
 * Where a server takes a mail for some addresses and puts others off, only these are tried again:
 * the process remembers who has it. Addresses that are refused for good are told in the answer.
 * Where it takes it for none, every refusal is tried again, 5xx too: an address or a password that
 * is mended within the day carries what waits.
 */
import MailComposer from "nodemailer/lib/mail-composer";
import type { Clock } from "../../clock.ts";
import type { Alert } from "../../core/alert.ts";
import { withoutControls } from "../../core/failure.ts";
import type { ChannelSettings } from "../../core/notify-settings.ts";
import type { Channel, Message, Sent } from "../channel.ts";
import type { ChannelSecrets } from "../secrets.ts";
import { readCaFile } from "./ca-file.ts";
import type { ChannelHost } from "./channel-host.ts";
import { oneLine } from "./plain-text.ts";
import { smtpMode } from "./smtp-mode.ts";
import { sendBySmtp, type RefusedAddress, type SmtpServer } from "./smtp.ts";

/** `kind: mail` of orchd.yaml. */
type MailSettings = Extract<ChannelSettings, { readonly kind: "mail" }>;

/** The most of a sentence that is recorded, in characters: a server may say a lot. */
const SAID = 300;
/** Of so many mails it is remembered which addresses need no other try. */
const MOST_BEGUN = 1_000;

/** The addresses of a mail that need no other try. */
interface Begun {
  readonly took: Set<string>;
  readonly refused: Map<string, string>;
}

/** A channel that mails. */
export class MailChannel implements Channel {
  readonly name: string;
  readonly #settings: MailSettings;
  readonly #secrets: ChannelSecrets;
  readonly #host: ChannelHost;
  /** By the alert's key: mails that some addresses have. */
  readonly #begun = new Map<string, Begun>();

  constructor(name: string, settings: MailSettings, secrets: ChannelSecrets, host: ChannelHost) {
    this.name = name;
    this.#settings = settings;
    this.#secrets = secrets;
    this.#host = host;
  }

  async send(message: Message, signal: AbortSignal): Promise<Sent> {
    try {
      const { from, to, bytes } = await composeMail(message, this.#settings, this.#host);
      const { key } = message.alert;
      const begun = this.#begun.get(key) ?? { took: new Set<string>(), refused: new Map() };
      const left = to.filter((address) => !begun.took.has(address) && !begun.refused.has(address));
      if (left.length === 0) return this.#done(key, begun, "it was taken before");
      const outcome = await sendBySmtp(this.#server(), { from, to: left, bytes }, signal);
      if (outcome.taken) return this.#judge(key, begun, left, outcome.refused, outcome.reply);
      if (begun.took.size === 0) return { ok: false, because: this.#speakable(outcome.because) };
      if (outcome.refused !== undefined)
        return this.#judge(key, begun, left, outcome.refused, "some have it");
      return { ok: false, because: this.#speakable(`some have it, but ${outcome.because}`) };
    } catch (error) {
      return { ok: false, because: this.#speakable((error as Error).message) };
    }
  }

  close(): void {
    // Each connection ends with its mail.
  }

  #judge(
    key: string,
    begun: Begun,
    asked: readonly string[],
    refused: readonly RefusedAddress[],
    reply: string,
  ): Sent {
    for (const address of asked)
      if (!refused.some((one) => one.address === address)) begun.took.add(address);
    for (const one of refused) if (!one.later) begun.refused.set(one.address, one.reply);
    const later = refused.filter((one) => one.later);
    if (later.length === 0) return this.#done(key, begun, reply);
    this.#begun.set(key, begun);
    if (this.#begun.size > MOST_BEGUN) this.#begun.delete(this.#begun.keys().next().value!);
    const words = later.map(({ address, reply: said }) => `puts off ${address}: ${said}`);
    const { host } = this.#settings.smtp;
    return { ok: false, because: this.#speakable(`some have it, but ${host} ${words.join("; ")}`) };
  }

  #done(key: string, { refused }: Begun, reply: string): Sent {
    this.#begun.delete(key);
    const words = [...refused].map(([address, said]) => `; not for ${address}: ${said}`);
    return { ok: true, answer: this.#speakable(`${reply}${words.join("")}`) };
  }

  /** @throws Error, a sentence, if a secret or the file of `ca` is not there */
  #server(): SmtpServer {
    const { host, port, tls, ca, user, password } = this.#settings.smtp;
    const login =
      user === undefined || password === undefined
        ? undefined
        : { user: this.#secrets.read(user), password: this.#secrets.read(password) };
    const { machine, root } = this.#host;
    return {
      host,
      ...smtpMode({ port, tls, hasCa: ca !== undefined, hasLogin: login !== undefined }),
      ca: readCaFile(ca, root),
      login,
      // A name without a dot is none that a server could look up.
      self: machine.includes(".") ? machine : undefined,
    };
  }

  /** A text that may be recorded: one line, short, and without secrets. */
  #speakable(text: string): string {
    return oneLine(this.#secrets.mask(withoutControls(text)), SAID);
  }
}

/** A mail, and who gets it. */
interface Composed {
  readonly from: string;
  readonly to: readonly string[];
  readonly bytes: Buffer;
}

/** @throws Error, a clause, if `from` or `to` has no address */
async function composeMail(
  { alert, title, text }: Message,
  settings: MailSettings,
  { machine, clock }: { readonly machine: string; readonly clock: Clock },
): Promise<Composed> {
  const sender = settings.from ?? `orchd@${machine}`;
  const head = { from: sender, to: settings.to };
  const { from, to } = new MailComposer(head).compile().getEnvelope();
  if (typeof from !== "string" || !from.includes("@"))
    throw new Error(`its from is no address of mail: ${sender}`);
  const bad = settings.to.filter((one) => addressesOf(one).length === 0);
  if (bad.length > 0) throw new Error(`its to has what is no address of mail: ${bad.join(", ")}`);
  const domain = from.slice(from.lastIndexOf("@") + 1);
  const thread = `<${threadOf(alert)}.orchd@${domain}>`;
  const bytes = await new MailComposer({
    ...head,
    subject: `[orchd] ${title}`,
    text,
    // Lines stay as they are: format=flowed would join them, and base64 hides them from a search.
    textEncoding: "quoted-printable",
    messageId: `<${alert.key}@${domain}>`,
    references: thread,
    ...(alert.telling > 1 || alert.kind === "recovered" ? { inReplyTo: thread } : {}),
    date: new Date(clock.now()),
    headers: headersOf(alert),
    disableFileAccess: true,
    disableUrlAccess: true,
  })
    .compile()
    .build();
  return { from, to: [...new Set(to)], bytes };
}

function addressesOf(text: string): readonly string[] {
  const { to } = new MailComposer({ to: text }).compile().getEnvelope();
  return to.filter((address) => /^[^@\s]+@[^@\s]+$/.test(address));
}

/** What the mails of one thread have in common. */
function threadOf({ kind, of, pipeline }: Alert): string {
  return `${(pipeline ?? "daemon").replaceAll(/[^\w-]/g, "-")}.${of ?? kind}`;
}

/** What tells programs that no person wrote the mail, and what filters can sort by. */
function headersOf({ kind, pipeline, run }: Alert): Record<string, string> {
  return {
    "Auto-Submitted": "auto-generated",
    "X-Auto-Response-Suppress": "All",
    "X-Orchd-Kind": kind,
    ...(pipeline === undefined ? {} : { "X-Orchd-Pipeline": pipeline }),
    ...(run === undefined ? {} : { "X-Orchd-Run": run }),
  };
}
