/**
 * Clients that mean a page no good: event streams that nobody reads from, clients that send a byte
 * a second, and as many questions and requests as the page answers. Arguments: the page's address,
 * an operate token, how many streams, how many slow clients, how many floods. It prints a line once
 * all are at work, and at SIGTERM what was answered, as JSON.
 */
import { Agent, request, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const [address = "", token = "", streams = "", slow = "", floods = ""] = process.argv.slice(2);
const { hostname, port } = new URL(address);
const authorization = `Bearer ${token}`;
const agent = new Agent({ keepAlive: true });
const answers: Record<string, number> = {};
let asked = 0;

// Clients are elsewhere: what they compute must not take the processor from what is measured.
setPriority(15);

function ask(method: string, path: string, body?: string): Promise<IncomingMessage> {
  const headers = {
    authorization,
    ...(body === undefined ? {} : { "content-type": "application/json" }),
  };
  return new Promise((resolve, reject) => {
    request(new URL(path, address), {
      method,
      headers,
      agent: path.includes("events") ? false : agent,
    })
      .on("response", resolve)
      .on("error", reject)
      .end(body);
  });
}

async function stream(): Promise<void> {
  const response = await ask("GET", "/api/v1/events");
  if (response.statusCode !== 200)
    throw new Error(`a stream is answered with ${response.statusCode}`);
  // Nobody reads it: what the page sends stays in the kernel, and then in the page.
  response.on("error", () => {}).pause();
}

function slowClient(): void {
  const socket = connect(Number(port), hostname);
  const endless = "X-Slow: yes\r\n".repeat(200);
  const text = `GET /api/v1/status HTTP/1.1\r\nHost: ${hostname}\r\n${endless}`;
  let at = 0;
  const timer = setInterval(() => socket.write(text[at++ % text.length]!), 1_000);
  socket
    .on("error", () => {})
    .on("close", () => {
      clearInterval(timer);
      setTimeout(slowClient, 100).unref();
    });
}

const KINDS: readonly (() => Promise<IncomingMessage>)[] = [
  () => ask("GET", "/api/v1/status"),
  () => ask("GET", "/api/v1/overview"),
  () => ask("GET", "/api/v1/runs"),
  () =>
    ask("POST", "/api/v1/requests", '{"type":"stop","run":"nope@20260101T000000Z","mode":"force"}'),
  () => ask("POST", "/api/v1/requests", '{"type":"submit","pipeline":"not-there"}'),
];

async function flood(): Promise<never> {
  for (;;) {
    try {
      const response = await KINDS[asked++ % KINDS.length]!();
      answers[response.statusCode!] = (answers[response.statusCode!] ?? 0) + 1;
      await response.resume().toArray();
    } catch (error) {
      const code = String((error as NodeJS.ErrnoException).code);
      answers[code] = (answers[code] ?? 0) + 1;
      await sleep(10);
    }
  }
}

for (let number = 0; number < Number(streams); number += 1) await stream();
for (let number = 0; number < Number(slow); number += 1) slowClient();
for (let number = 0; number < Number(floods); number += 1) void flood();
process.on("SIGTERM", () => {
  process.stdout.write(`${JSON.stringify(answers)}\n`, () => process.exit(0));
});
process.stdout.write("at work\n");
