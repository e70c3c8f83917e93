/** Shell steps in a container that runs already, held to the suite of shells and to their own. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { ContainerPlace } from "../../../src/places/container/container-place.ts";
import type { ShellTask } from "../../../src/core/task.ts";
import {
  begin,
  containerShell,
  containersRoot,
  openContainers,
  openContainersAt,
  type OpenedContainers,
} from "../../support/container-place.ts";
import { TEST_IMAGE, type TestEngine } from "../../support/test-engine.ts";
import { describeShells, type ShellPlaceUnderTest } from "./shell-suite.ts";

const NAME = `orchd-exec-test-${process.pid}`;

const taskOf = (text: string, more: Partial<ShellTask> = {}): ShellTask =>
  containerShell(text, { container: { exec: NAME }, ...more });

/** Holds them to all of it. @param brief to some of it, which takes seconds */
export function describeExec(engine: TestEngine, brief = false): void {
  const openedAt = (root: string): ContainerPlace =>
    openContainersAt(root, { engine: engine.name, atOnce: 2 });

  const opened = (): ShellPlaceUnderTest & OpenedContainers => ({
    ...openContainers(engine, 2),
    more: { container: { exec: NAME } },
  });

  /** The processes in the container, but its own first ones. */
  const processesIn = (): string =>
    engine.run("exec", NAME, "sh", "-c", "ps -o pid,args").stdout.split("\n").slice(1).join("\n");

  beforeAll(() => {
    engine.run(
      "run",
      "--detach",
      "--network=none",
      `--name=${NAME}`,
      TEST_IMAGE,
      "sleep",
      "100000",
    );
  });
  afterAll(() => engine.remove(NAME));

  if (!brief)
    describeShells(
      `a container of ${engine.name} that runs already`,
      { lane: "container", signalsAll: true, signalIsStatus: true, files: false },
      opened,
    );

  describe("in a container that runs already", () => {
    it("nothing is left of a step, and the container goes on", async () => {
      const { place } = opened();
      const text = "sleep 4711 & (setsid sleep 4712 &) ; env -i sleep 4713 & echo here; exit 0";
      const { result } = await begin(place, "suite@1#2", taskOf(text)).ended;
      expect(result).toEqual({ ok: true, value: null });
      expect(processesIn()).not.toMatch(/sleep 471\d/);
      expect(processesIn()).toContain("sleep 100000");
    });

    it("a forced stop ends what was started there and nothing else", async () => {
      const { place } = opened();
      engine.run("exec", "--detach", NAME, "sleep", "5700");
      const text = "trap '' TERM; (setsid sleep 4721 &); sleep 4722 & echo begun; sleep 4723";
      const task = begin(place, "suite@1#2", taskOf(text));
      await task.begun;
      place.stop("suite@1#2", "force", "a person asked");
      expect((await task.ended).result).toMatchObject({ ok: false, outcome: "stopped" });
      expect(processesIn()).not.toMatch(/sleep 472\d/);
      expect(processesIn()).toContain("sleep 5700");
    });

    if (brief) return;

    it.each([
      ["there is not", "orchd-no-such-container", /^there is no container "orchd-no-such-con/],
      [
        "does not run",
        `${NAME}-created`,
        /^the container ".+-created" does not run: `\w+ start .+` has it go on$/,
      ],
    ])("that %s: one sentence", async (_, exec, message) => {
      engine.run("create", `--name=${NAME}-created`, TEST_IMAGE, "true");
      onTestFinished(() => void engine.run("rm", `${NAME}-created`));
      const { place } = opened();
      const { result, lines } = await begin(
        place,
        "suite@1#2",
        taskOf("true", { container: { exec } }),
      ).ended;
      expect(result).toMatchObject({
        ok: false,
        error: { code: "ORCHD_CONTAINER", message: expect.stringMatching(message) as string },
      });
      expect(lines).toEqual([]);
    });

    it("that is frozen, or ends while the step runs: one sentence each", async () => {
      const { place } = opened();
      const other = `${NAME}-other`;
      engine.run(
        "run",
        "--detach",
        "--network=none",
        `--name=${other}`,
        TEST_IMAGE,
        "sleep",
        "1000",
      );
      onTestFinished(() => engine.remove(other));
      const there = { container: { exec: other } };
      engine.run("pause", other);
      const frozen = await begin(place, "suite@1#2", taskOf("true", there)).ended;
      engine.run("unpause", other);
      expect(JSON.stringify(frozen.result)).toMatch(
        /the container .+ is frozen \(paused\): `\w+ unpause .+` h/,
      );
      const task = begin(place, "suite@1#3", taskOf("echo begun; sleep 1000", there));
      await task.begun;
      engine.remove(other);
      expect(JSON.stringify((await task.ended).result)).toMatch(
        /there is no container .+: it ended while the step ran in it/,
      );
    });

    it("a step whose engine's command is killed has failed, and is ended", async () => {
      const { place } = opened();
      const task = begin(place, "suite@1#2", taskOf("echo begun; sleep 4731"));
      await task.begun;
      const clients = execFileSync("pgrep", ["-f", `${engine.name} exec --interactive .*${NAME}`]);
      for (const pid of String(clients).trim().split("\n")) process.kill(Number(pid), "SIGKILL");
      expect(JSON.stringify((await task.ended).result)).toMatch(/was ended from outside/);
      expect(processesIn()).not.toMatch(/sleep 4731/);
    });

    it("what an earlier daemon left is ended before the next step begins there", async () => {
      const root = containersRoot();
      const first = openedAt(root);
      const task = begin(first, "suite@1#2", taskOf("echo begun; sleep 4741"));
      await task.begun;
      // The first daemon is not there any more, and closes nothing.
      const second = openedAt(root);
      const adopted = await second.adopt(["suite@1#2", "suite@1#3"], () => undefined as never);
      expect([...adopted]).toEqual([]);
      expect(processesIn()).not.toMatch(/sleep 4741/);
      expect(["suite@1#2", "suite@1#3"].map((id) => second.mayHaveBegun(id))).toEqual([
        true,
        false,
      ]);
      await task.ended;
      await Promise.all([first.close(), second.close()]);
    });

    it("a step that was told to go on by nobody never begins", async () => {
      const root = containersRoot();
      mkdirSync(join(root, "effects"));
      const place = openedAt(root);
      const task = begin(place, "suite@1#2", taskOf("touch /tmp/began-without-a-word"));
      await place.close();
      await Promise.race([task.ended, new Promise((resolve) => setTimeout(resolve, 1_500))]);
      const { stdout } = engine.run("exec", NAME, "ls", "/tmp");
      expect(stdout).not.toContain("began-without-a-word");
    });

    it("a value that needs a file is refused with a sentence", async () => {
      const { place } = opened();
      const { result } = await begin(place, "suite@1#2", taskOf("true", { inputs: { list: [1] } }))
        .ended;
      expect(JSON.stringify(result)).toMatch(/input list is no text, number or boolean/);
    });

    it("shows no secret in a command line, there or here", async () => {
      const { place } = opened();
      const more = { env: { WORD: "hush-hush", PATH: "/bin:/hush-hush" }, secrets: ["hush-hush"] };
      const task = begin(place, "suite@1#2", taskOf("echo begun; sleep 1", more));
      await task.begun;
      const here = execFileSync("ps", ["-eo", "args", "-ww"], { encoding: "utf8" });
      expect(`${here}${processesIn()}`).not.toContain("hush-hush");
      expect((await task.ended).result).toMatchObject({ ok: true });
    });
  });
}
