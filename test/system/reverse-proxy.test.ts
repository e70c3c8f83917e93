/** The recipes of docs/reverse-proxy.md, as they stand there, before a real page. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { freePort } from "../support/free-port.ts";
import { untilServes } from "../support/supervised-page.ts";
import { projectRoot, tempRoot, type TempRoot } from "../support/temp-root.ts";

const SOCKET = "/run/orchd-page/page.sock";
const PASSWORD = "open sesame";
/** The password's bcrypt with the least work; `caddy hash-password` takes a second for each. */
const HASH = "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy";
const HOST = "ops.example.org";
const PATH = `${process.env["PATH"]}:/usr/sbin`;

/** The recipe for a proxy, with this test's socket in it. */
function recipe(name: string, socket: string): string {
  const text = readFileSync(join(projectRoot, "docs/reverse-proxy.md"), "utf8");
  const [, block] = new RegExp(`<!-- recipe: ${name} -->\\s+\`\`\`\\w+\n([^]*?)\`\`\``).exec(text)!;
  expect(block).toContain(SOCKET);
  return block!.replaceAll(SOCKET, socket);
}

/** What a proxy is started by: its words, and the files that it reads. */
type Setup = (folder: string, socket: string, port: number) => readonly string[];

const nginx: Setup = (folder, socket, port) => {
  const passwords = join(folder, "htpasswd");
  writeFileSync(passwords, `alice:{PLAIN}${PASSWORD}\n`);
  const block = recipe("nginx", socket).replace("/etc/nginx/orchd.htpasswd", passwords);
  const user = process.getuid!() === 0 ? "user root;\n" : "";
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join("\n");
  writeFileSync(
    join(folder, "nginx.conf"),
    `${user}daemon off;\nmaster_process off;\npid ${folder}/nginx.pid;\nevents {}\n` +
      `error_log stderr;\nhttp {\naccess_log off;\n${temporary}\n` +
      `server { listen 127.0.0.1:${port};\n${block}\n}\n}\n`,
  );
  return ["nginx", "-p", folder, "-c", join(folder, "nginx.conf")];
};

const caddy: Setup = (folder, socket, port) => {
  const block = recipe("caddy", socket)
    .replace(HOST, `http://:${port}`)
    .replace("HASH", () => HASH);
  const global = "{\n\tadmin off\n\tauto_https off\n}\n";
  writeFileSync(join(folder, "Caddyfile"), global + block);
  return ["caddy", "run", "--adapter", "caddyfile", "--config", join(folder, "Caddyfile")];
};

interface Proxied {
  readonly root: TempRoot;
  ask(path: string, more?: Asked): Promise<{ readonly status: number; readonly text: string }>;
  /** The answer once its headers are there. */
  open(path: string, more?: Asked): Promise<IncomingMessage>;
}

interface Asked {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly password?: string;
}

async function proxied(setup: Setup): Promise<Proxied> {
  const root = tempRoot({
    "schedules/quick.yaml": 'steps: { s: { run: "true" } }\n',
    "orchd.yaml":
      'page: { listen: "unix:page.sock", requests: true, trustProxy: true, base: /orchd }\n',
  });
  const socket = join(root.root, "page.sock");
  await startDaemon({ root: root.root });
  await untilServes("http://localhost/", () => 0, socket);
  const folder = join(root.root, "proxy");
  mkdirSync(folder);
  const port = await freePort();
  const [program, ...words] = setup(folder, socket, port);
  const proxy = spawn(program!, words, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
  });
  let said = "";
  for (const stream of [proxy.stdout, proxy.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  onTestFinished(() => void proxy.kill("SIGKILL"));
  const open: Proxied["open"] = (path, { method = "GET", body, headers, password } = {}) =>
    new Promise((resolve, reject) => {
      const basic = Buffer.from(`alice:${password ?? PASSWORD}`).toString("base64");
      request({
        host: "127.0.0.1",
        port,
        path,
        method,
        agent: false,
        headers: { host: HOST, authorization: `Basic ${basic}`, ...headers },
      })
        .on("response", resolve)
        .on("error", reject)
        .end(body);
    });
  const ask: Proxied["ask"] = async (path, more) => {
    const response = await open(path, more);
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    return { status: response.statusCode!, text };
  };
  const health = async (): Promise<number> => {
    try {
      return (await ask("/orchd/healthz")).status;
    } catch {
      return 0;
    }
  };
  await vi.waitFor(async () => expect(await health(), said).toBe(200), {
    timeout: 15_000,
    interval: 50,
  });
  return { root, ask, open };
}

const JSON_BODY = { "content-type": "application/json" };
const SUBMIT = '{"type":"submit","pipeline":"quick"}';

/** Debian keeps nginx where only root looks. */
const isThere = (name: string): boolean =>
  spawnSync("sh", ["-c", `command -v ${name}`], { env: { PATH } }).status === 0;

describe.each([
  ["nginx", nginx],
  ["caddy", caddy],
])("behind %s", (name, setup) => {
  it.runIf(isThere(name))(
    "the page answers below its path, and its stream comes line by line",
    async () => {
      const { ask, open } = await proxied(setup);
      expect((await ask("/orchd/", { password: "wrong" })).status).toBe(401);
      expect((await ask("/orchd")).status).toBeGreaterThanOrEqual(301);
      const app = await ask("/orchd/");
      expect([app.status, app.text]).toEqual([
        200,
        expect.stringMatching(/<base href="\/orchd\/"/),
      ]);
      const status = await ask("/orchd/api/v1/status");
      expect(status.status).toBe(200);
      expect(JSON.parse(status.text)).toMatchObject({ pipelines: [{ name: "quick" }] });

      const stream = await open("/orchd/api/v1/events");
      expect(stream.statusCode).toBe(200);
      let heard = "";
      stream.setEncoding("utf8").on("data", (text: string) => (heard += text));
      stream.on("error", () => {});
      onTestFinished(() => void stream.destroy());
      const foreign = { ...JSON_BODY, origin: "https://evil.example" };
      const post = { method: "POST", body: SUBMIT };
      expect((await ask("/orchd/api/v1/requests", { ...post, headers: foreign })).status).toBe(403);
      const own = { ...JSON_BODY, origin: `https://${HOST}` };
      const asked = await ask("/orchd/api/v1/requests", { ...post, headers: own });
      expect(asked.status, asked.text).toBe(202);
      const from = Date.now();
      await vi.waitFor(() => expect(heard).toMatch(/^data: .*"type":"run\.finished"/m), {
        timeout: 10_000,
        interval: 10,
      });
      expect(Date.now() - from).toBeLessThan(10_000);
    },
  );
});
