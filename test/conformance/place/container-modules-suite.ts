/** Module steps in an image with Node, held to the suite of places and to their own. */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, vi } from "vitest";
import { systemClock } from "../../../src/clock.ts";
import type { ImageContainer } from "../../../src/core/container.ts";
import { FAILURE_CODES } from "../../../src/core/failure.ts";
import type { PlacedAt } from "../../../src/core/run-state.ts";
import type { ModuleTask, OutputLine, TaskResult } from "../../../src/core/task.ts";
import { silentLog } from "../../../src/log.ts";
import { ContainersFolder } from "../../../src/places/container/container-files.ts";
import { Engine } from "../../../src/places/container/engine.ts";
import { ModulePools } from "../../../src/places/container/module-pools.ts";
import type { DeathInfo, Place } from "../../../src/places/place.ts";
import { endOfDeath } from "../../../src/places/run-task.ts";
import {
  openContainers,
  PLAIN_CONTAINER,
  type OpenedContainers,
} from "../../support/container-place.ts";
import { fullFigures } from "../../support/figures.ts";
import { expect, onTestFinished } from "../../support/running-test.ts";
import { tempRoot } from "../../support/temp-root.ts";
import {
  LIMITS_MEMORY,
  NODE_IMAGE,
  TEST_IMAGE,
  type TestEngine,
} from "../../support/test-engine.ts";
import { describePlace, ROOM } from "./suite.ts";

const CONTAINER: ImageContainer = { ...PLAIN_CONTAINER, image: NODE_IMAGE };

type TaskOptions = Parameters<Place["start"]>[3];

const KILLED = "was ended by SIGKILL";

let count = 0;

interface Ended {
  readonly result?: TaskResult;
  readonly death?: DeathInfo;
  readonly lines: readonly OutputLine[];
  readonly placed: PlacedAt | undefined;
}

interface Started {
  readonly begun: Promise<void>;
  readonly ended: Promise<Ended>;
}

/** Starts a step whose function has this body. */
function start(
  { place, root }: OpenedContainers,
  id: string,
  body: string,
  container: Partial<ImageContainer> = {},
  more: Partial<ModuleTask> = {},
  options: TaskOptions = {},
): Started {
  const bundle = `m${(count += 1)}`;
  const text = `export default async ({ params, inputs, log, signal }) => { ${body} };`;
  writeFileSync(join(root, "bundles", `${bundle}.mjs`), text);
  const task: ModuleTask = {
    kind: "module",
    code: { bundle, pick: "export:default", source: "./m.ts" },
    params: {},
    inputs: {},
    isolated: false,
    run: { id: "m@1", pipeline: "m", attempt: 1 },
    step: "it",
    env: {},
    gracePeriodMs: 300,
    container: { ...CONTAINER, ...container },
    ...more,
  };
  const lines: OutputLine[] = [];
  let placed: PlacedAt | undefined;
  let first!: () => void;
  const begun = new Promise<void>((resolve) => (first = resolve));
  const ended = new Promise<Ended>((resolve) =>
    place.start(
      id,
      task,
      {
        done: (result) => resolve({ result, lines, placed }),
        died: (death) => resolve({ death, lines, placed }),
        output(more) {
          lines.push(...more);
          first();
        },
        placed: (at) => (placed = at),
      },
      options,
    ),
  );
  return { begun, ended };
}

/** Holds them to all of it. @param brief to some of it, which takes seconds */
export function describeContainerModules(engine: TestEngine, brief = false): void {
  const opened = (root?: string): OpenedContainers => openContainers(engine, 4, root);

  const isAlive = (name: string): boolean =>
    engine.run("ps", "--filter", `name=${name}`, "--format", "{{.Names}}").stdout.includes(name);

  if (!brief)
    describePlace(`a runner in a container of ${engine.name}`, () => {
      const root = realpathSync(tempRoot().root);
      const bundles = join(root, "bundles");
      mkdirSync(bundles);
      const pools = new ModulePools({
        clock: systemClock,
        log: silentLog,
        root,
        relabels: false,
        folder: new ContainersFolder(join(root, "containers"), "suite"),
        settings: { bundles, token: `suite-${process.pid}-${(count += 1)}` },
        atOnce: () => ROOM,
        doubtful: () => undefined,
      });
      onTestFinished(() => pools.close());
      const pool = pools.of(new Engine(engine.name, ""), CONTAINER, NODE_IMAGE).pool;
      return {
        place: pool,
        module: (name, text) => writeFileSync(join(bundles, `${name}.mjs`), text),
        crash: () => {
          for (const pid of pool.pids()) process.kill(pid, "SIGKILL");
        },
      };
    });

  describe(`a module step in a container of ${engine.name}`, () => {
    it("runs in there, as its settings say, and says where that is", async () => {
      const subject = opened();
      mkdirSync(join(subject.root, "data"));
      writeFileSync(join(subject.root, "data/x"), "from here");
      const { result, lines, placed } = await start(
        subject,
        "m@1#2",
        `const fs = await import("node:fs");
         log.info("uid " + process.getuid());
         let wrote = true;
         try { fs.writeFileSync("/data/y", "") } catch { wrote = false }
         let escaped = true;
         try { fs.writeFileSync("/orchd-package/y", "") } catch { escaped = false }
         return [fs.readFileSync("/data/x", "utf8"), wrote, escaped, process.env.WORD,
           process.cwd(), fs.existsSync(${JSON.stringify(subject.root)}),
           fs.readdirSync("/orchd-wire")];`,
        { user: "1000", volumes: [`${subject.root}/data:/data:ro`], workdir: "/etc" },
        { env: { WORD: "given" } },
      ).ended;
      // The daemon's socket is gone from its folder once the runner has it.
      expect(result).toEqual({
        ok: true,
        value: ["from here", false, false, "given", "/etc", false, ["output"]],
      });
      expect(lines.map(({ line }) => line).join()).toContain("uid 1000");
      expect(placed).toMatchObject({ place: engine.name });
      expect(engine.containersOf(subject.root)).toEqual([placed!.ref]);
    });

    it("goes on where orchd.yaml names another engine; its runner ends with it", async () => {
      const subject = opened();
      const names = (): string[] => engine.containersOf(subject.root);
      // One runner is idle, and another one has a step.
      await start(subject, "m@1#2", "return 1", { options: ["--memory=1g"] }).ended;
      const long = start(
        subject,
        "m@1#3",
        `log.info("begins");
         await new Promise((resolve) => signal.addEventListener("abort", resolve));
         return "ended";`,
      );
      await long.begun;
      const before = names();
      expect(before).toHaveLength(2);
      const other = engine.name === "podman" ? "docker" : "podman";
      subject.place.setSettings({ engine: other, atOnce: 4 });
      await vi.waitFor(() => expect(names()).toHaveLength(1), 20_000);
      subject.place.setSettings({ engine: engine.name, atOnce: 4 });
      const next = await start(subject, "m@1#4", "return 2").ended;
      expect(before).not.toContain(next.placed!.ref);
      subject.place.stop("m@1#3", "graceful", "enough");
      const { placed } = await long.ended;
      await vi.waitFor(() => expect(names()).not.toContain(placed!.ref), 20_000);
      expect(names()).toEqual([next.placed!.ref]);
    });

    it("shares a warm runner with others of the same image and settings", async () => {
      const subject = opened();
      const body = "return [process.pid, (await import('node:os')).hostname()]";
      const first = await start(subject, "m@1#2", body).ended;
      const second = await start(subject, "m@1#3", body, {}, { env: { A: "other" } }).ended;
      const apart = await start(subject, "m@1#4", body, { options: ["--memory=1g"] }).ended;
      expect(second.result).toEqual(first.result);
      expect(apart.result).not.toEqual(first.result);
      expect(engine.containersOf(subject.root)).toHaveLength(2);
      await subject.place.close();
      expect(engine.containersOf(subject.root)).toEqual([]);
    });

    if (brief) return;

    it("is given large inputs, and gives large results as files", async () => {
      const subject = opened();
      const artifacts = mkdtempSync(join(tmpdir(), "orchd-artifacts-"));
      const { result } = await start(
        subject,
        "m@1#2",
        "return inputs.a + 'x'.repeat(200_000)",
        {},
        { inputs: { a: "y".repeat(300_000) }, artifacts },
      ).ended;
      expect(result).toMatchObject({ ok: true, staged: { files: [expect.anything()] } });
      const { file } = (result as Extract<TaskResult, { staged: unknown }>).staged.files[0]!;
      expect(readFileSync(file, "utf8")).toHaveLength(500_002);
    });

    it("ends at its time limit, and by a stop, and others go on", async () => {
      const subject = opened();
      const other = start(subject, "m@1#2", "log.info('x'); await new Promise(() => {})");
      await other.begun;
      const late = await start(subject, "m@1#3", "for (;;);", {}, { timeoutMs: 500 }).ended;
      expect(late.result).toMatchObject({ ok: false, outcome: "timeout" });
      subject.place.stop("m@1#2", "force", "a person asked");
      expect((await other.ended).result).toMatchObject({ ok: false, outcome: "stopped" });
    });

    it("that ends its process has died of itself alone, and nothing is left", async () => {
      const subject = opened();
      const { death, placed } = await start(
        subject,
        "m@1#2",
        "process.kill(process.pid, 'SIGKILL'); await new Promise(() => {})",
      ).ended;
      expect(death).toMatchObject({ inFlight: ["m@1#2"] });
      expect(isAlive(placed!.ref)).toBe(false);
    });

    it.runIf(LIMITS_MEMORY)(
      "that takes all memory of its container: its death says so",
      async () => {
        const { death, placed } = await start(
          opened(),
          "m@1#2",
          "for (const all = []; ; ) all.push(Buffer.alloc(8 << 20, 1));",
          { options: ["--memory=128m"] },
        ).ended;
        expect(death).toMatchObject({
          inFlight: ["m@1#2"],
          code: FAILURE_CODES.memory,
          because: `the runner in the container ${placed!.ref} ran out of memory`,
        });
      },
    );

    it("that kills all in its container is a suspect, and alone it is at fault", async () => {
      const subject = opened();
      const killAll = `for (;;) {
        try { process.kill(-1, "SIGKILL") } catch {}
        await new Promise((resolve) => setTimeout(resolve, 10));
      }`;
      const beside = start(subject, "m@1#2", "log.info('x'); await new Promise(() => {})");
      await beside.begun;
      const guilty = start(subject, "m@1#3", killAll);
      for (const { ended } of [beside, guilty]) {
        const { death, placed } = await ended;
        expect(death).toMatchObject({ alone: false, code: FAILURE_CODES.runnerDied });
        expect([...death!.inFlight].sort()).toEqual(["m@1#2", "m@1#3"]);
        expect(death!.because).toBe(`the runner in the container ${placed!.ref} ${KILLED}`);
        expect(endOfDeath(death!, false).kind).toBe("lost");
      }
      const again = start(subject, "m@1#4", killAll, {}, {}, { alone: true });
      const { death } = await again.ended;
      expect(death).toMatchObject({ alone: true, inFlight: ["m@1#4"] });
      expect(death?.code).toBe(FAILURE_CODES.runnerDied);
      expect(endOfDeath(death!, true).kind).toBe("ownDeath");
      expect(engine.containersOf(subject.root)).toEqual([]);
    });

    // A paused one is given up once its lease is over: that takes 15 s.
    it.each(["kill", "pause", "stop"])(
      "dies with its container: %s",
      { timeout: 60_000, concurrent: true },
      async (how) => {
        const subject = opened();
        const task = start(subject, "m@1#2", "log.info('x'); await new Promise(() => {})");
        await task.begun;
        const [name] = engine.containersOf(subject.root);
        engine.run(how, ...(how === "stop" ? ["--time", "1"] : []), name!);
        const { death } = await task.ended;
        expect(death?.because).toContain(name);
        // Somebody paused it: no step is to blame.
        expect(death?.blameless).toBe(how === "pause" ? "lost" : undefined);
        if (how === "kill") {
          expect(death?.because).toBe(`the runner in the container ${name} ${KILLED}`);
          expect(death?.code).toBe(FAILURE_CODES.runnerDied);
        }
        await expect.poll(() => engine.containersOf(subject.root), { timeout: 30_000 }).toEqual([]);
        const again = await start(subject, "m@1#3", "return 1").ended;
        expect(again.result).toEqual({ ok: true, value: 1 });
      },
    );

    it.runIf(fullFigures)(
      "that stops its runner is a suspect: it may be its own doing",
      async () => {
        const subject = opened();
        const body = "process.kill(process.pid, 'SIGSTOP'); await new Promise(() => {})";
        const { death } = await start(subject, "m@1#2", body).ended;
        expect(death).toMatchObject({ inFlight: ["m@1#2"], code: FAILURE_CODES.runnerDied });
        expect(death?.because).toMatch(/was not heard for 15 s$/);
        expect(engine.containersOf(subject.root)).toEqual([]);
      },
    );

    it("keeps the container of a failed attempt where it says so, and of no other", async () => {
      const subject = opened();
      const keep = { keep: "on-failure" } as const;
      await start(subject, "m@1#2", "return 1", keep).ended;
      const failed = await start(subject, "m@1#3", "throw new Error('no')", keep).ended;
      expect(failed.lines.at(-1)?.line).toMatch(/^\[orchd: the container .+-kept is kept/);
      await expect
        .poll(() => engine.containersOf(subject.root), { timeout: 30_000 })
        .toEqual([expect.stringMatching(/-kept$/)]);
      // The next daemon leaves it there too.
      const next = opened(subject.root);
      mkdirSync(join(subject.root, "containers/a-left"), { recursive: true });
      await next.place.sweep();
      expect(engine.containersOf(subject.root)).toHaveLength(1);
    });

    it("what an earlier daemon left is removed before the next one starts a step", async () => {
      const subject = opened();
      const task = start(subject, "m@1#2", "log.info('x'); await new Promise(() => {})");
      await task.begun;
      const next = opened(subject.root);
      const { result, placed } = await start(next, "m@1#9", "return 1").ended;
      expect(result).toEqual({ ok: true, value: 1 });
      expect(engine.containersOf(subject.root)).toEqual([placed!.ref]);
      expect((await task.ended).death).toBeDefined();
    });

    it.each<[string, Partial<ImageContainer>, RegExp]>([
      ["no Node", { image: TEST_IMAGE }, /^the image localhost\/orchd-test:1 has no Node: a modu/],
      ["no image", { image: "localhost/orchd-none:1" }, /is not there, and container\.pull is nev/],
      ["a flag that is none", { options: ["--no-such-flag"] }, /could not be started: unknown fl/],
    ])("says in one sentence what is wrong: %s", async (_, container, message) => {
      const { result, lines } = await start(opened(), "m@1#2", "return 1", container).ended;
      expect(result).toMatchObject({
        ok: false,
        outcome: "failed",
        error: { code: "ORCHD_CONTAINER", message: expect.stringMatching(message) as string },
      });
      expect(lines).toEqual([]);
    });

    it("whose bundle needs a file of this machine is refused with a sentence", async () => {
      const subject = opened();
      const { result } = await start(
        subject,
        "m@1#2",
        'await import("file:///srv/node_modules/left-pad/index.js")',
      ).ended;
      expect(JSON.stringify(result)).toMatch(/needs the package left-pad, which is on this machin/);
    });

    it("shows no secret in a command line, and gives the registry's to nobody", async () => {
      const subject = opened();
      const { result, lines } = await start(
        subject,
        "m@1#2",
        `const all = JSON.stringify(process.env); console.log("hush-hush");
         return all.includes("registry-word");`,
        {},
        {
          env: { WORD: "hush-hush" },
          secrets: ["hush-hush", "registry-word"],
          registryAuth: "registry-word",
        },
      ).ended;
      expect(result).toEqual({ ok: true, value: false });
      expect(JSON.stringify(lines)).not.toContain("hush-hush");
      const { stdout } = engine.run("inspect", ...engine.containersOf(subject.root));
      expect(stdout).not.toMatch(/hush-hush|registry-word/);
    });
  });
}
