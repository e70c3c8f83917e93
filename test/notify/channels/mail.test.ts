/** Mails over a real mail server on loopback, parsed as a person's program would. */
import { createServer, type AddressInfo, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import type { ChannelSettings } from "../../../src/core/notify-settings.ts";
import type { Channel, Message } from "../../../src/notify/channel.ts";
import { Authority } from "../../support/certificates.ts";
import { freePort } from "../../support/free-port.ts";
import { becauseOf, channelOf, message, send } from "../../support/channel-rig.ts";
import { smtpReceiver, type SmtpReceiver } from "../../support/smtp-receiver.ts";

const authority = new Authority();
afterAll(() => authority.remove());
const NO_TLS = { hideSTARTTLS: true, disabledCommands: ["STARTTLS"] };
const LOCAL = ["DNS:localhost", "IP:127.0.0.1"];

type Mail = Extract<ChannelSettings, { kind: "mail" }>;
const mailTo = (
  { port }: Pick<SmtpReceiver, "port">,
  smtp: Partial<Mail["smtp"]> = {},
  rest: Partial<Mail> = {},
  secrets: Record<string, string> = {},
): Channel =>
  channelOf(
    {
      kind: "mail",
      to: ["ops@example.org"],
      smtp: { host: "127.0.0.1", port, ...smtp },
      timeout: "5s",
      ...rest,
    },
    secrets,
  );

describe("a mail", () => {
  it("says who, what and when, and that no person wrote it", async () => {
    const server = await smtpReceiver();
    const channel = mailTo(server, {}, { to: ["Ops <ops@example.org>", "Zoë <zoe@example.org>"] });
    expect(await send(channel)).toEqual({ ok: true, answer: expect.stringMatching(/^250 /) });
    const [{ mail, raw, from, to }] = server.mails as [SmtpReceiver["mails"][0]];
    expect(from).toBe("orchd@test.example");
    expect(to).toEqual(["ops@example.org", "zoe@example.org"]);
    expect(mail.subject).toBe("[orchd] backup failed: step dump: exit status 1");
    expect(mail.text).toBe(
      "backup failed.\nbecause: step dump: exit status 1\n\norchd status backup\n",
    );
    expect(mail.html).toBe(false);
    expect(mail.attachments).toEqual([]);
    expect(mail.messageId).toBe("<0123456789abcdef0123456789abcdef@test.example>");
    expect(mail.headers.get("auto-submitted")).toBe("auto-generated");
    expect(mail.headers.get("x-orchd-kind")).toBe("failed");
    expect(mail.headers.get("x-orchd-pipeline")).toBe("backup");
    expect(mail.headers.get("x-orchd-run")).toBe("backup@20261128T040500Z");
    expect(Math.abs(Date.now() - mail.date!.getTime())).toBeLessThan(60_000);
    expect(raw).toContain("Content-Type: text/plain; charset=utf-8");
    for (const line of raw.split("\r\n")) expect(line.length).toBeLessThanOrEqual(998);
  });

  it("keeps the lines of its text, whatever they hold", async () => {
    const server = await smtpReceiver();
    const text = [
      ".",
      "..two",
      "From here",
      "  indented  ",
      "trailing ",
      "=3D",
      "字".repeat(3_000),
      "<b>bold</b>",
      "x".repeat(5_000),
      "-- ",
      "end",
      "",
    ].join("\n");
    await send(mailTo(server), message({}, { text }));
    expect(server.mails[0]!.mail.text).toBe(text);
  });

  it("has the same Message-ID at each try, and one thread for a pipeline and kind", async () => {
    const server = await smtpReceiver();
    const channel = mailTo(server);
    const alerts: Message[] = [
      message(),
      message(),
      message({ key: "b".repeat(32), telling: 2 }),
      message({ key: "c".repeat(32), kind: "recovered", of: "failed" }),
      message({ key: "d".repeat(32), kind: "missed" }),
    ];
    for (const one of alerts) expect((await send(channel, one)).ok).toBe(true);
    const mails = server.mails.map(({ mail }) => mail);
    expect(mails[0]!.messageId).toBe(mails[1]!.messageId);
    expect(new Set(mails.map(({ messageId }) => messageId)).size).toBe(4);
    const thread = "<backup.failed.orchd@test.example>";
    expect(mails.map(({ references }) => references)).toEqual([
      thread,
      thread,
      thread,
      thread,
      "<backup.missed.orchd@test.example>",
    ]);
    expect(mails.map(({ inReplyTo }) => inReplyTo)).toEqual([
      undefined,
      undefined,
      thread,
      thread,
      undefined,
    ]);
  });

  it("takes no header, no address and no markup from what an alert says", async () => {
    const server = await smtpReceiver();
    const evil = "x\r\nBcc: evil@example.org\r\n\r\n<script>alert(1)</script>\r\n.\r\nQUIT\r\n";
    const one = message(
      { pipeline: evil, run: evil, kind: "failed", because: evil },
      { title: `${evil}\u0000\u001b[31m`, text: evil },
    );
    const sent = await send(mailTo(server), one);
    expect(sent.ok).toBe(true);
    const { mail, to, raw } = server.mails[0]!;
    expect(to).toEqual(["ops@example.org"]);
    expect(mail.bcc).toBeUndefined();
    expect(raw.split("\r\n\r\n")[0]).not.toMatch(/^(?:bcc|cc):/im);
    expect(mail.html).toBe(false);
    expect(mail.headers.get("content-type")).toMatchObject({ value: "text/plain" });
  });

  it("says what is wrong with its addresses", async () => {
    const server = await smtpReceiver();
    const to = ["ops@example.org", "nobody", "a b@c"];
    expect(becauseOf(await send(mailTo(server, {}, { to })))).toMatch(
      /^its to has what is no address of mail: nobody/,
    );
    expect(becauseOf(await send(mailTo(server, {}, { from: "Orchd" })))).toBe(
      "its from is no address of mail: Orchd",
    );
    expect(server.mails).toEqual([]);
  });

  it("comes from the address that the settings have", async () => {
    const server = await smtpReceiver();
    await send(mailTo(server, {}, { from: "Orchd at night <night@example.com>" }));
    const { mail, from } = server.mails[0]!;
    expect(from).toBe("night@example.com");
    expect(mail.from?.text).toContain("Orchd at night");
    expect(mail.messageId).toMatch(/@example\.com>$/);
  });
});

describe("TLS", () => {
  it("is spoken from the start, with the authority of `ca`", async () => {
    const options = { secure: true, ...authority.sign(LOCAL) };
    const server = await smtpReceiver({ options });
    const tls = "implicit";
    expect((await send(mailTo(server, { tls, ca: authority.file }))).ok).toBe(true);
    expect(server.mails[0]!.secure).toBe(true);
    expect(becauseOf(await send(mailTo(server, { tls })))).toBe(
      "127.0.0.1 has a certificate that no trusted authority signed: " +
        "name the authority's file with `ca`",
    );
    expect(becauseOf(await send(mailTo(server, { tls, ca: "/none" })))).toBe(
      "its ca file /none cannot be read (ENOENT)",
    );
  });

  it("refuses a certificate for another name", async () => {
    for (const secure of [true, false]) {
      const server = await smtpReceiver({
        options: { secure, ...authority.sign(["DNS:mail.example"]) },
      });
      const tls = secure ? "implicit" : "starttls";
      expect(becauseOf(await send(mailTo(server, { tls, ca: authority.file })))).toBe(
        "127.0.0.1 has a certificate for another name",
      );
      expect(server.mails).toEqual([]);
    }
  });

  it("is asked for with starttls, and nothing is sent where it is not there", async () => {
    const certificate = authority.sign(LOCAL);
    const server = await smtpReceiver({ options: certificate });
    const tls = "starttls";
    expect((await send(mailTo(server, { tls, ca: authority.file }))).ok).toBe(true);
    expect(server.mails[0]!.secure).toBe(true);
    expect(becauseOf(await send(mailTo(server, { tls })))).toContain("no trusted authority signed");
    const plain = await smtpReceiver({ options: NO_TLS });
    expect(becauseOf(await send(mailTo(plain, { tls })))).toMatch(/127\.0\.0\.1 .*STARTTLS/);
    expect(plain.mails).toEqual([]);
  });

  it("is taken where it is there, with any certificate, as what is there is enough", async () => {
    const server = await smtpReceiver({ options: authority.sign(["DNS:other.example"]) });
    expect((await send(mailTo(server))).ok).toBe(true);
    expect(server.mails[0]!.secure).toBe(true);
    const plain = await smtpReceiver({ options: NO_TLS });
    expect((await send(mailTo(plain))).ok).toBe(true);
    expect(plain.mails[0]!.secure).toBe(false);
    expect((await send(mailTo(server, { tls: "none" }))).ok).toBe(true);
    expect(server.mails[1]!.secure).toBe(false);
  });
});

describe("a login", () => {
  const secrets = { PASSWORD: "c0rrect-h0rse", USER: "orchd-user" };
  const login = { user: { secret: "USER" }, password: { secret: "PASSWORD" } };
  const guarded = async (): Promise<SmtpReceiver> =>
    smtpReceiver({
      options: {
        authOptional: false,
        ...authority.sign(LOCAL),
        onAuth({ username, password }, _session, callback) {
          if (username === secrets.USER && password === secrets.PASSWORD)
            callback(null, { user: username });
          else callback(new Error(`no ${username} with ${password}`));
        },
      },
    });

  it("goes over TLS, without a word in the settings", async () => {
    const server = await guarded();
    const channel = mailTo(server, { ...login, ca: authority.file }, {}, secrets);
    expect((await send(channel)).ok).toBe(true);
    expect(server.mails[0]).toMatchObject({ user: "orchd-user", secure: true });
  });

  it("that fails is told without the password that the server quotes", async () => {
    const server = await guarded();
    const wrong = { ...secrets, PASSWORD: "wr0ng-st4ple" };
    const sent = await send(mailTo(server, { ...login, ca: authority.file }, {}, wrong));
    expect(sent).toEqual({
      ok: false,
      because: "127.0.0.1 refuses the login: 535 no *** with ***",
    });
  });

  it("is not sent where TLS is not there", async () => {
    const server = await smtpReceiver({
      options: { ...NO_TLS, allowInsecureAuth: true, onAuth: () => expect.fail("a login") },
    });
    for (const tls of [undefined, "opportunistic", "starttls"] as const)
      expect((await send(mailTo(server, { ...login, tls }, {}, secrets))).ok).toBe(false);
  });

  it("goes without TLS where a person wrote so", async () => {
    const user = "orchd-user";
    const server = await smtpReceiver({
      options: {
        ...NO_TLS,
        allowInsecureAuth: true,
        onAuth: (_auth, _session, callback) => callback(null, { user }),
      },
    });
    expect((await send(mailTo(server, { ...login, tls: "none" }, {}, secrets))).ok).toBe(true);
    expect(server.mails[0]).toMatchObject({ user, secure: false });
  });

  it("needs its secret", async () => {
    const server = await smtpReceiver();
    expect(becauseOf(await send(mailTo(server, login, {}, {})))).toBe(
      "The secret USER is not there",
    );
  });
});

describe("a server", () => {
  it("that puts a mail off gets it again, and has it once", async () => {
    let tries = 0;
    const rcpt = (): string | undefined =>
      (tries += 1) < 3 ? "451 4.7.1 Greylisted, try again in 300 seconds" : undefined;
    const server = await smtpReceiver({ rcpt });
    const channel = mailTo(server);
    const first = await send(channel);
    expect(first).toEqual({
      ok: false,
      because: "127.0.0.1 refuses ops@example.org: 451 4.7.1 Greylisted, try again in 300 seconds",
    });
    expect((await send(channel)).ok).toBe(false);
    expect((await send(channel)).ok).toBe(true);
    expect(server.mails).toHaveLength(1);
  });

  it("that puts off one of several is asked again for that one alone", async () => {
    let tries = 0;
    const asked: string[] = [];
    const rcpt = (address: string): string | undefined => {
      asked.push(address.split("@")[0]!);
      if (address.startsWith("gone")) return "550 5.1.1 no such user";
      return address.startsWith("late") && (tries += 1) === 1 ? "450 4.2.0 later" : undefined;
    };
    const server = await smtpReceiver({ rcpt });
    const to = ["ops@example.org", "late@example.org", "gone@example.org"];
    const channel = mailTo(server, {}, { to });
    expect(await send(channel)).toEqual({
      ok: false,
      because: "some have it, but 127.0.0.1 puts off late@example.org: 450 4.2.0 later",
    });
    const second = await send(channel);
    expect(second).toEqual({
      ok: true,
      answer: expect.stringMatching(
        /^250 .*; not for gone@example\.org: 550 5\.1\.1 no such user$/,
      ),
    });
    expect(server.mails.map((taken) => taken.to)).toEqual([
      ["ops@example.org"],
      ["late@example.org"],
    ]);
    expect(asked).toEqual(["ops", "late", "gone", "late"]);
    expect(server.mails[0]!.mail.messageId).toBe(server.mails[1]!.mail.messageId);
  });

  it("that puts off one of several, and then refuses it, is asked no more", async () => {
    const replies = ["450 4.2.0 later", "451 4.3.0 later still", "550 5.1.1 no such user"];
    const server = await smtpReceiver({
      rcpt: (address) => (address.startsWith("late") ? replies.shift() : undefined),
    });
    const to = ["ops@example.org", "late@example.org"];
    const channel = mailTo(server, {}, { to });
    for (const said of ["450 4.2.0 later", "451 4.3.0 later still"])
      expect(await send(channel)).toEqual({
        ok: false,
        because: `some have it, but 127.0.0.1 puts off late@example.org: ${said}`,
      });
    expect(await send(channel)).toEqual({
      ok: true,
      answer: "some have it; not for late@example.org: 550 5.1.1 no such user",
    });
    expect(server.mails.map((taken) => taken.to)).toEqual([["ops@example.org"]]);
  });

  it("that refuses every address is told, with each answer, and is asked again", async () => {
    let open = false;
    const server = await smtpReceiver({
      rcpt: (address) => (open ? undefined : `550 no ${address}`),
    });
    const channel = mailTo(server, {}, { to: ["a@example.org", "b@example.org"] });
    expect(await send(channel)).toEqual({
      ok: false,
      because:
        "127.0.0.1 refuses a@example.org: 550 no a@example.org; " +
        "127.0.0.1 refuses b@example.org: 550 no b@example.org",
    });
    open = true;
    expect((await send(channel)).ok).toBe(true);
  });

  it("that refuses the mail is told with what it said, on one line", async () => {
    const server = await smtpReceiver({ data: () => "554 5.7.1 spam said\tthe filter" });
    expect(becauseOf(await send(mailTo(server)))).toBe(
      "127.0.0.1 refuses the mail: 554 5.7.1 spam said the filter",
    );
  });

  it("is told that no more comes, when it has taken a mail", async () => {
    const said: string[] = [];
    let ended: (() => void) | undefined;
    const port = await rawServer((socket) => {
      socket.write("220 hello\r\n");
      let isMail = false;
      const lines = createInterface({ input: socket });
      lines.on("line", (line) => {
        if (isMail && line !== ".") return;
        if (!isMail) said.push(line.split(" ")[0]!);
        const was = isMail;
        isMail = line === "DATA";
        socket.write(isMail ? "354 go on\r\n" : `250 ${was ? "taken" : "well"}\r\n`);
      });
      lines.on("close", () => ended?.());
    });
    const end = new Promise<void>((resolve) => (ended = resolve));
    expect(await send(mailTo({ port }))).toEqual({ ok: true, answer: "250 taken" });
    await end;
    expect(said).toEqual(["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]);
  });

  it("that takes a mail and closes before it says so gets the same mail again", async () => {
    let drop = true;
    const taken: string[] = [];
    const server = await smtpReceiver({
      data: ({ mail }) => {
        taken.push(mail.messageId!);
        if (drop) for (const { _socket } of connectionsOf(server)) _socket.destroy();
        return undefined;
      },
    });
    const channel = mailTo(server);
    expect(becauseOf(await send(channel))).toMatch(/^127\.0\.0\.1 closed the connection/);
    drop = false;
    expect((await send(channel)).ok).toBe(true);
    expect(taken).toHaveLength(2);
    expect(new Set(taken).size).toBe(1);
  });

  it.each([
    ["never greets", (): void => undefined],
    ["greets and says no more", (socket: Socket) => socket.write("220 hello\r\n")],
    ["trickles a greeting", trickle],
  ])("that %s ends a try with its time", async (_, talk) => {
    const port = await rawServer(talk);
    const started = Date.now();
    const sent = await send(mailTo({ port }, {}, { timeout: "300ms" }));
    expect(becauseOf(sent)).toBe("127.0.0.1 does not answer (300ms)");
    expect(Date.now() - started).toBeLessThan(3_000);
  });

  it("that is not there, or speaks something else, is told", async () => {
    const closed = await rawServer((socket) => socket.destroy());
    expect(becauseOf(await send(mailTo({ port: closed })))).toMatch(/closed the connection/);
    const web = await rawServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    expect(becauseOf(await send(mailTo({ port: web })))).toMatch(/^127\.0\.0\.1 .*HTTP\/1\.1 400/);
    const plain = await smtpReceiver();
    expect(becauseOf(await send(mailTo(plain, { tls: "implicit" })))).toMatch(/TLS/);
    const sent = await send(mailTo({ port: await freePort() }));
    expect(becauseOf(sent)).toBe("127.0.0.1 refuses connections");
  });

  it("does not hold up the end of the program", async () => {
    const port = await rawServer(() => undefined);
    const end = new AbortController();
    const sending = send(mailTo({ port }), message(), end.signal);
    setTimeout(() => end.abort(), 50);
    expect((await sending).ok).toBe(false);
    expect((await send(mailTo({ port }), message(), AbortSignal.abort())).ok).toBe(false);
  });
});

/** The server's open connections. */
function connectionsOf({ server }: SmtpReceiver): Iterable<{ readonly _socket: Socket }> {
  return (server as unknown as { connections: Set<{ _socket: Socket }> }).connections;
}

function trickle(socket: Socket): void {
  const timer = setInterval(() => socket.write("220-wait\r\n"), 20);
  socket.on("close", () => clearInterval(timer));
}

/** A server that speaks as the test says, and ends with it. */
async function rawServer(talk: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    talk(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}
