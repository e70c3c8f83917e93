/**
 * A registry of images that wants a login: Debian's docker-registry, on a port and in a folder of
 * the test. Where the program is missing, the tests fail and say so in one line.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { freePort } from "./free-port.ts";
import { tempRoot } from "./temp-root.ts";
import { TEST_IMAGE, type TestEngine } from "./test-engine.ts";

/** Its one login, `USER:PASSWORD`. */
export const REGISTRY_LOGIN = "me:right-word";
const HTPASSWD = "me:$2y$05$ZKjSYVyDHWEVgmjHRPnk4Oo6xTABOYiR1ClmcHxJk.gWxKFOGFEXi\n";

/** A registry that runs. */
export interface Registry {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** Puts {@link TEST_IMAGE} there, under a name. @returns the name with the registry's */
  push(engine: TestEngine, name: string): string;
  close(): Promise<void>;
}

/** Starts one, and lets podman talk to it without TLS. @throws Error, one line */
export async function startRegistry(): Promise<Registry> {
  const { root } = tempRoot();
  const host = `127.0.0.1:${await freePort()}`;
  writeFileSync(join(root, "htpasswd"), HTPASSWD);
  writeFileSync(join(root, "config.yml"), configOf(root, host));
  const insecure = `[[registry]]\nlocation = "127.0.0.1"\ninsecure = true\n`;
  writeFileSync(join(root, "registries.conf"), insecure);
  process.env["CONTAINERS_REGISTRIES_CONF"] = join(root, "registries.conf");
  const program = spawn("docker-registry", ["serve", join(root, "config.yml")], {
    stdio: "ignore",
  });
  const failed = new Promise<never>((_, reject) =>
    program.once("error", () =>
      reject(new Error("there is no docker-registry: install it, or skip these tests")),
    ),
  );
  const ended = new Promise<void>((resolve) => program.once("exit", () => resolve()));
  await Promise.race([failed, answers(host)]);
  return {
    host,
    push(engine, name) {
      const image = `${host}/${name}`;
      engine.run("tag", TEST_IMAGE, image);
      const text = JSON.stringify({
        auths: { [host]: { auth: Buffer.from(REGISTRY_LOGIN).toString("base64") } },
      });
      writeFileSync(join(root, "config.json"), text);
      const words =
        engine.name === "docker"
          ? [`--config=${root}`, "push", image]
          : ["push", `--authfile=${join(root, "config.json")}`, image];
      const { status, stderr } = engine.run(...words);
      if (status !== 0) throw new Error(`the image cannot be pushed: ${stderr}`);
      engine.run("rmi", image);
      return image;
    },
    async close() {
      delete process.env["CONTAINERS_REGISTRIES_CONF"];
      program.kill("SIGKILL");
      await ended;
    },
  };
}

async function answers(host: string): Promise<void> {
  for (;;) {
    const { status } = await fetch(`http://${host}/v2/`).catch(() => ({ status: 0 }));
    if (status === 401) return;
    await wait(50);
  }
}

function configOf(root: string, host: string): string {
  return [
    "version: 0.1",
    "log: { level: error, accesslog: { disabled: true } }",
    `storage: { filesystem: { rootdirectory: ${join(root, "data")} } }`,
    `http: { addr: "${host}" }`,
    `auth: { htpasswd: { realm: test, path: ${join(root, "htpasswd")} } }`,
    "",
  ].join("\n");
}
