/** How a mail server is spoken to, and why it took no mail, by a server that a test plays. */
import { createServer, type Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { smtpMode, type SmtpWishes } from "../../../src/notify/channels/smtp-mode.ts";
import {
  sendBySmtp,
  type SmtpOutcome,
  type SmtpServer,
} from "../../../src/notify/channels/smtp.ts";

const MAIL = { from: "a@x.test", to: ["b@x.test"], bytes: Buffer.from("Subject: s\r\n\r\nt\r\n") };

/** Sends to a server that answers each line by its command; "close" ends the connection. */
async function sent(
  answers: Readonly<Record<string, string>>,
  more: Partial<SmtpServer> = {},
  signal = new AbortController().signal,
): Promise<SmtpOutcome> {
  const server = createServer((socket: Socket) => {
    socket.on("error", () => undefined);
    const say = (answer: string | undefined): void => {
      if (answer === "close") socket.destroy();
      else if (answer !== undefined) socket.write(`${answer}\r\n`);
    };
    say(answers["greeting"] ?? "220 mail.test");
    let isData = false;
    socket.setEncoding("latin1").on("data", (text: string) => {
      for (const line of text.split("\r\n").filter((one) => one !== "")) {
        if (isData) {
          if (line !== ".") continue;
          isData = false;
          say(answers["end"] ?? "250 taken");
          continue;
        }
        const command = /^(EHLO|HELO|AUTH|MAIL|RCPT|DATA|QUIT)/.exec(line)?.[1] ?? line;
        const usual = { EHLO: "250-mail.test\r\n250 AUTH PLAIN", DATA: "354 go on" };
        const answer = answers[command] ?? (usual as Record<string, string>)[command] ?? "250 ok";
        isData = command === "DATA" && answer.startsWith("354");
        say(answer);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as { port: number };
  return sendBySmtp({ host: "127.0.0.1", port, tls: "none", ...more }, MAIL, signal);
}

const login = { user: "u", password: "p" };

it.each<[string, Record<string, string>, Partial<SmtpServer>, string]>([
  [
    "the login",
    { AUTH: "535 bad password" },
    { login },
    "127.0.0.1 refuses the login: 535 bad password",
  ],
  ["the sender", { MAIL: "553 not you" }, {}, "127.0.0.1 refuses the sender: 553 not you"],
  ["the address", { RCPT: "550 nobody" }, {}, "127.0.0.1 refuses b@x.test: 550 nobody"],
  ["the mail, at its end", { end: "554 spam" }, {}, "127.0.0.1 refuses the mail: 554 spam"],
  ["the connection", { greeting: "421 too busy" }, {}, "421 too busy"],
  ["a command", { EHLO: "502 no", HELO: "550 not you" }, {}, "127.0.0.1 answers to HELO: 550 not"],
  ["to go on, at the greeting", { greeting: "close" }, {}, "127.0.0.1 closed the connection"],
  ["to go on, at the sender", { MAIL: "close" }, {}, "127.0.0.1 closed the connection"],
])("a server that refuses %s", async (_what, answers, more, because) => {
  const outcome = await sent(answers, more);
  expect(outcome).toMatchObject({ taken: false });
  expect((outcome as { because: string }).because).toContain(because);
});

it("a port that speaks no TLS is told of where TLS is meant", async () => {
  const outcome = await sent({}, { tls: "implicit" });
  expect(outcome).toEqual({
    taken: false,
    because: expect.stringMatching(
      /^127\.0\.0\.1 does not speak TLS from the start at port \d+: set `tls: starttls`, or/,
    ) as string,
  });
});

it("a mail that was taken is told with the server's words", async () => {
  expect(await sent({ end: "250 2.0.0 queued as 7" })).toEqual({
    taken: true,
    reply: "250 2.0.0 queued as 7",
    refused: [],
  });
});

it("a server that nobody is at is named with the reason", async () => {
  const { port } = await new Promise<{ port: number }>((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address() as { port: number };
      server.close(() => resolve(address));
    });
  });
  const server = { host: "127.0.0.1", port, tls: "none" } as const;
  const outcome = await sendBySmtp(server, MAIL, new AbortController().signal);
  expect(outcome).toEqual({
    taken: false,
    because: expect.stringMatching(/^127\.0\.0\.1 .*(refuse|ECONNREFUSED|listens)/) as string,
  });
});

it.each([
  ["greeting", "127.0.0.1 does not answer", {}],
  ["AUTH", "127.0.0.1 does not answer to the login", { login }],
  ["end", "127.0.0.1 does not say whether it takes the mail", {}],
])("a server that is silent at %s is told so", async (stage, because, more) => {
  const late = new AbortController();
  setTimeout(() => late.abort(), 300);
  const outcome = await sent(
    { [stage]: "", ...(stage === "greeting" ? {} : {}) },
    more,
    late.signal,
  );
  expect(outcome).toEqual({ taken: false, because });
});

it.each<[Partial<SmtpWishes>, string]>([
  [{}, "opportunistic 25"],
  [{ hasCa: true }, "starttls 25"],
  [{ hasLogin: true }, "starttls 587"],
  [{ hasLogin: true, tls: "opportunistic" }, "starttls 587"],
  [{ hasLogin: true, tls: "none" }, "none 587"],
  [{ hasLogin: true, tls: "implicit" }, "implicit 465"],
  [{ tls: "implicit" }, "implicit 465"],
  [{ tls: "starttls" }, "starttls 25"],
  [{ tls: "none" }, "none 25"],
  [{ tls: "opportunistic", hasCa: true }, "opportunistic 25"],
  [{ port: 465 }, "implicit 465"],
  [{ port: 465, hasLogin: true }, "implicit 465"],
  [{ port: 465, tls: "starttls" }, "starttls 465"],
  [{ port: 466 }, "opportunistic 466"],
  [{ port: 587, hasLogin: true }, "starttls 587"],
  [{ port: 2_525, tls: "implicit" }, "implicit 2525"],
])("%j is spoken to by %s", (wishes, mode) => {
  const { tls, port } = smtpMode({ hasCa: false, hasLogin: false, ...wishes });
  expect(`${tls} ${port}`).toBe(mode);
});
