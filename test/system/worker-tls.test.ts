/** TLS, an authority of one's own and credentials, through `orchd worker` and a real daemon. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { Authority } from "../support/certificates.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { fullFigures } from "../support/figures.ts";
import { NatsServer, SKIP_NATS } from "../support/nats-server.ts";
import { RedisServer, SKIP_REDIS } from "../support/redis-server.ts";
import { tempRoot } from "../support/temp-root.ts";
import { secretsFolder, WorkerProcess } from "../support/worker.ts";

/** What a server is started with. */
interface Keys {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

const ENGINES = [
  {
    engine: "nats",
    scheme: "tls",
    isSkipped: SKIP_NATS,
    start: ({ cert, key }: Keys) =>
      NatsServer.start(
        `tls { cert_file: "${cert}", key_file: "${key}" }\n` +
          "authorization { users: [{ user: a, password: right }] }",
      ),
  },
  {
    engine: "redis",
    scheme: "rediss",
    isSkipped: SKIP_REDIS || !fullFigures,
    start: ({ cert, key, ca }: Keys) =>
      RedisServer.start(
        `port 0\ntls-port PORT\ntls-cert-file ${cert}\ntls-key-file ${key}\n` +
          `tls-ca-cert-file ${ca}\ntls-auth-clients no\n` +
          "user default off\nuser a on >right ~* &* +@all",
      ),
  },
] as const;

describe.each(ENGINES)("over TLS, on $engine,", ({ engine, scheme, isSkipped, start }) => {
  it.skipIf(isSkipped)(
    "what is wrong is a sentence at the worker, at the daemon and in `orchd places`",
    { timeout: 90_000 },
    async () => {
      const [authority, other] = [new Authority(), new Authority()];
      onTestFinished(() => [authority, other].forEach((one) => one.remove()));
      const { root } = tempRoot();
      const { cert, key } = authority.sign(["IP:127.0.0.1"]);
      const paths = { cert: join(root, "s.pem"), key: join(root, "s.key"), ca: authority.file };
      writeFileSync(paths.cert, cert);
      writeFileSync(paths.key, key);
      const server = await start(paths);
      onTestFinished(() => server.remove());
      const place = (ca: string): string =>
        `{ engine: ${engine}, url: "${scheme}://127.0.0.1:${server.port}", ` +
        `tls: { ca: ${ca} }, credentials: { secret: login }, key: { secret: queue.key } }`;
      const login = { login: "a:right" };

      const good = tempRoot({ "orchd.yaml": `places: { farm: ${place(authority.file)} }\n` });
      const bad = tempRoot({ "orchd.yaml": `places: { farm: ${place(other.file)} }\n` });
      const env = { CREDENTIALS_DIRECTORY: secretsFolder(login) };
      const [daemon, deaf] = await Promise.all(
        [good, bad].map((each) => startDaemon({ root: each.root, env })),
      );
      const at = (ca: string, name: string, secrets: Record<string, string> = login) =>
        new WorkerProcess({ place: place(ca), name, secrets });
      const stranger = at(other.file, "w2");
      const guest = at(authority.file, "w3", { login: "a:wrong-word" });
      await at(authority.file, "w1").serves();

      const places = async (of: string): Promise<string> => (await orchd(of, "places")).stdout;
      await expect.poll(() => places(good.root), { timeout: 20_000 }).toContain("w1");
      const untrusted = /does not answer: .*(?:certificate|issuer)/i;
      await expect.poll(() => stranger.stderr, { timeout: 20_000 }).toMatch(untrusted);
      await expect
        .poll(() => guest.stderr, { timeout: 20_000 })
        .toContain("refuses the credentials");
      expect(guest.stderr).not.toContain("wrong-word");
      await expect.poll(() => places(bad.root), { timeout: 20_000 }).toMatch(untrusted);
      expect(deaf!.stderr()).toMatch(untrusted);
      expect(daemon!.stderr()).not.toMatch(/does not answer/);
    },
  );
});
