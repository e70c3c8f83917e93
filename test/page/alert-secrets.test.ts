/**
 * Promise 48: the value of a secret is nowhere beyond the process that needs it: not in what people
 * are told, not in `notify.jsonl`, not on the page, and in no program's words.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, orchdProgram, startDaemon } from "../support/daemon.ts";
import { reached } from "../support/figures.ts";
import { smtpReceiver } from "../support/smtp-receiver.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";
import { pageRig } from "./page-rig.ts";

/** The secret of a step, and those of channels. */
const SECRETS = {
  token: 'st3p-c4n4ry/"quoted"',
  password: "sm7p-c4n4ry-of-the-mail-server",
  sign: "s1gn-c4n4ry-of-the-webhook",
  header: "h34der-c4n4ry-of-the-webhook",
  url: "https://chat.example.org/T0000/B0000/ur1-c4n4ry-of-the-chat",
  command: "c0mm4nd-c4n4ry",
};
type Name = keyof typeof SECRETS;

/** How a value may look where it must not be. */
const formsOf = (name: Name): string[] => {
  const value = name === "url" ? SECRETS.url.slice(-23) : SECRETS[name];
  return [
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value),
    Buffer.from(value).toString("hex"),
    Buffer.from(value).toString("base64").slice(0, -4),
  ];
};
const NAMES = Object.keys(SECRETS) as Name[];

const pipelineOver = (folder: string): string => `
name: leaky
env: { TOKEN: { secret: token } }
params: { key: { secret: token } }
steps:
  leak:
    run: |
      printf 'it is %s\\n' "$TOKEN"
      cat "$ORCHD_PARAMS"; echo
      printf %s "$TOKEN" | base64
      cat ${folder}/*
      echo; printf 'bad token: %s\\n' "$TOKEN" >&2
      exit 3
`;
const TELL = `#!/bin/sh
cat > told.json
for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < "$f" 2>/dev/null; echo; done > words.txt
test -n "$TOKEN"
`;

it(
  "no secret is in what is told, recorded, shown or in a program's words",
  { timeout: 120_000 },
  async () => {
    const folder = join(tempRoot().root, "secrets");
    const root = tempRoot({ "schedules/leaky.yaml": pipelineOver(folder), "tell.sh": TELL });
    mkdirSync(folder, { mode: 0o700 });
    for (const name of NAMES) writeFileSync(join(folder, name), `${SECRETS[name]}\n`);
    const mails = await smtpReceiver({
      options: {
        allowInsecureAuth: true,
        onAuth: (_auth, _session, done) => done(null, { user: "orchd" }),
      },
    });
    const hook = await receiver(200);
    const echo = await receiver(500);
    const env = { CREDENTIALS_DIRECTORY: folder };
    const daemon = await startDaemon({ root: root.root, env });
    // The daemon has read its settings: the program of the test tells people.
    root.write("orchd.yaml", settingsOf(mails.port, hook.port, echo.port));
    const program = await tellPeople(root, env);
    const asked = await orchd(root.root, "run", "leaky", "--wait", { env });
    expect(asked.status).toBe(1);
    const told = (): string[] =>
      linesOf(join(root.runs, ".orchd/notify.jsonl")).map(({ type }) => type);
    await awaitSight(
      root.runs,
      () => {
        const types = told();
        const sent = types.filter((type) => type === "notify.sent").length;
        return sent >= 3 && types.includes("notify.failed") ? true : undefined;
      },
      () => `${told().join(" ")} ${program.said()}`,
    );
    const tried = await orchd(root.root, "notify", "--test", "echo", { env });
    expect(tried.status).toBe(1);
    const alerts = await orchd(root.root, "alerts", "--json", { env });
    const { run } = linesOf(join(root.runs, "leaky/pipeline.jsonl")).find(
      ({ run: id }) => typeof id === "string",
    ) as unknown as { run: string };
    const replay = await orchd(root.root, "notify", "--replay", run, "--dry-run", { env });
    expect(replay.stdout).toContain("leaky failed");
    const traced = ["export", "otlp", "--from", "start", "--once", "--stdout"];
    const traces = await orchd(root.root, ...traced, { env });
    expect(traces.stdout).toContain("resourceSpans");
    const { ask } = await pageRig({ now: () => Date.now() }, root);
    const pages = [];
    const paths = ["pipelines/leaky", `runs/${run}`, `runs/${run}/ledger`];
    for (const path of ["alerts", "status", "runs", ...paths]) {
      const { status, text } = await ask(`/api/v1/${path}`);
      expect(status, path).toBe(200);
      pages.push(text);
    }
    pages.push((await ask("/metrics")).text);
    const mail = mails.mails[0]!;
    expect(mail.mail.text).toContain("it is ***");
    // The step printed the channels' secrets, which are none of its own: its log has them.
    const log = readdirSync(root.runs, { recursive: true, encoding: "utf8" }).find((name) =>
      name.endsWith(".log"),
    )!;
    expect(readFileSync(join(root.runs, log), "utf8")).toContain(SECRETS.password);
    const places: Record<string, string> = {
      "the mail": `${mail.raw}\n${mail.mail.text}`,
      "the webhook's body": hook.bodies.join("\n"),
      "the command's stdin": readFileSync(join(root.root, "told.json"), "utf8"),
      "what a channel that failed was sent": echo.bodies.join("\n"),
      "all programs' words": readFileSync(join(root.root, "words.txt"), "utf8"),
      "notify.jsonl": textOf(join(root.runs, ".orchd")),
      "what orchd notify prints": program.said() + tried.stdout + tried.stderr,
      "orchd alerts": alerts.stdout,
      "a replay": replay.stdout,
      "the traces": traces.stdout + traces.stderr,
      "the page": pages.join("\n"),
      "the daemon's log": daemon.stderr(),
      "the ledgers": ledgersOf(root),
    };
    expect(places["all programs' words"]).toContain("tell.sh");
    expect(places["what orchd notify prints"]).toContain("***");
    let clean = 0;
    for (const [place, text] of Object.entries(places))
      for (const name of NAMES) {
        const found = formsOf(name).find((form) => text.includes(form));
        expect(found, `${name} in ${place}`).toBeUndefined();
        clean += 1;
      }
    reached(
      48,
      "secrets by places of alerts and the page",
      clean,
      Object.keys(places).length * NAMES.length,
    );
    await daemon.end();
  },
);

const settingsOf = (smtp: number, hook: number, echo: number): string => `
notify:
  channels:
    mail:
      kind: mail
      to: [ops@example.org]
      smtp:
        { host: 127.0.0.1, port: ${smtp}, tls: none, user: orchd, password: { secret: password } }
    hook:
      kind: webhook
      url: http://127.0.0.1:${hook}/in
      sign: { secret: sign }
      headers: { Authorization: { secret: header } }
    echo:
      kind: webhook
      url: http://127.0.0.1:${echo}/in
      headers: { X-Token: { secret: header }, X-Key: { secret: sign } }
    own: { kind: command, run: [sh, tell.sh], env: { TOKEN: { secret: command } } }
    chat: { kind: slack, url: { secret: url } }
  rules:
    - { on: [failed, recovered], to: [mail, hook, echo, own] }
`;

/** Starts `orchd notify`, and waits until it reads. */
async function tellPeople(
  root: TempRoot,
  env: Record<string, string>,
): Promise<{ said: () => string }> {
  const child = spawn(process.execPath, [orchdProgram, "notify"], {
    cwd: root.root,
    env: { ...process.env, ORCHD_ROOT: root.root, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  const ended = new Promise((resolve) => child.on("exit", resolve));
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  await awaitSight(
    root.root,
    () => (said.includes("notify: ") ? true : undefined),
    () => said,
  );
  return { said: () => said };
}

interface Receiver {
  readonly port: number;
  readonly bodies: readonly string[];
}

/** Takes what is posted; with a fault it answers with all that it was sent, headers too. */
async function receiver(status: number): Promise<Receiver> {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (text: Buffer) => (body += String(text)));
    request.on("end", () => {
      bodies.push(body);
      response.writeHead(status, { "Content-Type": "text/plain" });
      response.end(status === 200 ? "" : quoted(request.headers));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, bodies };
}

const quoted = (headers: IncomingHttpHeaders): string =>
  `no ${String(headers["x-token"])} and ${String(headers["x-key"])}`;

/** The texts of all files below a folder. */
function textOf(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, "utf8"))
    .join("\n");
}

/** Ledgers alone: the log has what the step read from files that are none of its secrets. */
function ledgersOf({ runs }: TempRoot): string {
  return readdirSync(runs, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".jsonl"))
    .map((name) => readFileSync(join(runs, name), "utf8"))
    .join("\n");
}
