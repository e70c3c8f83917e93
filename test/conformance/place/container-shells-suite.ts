/** Shell steps in containers of an engine, held to the suite of shells and to their own. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ImageContainer } from "../../../src/core/container.ts";
import type { ShellTask } from "../../../src/core/task.ts";
import { ContainersFolder } from "../../../src/places/container/container-files.ts";
import type { ContainerPlace } from "../../../src/places/container/container-place.ts";
import { Engine } from "../../../src/places/container/engine.ts";
import { noteIn } from "../../../src/places/container/engine-note.ts";
import { containerShell, openContainers, PLAIN_CONTAINER } from "../../support/container-place.ts";
import { LIMITS_MEMORY, TEST_IMAGE, type TestEngine } from "../../support/test-engine.ts";
import { describeShells, type ShellPlaceUnderTest } from "./shell-suite.ts";

/** Holds them to all of it. @param brief to some of it, which takes seconds */
export function describeContainerShells(engine: TestEngine, brief = false): void {
  function opened(): ShellPlaceUnderTest & { readonly root: string } {
    return { ...openContainers(engine, 2), more: { container: PLAIN_CONTAINER } };
  }

  if (!brief)
    describeShells(
      `containers of ${engine.name}`,
      { lane: "container", signalsAll: false, signalIsStatus: true },
      opened,
    );

  describe("a container", () => {
    const task = (text: string, container: Partial<ImageContainer> = {}): ShellTask =>
      containerShell(text, { container: { ...PLAIN_CONTAINER, ...container } });

    const ran = (subject: ShellPlaceUnderTest, given: ShellTask) =>
      new Promise<{ result: unknown; lines: string[]; placed: unknown }>((resolve) => {
        const lines: string[] = [];
        let placed: unknown;
        subject.place.start("suite@1#2", given, {
          done: (result) => resolve({ result, lines, placed }),
          output: (more) => lines.push(...more.map(({ line }) => line)),
          died: () => undefined,
          placed: (at) => (placed = at),
        });
      });

    it("runs as another user, in its folder, with its volumes, and says where it is", async () => {
      const subject = opened();
      const volume = `${subject.root}/runs:/data:ro`;
      const { result, lines, placed } = await ran(
        subject,
        task('id -u; pwd; ls /data; touch /data/x 2>&1 || echo refused; echo 1 > "$ORCHD_OUTPUT"', {
          user: "1000",
          workdir: "/tmp",
          volumes: [volume],
        }),
      );
      expect(result).toEqual({ ok: true, value: 1 });
      expect(lines.slice(0, 2)).toEqual(["1000", "/tmp"]);
      expect(lines.at(-1)).toBe("refused");
      expect(placed).toMatchObject({
        place: engine.name,
        ref: expect.stringMatching(/^orchd-suite-1-2-/) as string,
      });
    });

    it("that cannot be started fails with the engine's sentence; the log has nothing", async () => {
      const missing = await ran(opened(), task("true", { image: "localhost/orchd-none:1" }));
      expect(missing).toMatchObject({
        result: { ok: false, error: { name: "ContainerError", code: "ORCHD_CONTAINER" } },
        lines: [],
      });
      const refused = await ran(opened(), task("true", { options: ["--no-such-flag"] }));
      expect(JSON.stringify(refused.result)).toMatch(/unknown flag: --no-such-flag/);
    });

    it("is kept where its attempt failed and the step asks for it", async () => {
      const subject = opened();
      const { lines } = await ran(subject, task("exit 3", { keep: "on-failure" }));
      (subject.place as ContainerPlace).settle(["suite@1#2"]);
      await subject.place.adopt([], () => undefined as never);
      expect(lines.at(-1)).toMatch(/^\[orchd: the container orchd-suite-1-2-.+ is kept: look/);
      // Nothing runs there: its engine may be gone one day.
      const files = new ContainersFolder(join(subject.root, "containers"), "none");
      expect(files.all.map(noteIn)).toEqual([undefined]);
      expect(engine.containersOf(subject.root)).toHaveLength(1);
    });

    it("is removed though one beside it is gone already", async () => {
      const { root } = opened();
      const name = `orchd-beside-${process.pid}`;
      engine.run("create", `--name=${name}`, `--label=orchd.root=${root}`, TEST_IMAGE, "true");
      const none = `${name}-none`;
      expect(await new Engine(engine.name, "").remove([none, name, none])).toBeUndefined();
      expect(engine.containersOf(root)).toEqual([]);
    });

    it.runIf(LIMITS_MEMORY)("that wants more memory than its step may have says so", async () => {
      const text = "echo begins; tail -c 300m /dev/zero; exit 3";
      const { result } = await ran(opened(), { ...task(text), memoryMb: 24 });
      expect(result).toMatchObject({
        ok: false,
        outcome: "failed",
        error: {
          name: "OutOfMemory",
          code: "ORCHD_OUT_OF_MEMORY",
          message:
            'step "it" wants more than its limit of 24 MiB (resources.memoryMb): raise the ' +
            "limit, or let it hold less at once",
        },
      });
    });

    it("is removed once its end is durable", async () => {
      const subject = opened();
      await ran(subject, task("true"));
      expect(engine.containersOf(subject.root)).toHaveLength(1);
      (subject.place as ContainerPlace).settle(["suite@1#2"]);
      await expect.poll(() => engine.containersOf(subject.root), { timeout: 20_000 }).toEqual([]);
    });

    it("shows no secret in a command line", async () => {
      const subject = opened();
      const done = ran(subject, { ...task("echo begun; sleep 2"), env: { WORD: "hush-hush" } });
      let commands = "";
      await expect
        .poll(() => (commands = commandsOf()), { timeout: 10_000 })
        .toContain("suite-1-2");
      expect(commands).not.toContain("hush-hush");
      await done;
    });
  });
}

/** The command lines of the engine's processes. */
function commandsOf(): string {
  const all = execFileSync("ps", ["-eo", "args", "-ww"], { encoding: "utf8" }).split("\n");
  return all.filter((line) => /\b(podman|conmon|docker|runc)\b/.test(line)).join("\n");
}
