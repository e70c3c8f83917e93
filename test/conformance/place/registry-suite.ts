/** Images of a registry that wants a login: pulled, and refused with a sentence each. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { systemClock, type Clock } from "../../../src/clock.ts";
import type { ImageContainer } from "../../../src/core/container.ts";
import type { TaskResult } from "../../../src/core/task.ts";
import { SILENT_MS } from "../../../src/places/container/image-pull.ts";
import { containerShell, openContainers, PLAIN_CONTAINER } from "../../support/container-place.ts";
import { freePort } from "../../support/free-port.ts";
import { REGISTRY_LOGIN, startRegistry, type Registry } from "../../support/registry.ts";
import { TEST_IMAGE, type TestEngine } from "../../support/test-engine.ts";

interface Ran {
  readonly result: TaskResult;
  readonly lines: readonly string[];
  readonly root: string;
}

/** A clock that says at once that a registry has been silent for too long. */
const impatient: Clock = {
  ...systemClock,
  after: (ms, callback) => systemClock.after(ms === SILENT_MS ? 500 : ms, callback),
};

/** Holds an engine to all of it. @param brief to some of it, which takes seconds */
export function describeRegistry(engine: TestEngine, brief = false): void {
  let registry: Registry;
  let image = "";
  beforeAll(async () => {
    registry = await startRegistry();
    image = registry.push(engine, "tool:1");
  });
  afterAll(() => registry.close());

  async function ran(
    container: Partial<ImageContainer>,
    auth?: string,
    clock = systemClock,
  ): Promise<Ran> {
    // Handlers of a test's end are called last to first.
    onTestFinished(() => void engine.run("rmi", "--force", image));
    const { place, root } = openContainers(engine, 2, undefined, clock);
    const secrets = auth === undefined ? {} : { registryAuth: auth, secrets: [auth] };
    const task = containerShell("echo inside", {
      ...secrets,
      container: {
        ...PLAIN_CONTAINER,
        image,
        pull: "missing",
        ...(auth === undefined ? {} : { auth: { secret: "registry" } }),
        ...container,
      },
    });
    const lines: string[] = [];
    const result = await new Promise<TaskResult>((resolve) =>
      place.start("suite@1#2", task, {
        done: resolve,
        output: (more) => lines.push(...more.map(({ line }) => line)),
        died: () => undefined,
      }),
    );
    return { result, lines, root };
  }

  const sentence = ({ result }: Ran): string => (result.ok ? "" : result.error.message);
  /** A port that nothing listens at. */
  const nobody = async (): Promise<string> => `127.0.0.1:${await freePort()}/tool:1`;

  describe(`a registry that wants a login, with ${engine.name}`, () => {
    it("gives the image for the right password, and the log tells of the pull", async () => {
      const { result, lines, root } = await ran({}, REGISTRY_LOGIN);
      expect(result).toEqual({ ok: true, value: null });
      expect(lines[0]).toBe(`[orchd: ${engine.name} pulls the image ${image}]`);
      expect(lines.slice(1, -2).join()).toMatch(/Copying blob|Pulling from/);
      expect(lines.slice(-2)).toEqual([`[orchd: the image ${image} is pulled]`, "inside"]);
      // Nothing of the password is left, in whatever form.
      const [, word = ""] = REGISTRY_LOGIN.split(":");
      const encoded = Buffer.from(REGISTRY_LOGIN).toString("base64");
      const memory = existsSync("/dev/shm") ? ["/dev/shm"] : [];
      const left = execFileSync("sh", [
        "-c",
        'grep -rlE "$1" "$2" $3 2>/dev/null || true',
        "sh",
        `${word}|${encoded}`,
        root,
        ...memory.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name))),
      ]);
      expect(String(left)).toBe("");
      expect(lines.join()).not.toMatch(new RegExp(word));
    });

    it("refuses a wrong password, and none: one sentence each", async () => {
      const wrong = await ran({}, "me:wrong-word");
      expect(sentence(wrong)).toMatch(
        /^the image .+ cannot be pulled: .+ refuses the credentials of the secret "registry" \(c/,
      );
      expect(JSON.stringify(wrong)).not.toContain("wrong-word");
      expect(sentence(await ran({}))).toMatch(
        /wants a login, or has no such image: give it one by/,
      );
    });

    if (brief) return;

    it("has no such image, or does not answer: one sentence each", async () => {
      const unknown = await ran({ image: `${registry.host}/none:1` }, REGISTRY_LOGIN);
      expect(unknown.result).toMatchObject({ error: { code: "ORCHD_CONTAINER" } });
      expect(sentence(unknown)).toMatch(/has no such image: check its name and tag$/);
      const silent = await ran({ image: await nobody() });
      expect(sentence(silent)).toMatch(/cannot be pulled: .+ is 127\.0\.0\.1:\d+ up, and is its n/);
    });

    it("takes connections and says nothing: it is given up", async () => {
      const server = createServer((socket) => socket.on("error", () => undefined));
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      onTestFinished(() => void server.close());
      const { port } = server.address() as { port: number };
      const given = await ran({ image: `127.0.0.1:${port}/tool:1` }, undefined, impatient);
      expect(sentence(given)).toMatch(
        /its registry 127\.0\.0\.1:\d+ did not answer within 60 s: i/,
      );
    });

    it("has the image for another platform alone: one sentence", async () => {
      const there = { image: TEST_IMAGE, platform: "linux/arm64", pull: "never" } as const;
      const pulled = { platform: "linux/arm64" };
      for (const given of [await ran(there), await ran(pulled, REGISTRY_LOGIN)])
        expect(sentence(given)).toMatch(/ is for linux\/amd64 alone, and container.platform is li/);
    });

    it("has an image for another processor, or without a shell: one sentence", async () => {
      const other = `localhost/orchd-other:${process.pid}`;
      const folder = mkdtempSync(join(tmpdir(), "orchd-other-"));
      // The header of a program for another machine.
      const make =
        'mkdir bin; { head -c 18 "$0"; printf "\\267\\0"; tail -c +21 "$0"; } > bin/sh; ' +
        `chmod 755 bin/sh; tar -c . | ${engine.name} import - ${other}`;
      execFileSync("sh", ["-c", make, process.execPath], { cwd: folder, stdio: "ignore" });
      rmSync(folder, { recursive: true });
      onTestFinished(() => void engine.run("rmi", "--force", other));
      const given = await ran({ image: other, pull: "never" });
      expect(sentence(given)).toMatch(/is for another kind of processor than this machine has/);
      const none = await ran({ image: TEST_IMAGE, pull: "never", entrypoint: ["/bin/nope"] });
      expect(sentence(none)).toMatch(/^the image .+ has no \/bin\/nope: name another one by shell/);
    });
  });
}
