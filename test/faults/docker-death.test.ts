/**
 * dockerd is killed while steps run in its containers, and is back a moment later. An attempt ends
 * once: by its own result where its container has ended, or goes on, and otherwise as one whose
 * machine was lost, which is no step's fault. It comes with FAULTS=1: it takes a minute.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { ContainerSpec } from "../../src/core/container.ts";
import type { ModuleTask } from "../../src/core/task.ts";
import {
  begin,
  containerShell,
  openContainers,
  PLAIN_CONTAINER,
  type Hearing,
} from "../support/container-place.ts";
import { DOCKER, SKIP_DOCKER, startDocker, type Dockerd } from "../support/docker.ts";
import { fullFigures, reachedByTests } from "../support/figures.ts";
import { NODE_IMAGE, TEST_IMAGE } from "../support/test-engine.ts";

const AWAY = "[orchd: docker did not answer: what was printed meanwhile may be missing]";
const NAME = "orchd-docker-death";

let count = 1;

/**
 * Has dockerd take 2 s for each file that it renames, and so for noting that a container runs.
 *
 * @returns what resolves when dockerd is gone
 */
async function slowNotes(pid: number): Promise<{ readonly gone: Promise<unknown> }> {
  const calls = "rename,renameat,renameat2";
  const words = ["-f", "-o", "/dev/null", "-e", `trace=${calls}`];
  const tracer = spawn("strace", [
    ...words,
    `--inject=${calls}:delay_enter=2000000`,
    `--attach=${pid}`,
  ]);
  const gone = once(tracer, "exit");
  await once(tracer.stderr, "data");
  return { gone };
}

describe.skipIf(SKIP_DOCKER || !fullFigures).each([false, true])(
  "dockerd is killed (live-restore: %s)",
  (isRestored) => {
    let dockerd: Dockerd;
    beforeAll(async () => {
      dockerd = await startDocker({ "live-restore": isRestored });
      DOCKER.makeNodeImage();
    });
    beforeEach(() => (dockerd.isUp ? undefined : dockerd.start()));
    afterAll(() => dockerd.close());
    reachedByTests(46, `dockerd is killed, live-restore ${isRestored}`);

    function asked(
      text: string,
      container: ContainerSpec,
      { place, root } = openContainers(DOCKER, 2),
    ): Hearing {
      const id = `suite@1#${(count += 1)}`;
      writeFileSync(join(root, "bundles/m.mjs"), `export default async ({ log }) => { ${text} };`);
      const shell = containerShell(text, { container });
      if (container.image !== NODE_IMAGE) return begin(place, id, shell);
      const code = { bundle: "m", pick: "export:default", source: "./m.ts" };
      const { text: _text, shell: _shell, cwd: _cwd, ...common } = shell;
      const task: ModuleTask = { ...common, kind: "module", code, isolated: false, container };
      return begin(place, id, task);
    }

    async function dies(forMs: number): Promise<void> {
      await dockerd.end("SIGKILL");
      await wait(forMs);
      await dockerd.start();
    }

    const LOST = { blameless: "lost", because: expect.stringMatching(/docker/) as string };

    it("a shell step that ends meanwhile has its own result, and a line in the log", async () => {
      const text =
        'for i in 1 2 3 4 5 6; do echo "line $i"; sleep 0.6; done; echo 5 > "$ORCHD_OUTPUT"';
      const { begun, ended } = asked(text, PLAIN_CONTAINER);
      await begun;
      // Its line may be heard before dockerd has noted that the container runs.
      await wait(1_000);
      await dies(5_000);
      const { result, lines } = await ended;
      expect(result).toEqual({ ok: true, value: 5 });
      // What is printed while no dockerd is there it does not keep, and the log says so.
      const said = lines.map(({ line }) => line);
      const printed = said.filter((line) => line.startsWith("line"));
      expect(printed).toEqual([1, 2, 3, 4, 5, 6].slice(0, printed.length).map((i) => `line ${i}`));
      expect(said.filter((line) => !line.startsWith("line"))).toEqual([AWAY]);
    }, 60_000);

    it("a shell step that goes on longer has its result, or is lost", async () => {
      const { begun, ended } = asked("echo a; sleep 25; echo b", PLAIN_CONTAINER);
      await begun;
      // Its line may be heard before dockerd has noted that the container runs.
      await wait(1_000);
      await dies(500);
      const { result, death, lines } = await ended;
      if (isRestored) {
        expect(result).toEqual({ ok: true, value: null });
        expect(lines.map(({ line }) => line).filter((line) => line !== AWAY)).toEqual(["a", "b"]);
      } else expect(death).toMatchObject(LOST);
    }, 90_000);

    it("a process that dockerd never noted is ended before the next step begins", async () => {
      const opened = openContainers(DOCKER, 2);
      const slow = await slowNotes(dockerd.pid);
      const { begun, ended } = asked("echo a; sleep 4788", PLAIN_CONTAINER, opened);
      await begun;
      await dies(500);
      await slow.gone;
      expect((await ended).death).toMatchObject(LOST);
      const next = await asked("true", PLAIN_CONTAINER, opened).ended;
      expect(next.result).toEqual({ ok: true, value: null });
      expect(spawnSync("pgrep", ["-f", "sleep 4788"]).status).toBe(1);
    }, 90_000);

    it("a step in a container that runs already is lost, and nothing of it is left", async () => {
      const words = ["run", "--detach", "--network=none", `--name=${NAME}`, TEST_IMAGE];
      DOCKER.run(...words, "sleep", "1000");
      onTestFinished(() => DOCKER.remove(NAME));
      const { begun, ended } = asked("echo a; sleep 4771", { exec: NAME });
      await begun;
      // Its line may be heard before dockerd has noted that the container runs.
      await wait(1_000);
      await dies(500);
      expect((await ended).death).toMatchObject(LOST);
      const left = DOCKER.run("exec", NAME, "ps", "-o", "args");
      expect(left.status).toBe(isRestored ? 0 : 1);
      expect(left.stdout).not.toContain("4771");
    }, 60_000);

    it("a module step is lost, and its runner is gone", async () => {
      const { begun, ended } = asked("log.info('a'); await new Promise(() => {})", {
        ...PLAIN_CONTAINER,
        image: NODE_IMAGE,
      });
      await begun;
      // Its line may be heard before dockerd has noted that the container runs.
      await wait(1_000);
      await dies(500);
      expect((await ended).death).toMatchObject(LOST);
      expect(DOCKER.run("ps", "--all", "--quiet").stdout).toBe("");
    }, 90_000);
  },
);
