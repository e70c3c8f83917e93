/**
 * An engine that changes while no daemon runs: orchd.yaml names another one, or the environment
 * reaches another one by the same name. What the old one has is adopted or ended there. While it
 * does not answer, no step begins in a container.
 *
 * It comes with FAULTS=1: it takes a minute. places/container-adoption.test.ts has the same by an
 * engine that it plays.
 */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { ShellTask, TaskResult } from "../../src/core/task.ts";
import type { ContainerPlace } from "../../src/places/container/container-place.ts";
import {
  begin,
  containerShell,
  containersRoot,
  hearing,
  openContainersAt,
} from "../support/container-place.ts";
import { PODMAN, readyContainers, SKIP_CONTAINERS } from "../support/containers.ts";
import { DOCKER, SKIP_DOCKER, startDocker, type Dockerd } from "../support/docker.ts";
import { fullFigures } from "../support/figures.ts";
import { TEST_IMAGE } from "../support/test-engine.ts";

const ID = "suite@1#2";
const NEXT = "suite@1#3";
const DB = `orchd-changed-engine-${process.pid}`;

const SILENT = new RegExp(
  String.raw`^an earlier attempt may still run in docker \(\S+\) at unix:\S+, which does not ` +
    String.raw`answer \(.+\): start that engine, or end what runs there and remove \S+/a-\S+$`,
);

describe.skipIf(SKIP_CONTAINERS || SKIP_DOCKER || !fullFigures)("an engine that changes", () => {
  let dockerd: Dockerd;
  beforeAll(async () => {
    readyContainers();
    dockerd = await startDocker();
  });
  afterAll(() => dockerd.close());

  function opened(root: string, engine: "podman" | "docker"): ContainerPlace {
    const place = openContainersAt(root, { engine, atOnce: 2 });
    onTestFinished(() => place.close());
    return place;
  }

  function rootOf(): string {
    const root = containersRoot();
    onTestFinished(() => {
      for (const engine of [PODMAN, DOCKER]) engine.remove(...engine.containersOf(root));
    });
    return root;
  }

  /** A daemon begins a step in docker, and is gone. */
  async function left(root: string, task: ShellTask): Promise<void> {
    const first = opened(root, "docker");
    await begin(first, ID, task).begun;
    first.leave([ID]);
  }

  const ran = async (place: ContainerPlace, task: ShellTask): Promise<TaskResult | undefined> =>
    (await begin(place, NEXT, task).ended).result;

  it("adopts what the old engine has, and removes it there", async () => {
    const root = rootOf();
    const task = containerShell('echo begun; sleep 2; echo 7 > "$ORCHD_OUTPUT"');
    await left(root, task);
    const second = opened(root, "podman");
    const { handlers, ended } = hearing();
    const attempt = { task, heard: { stdout: 1, stderr: 0 } };
    const adopted = await second.adopt(
      [ID],
      () => handlers,
      () => attempt,
    );
    expect([...adopted]).toEqual([ID]);
    expect((await ended).result).toEqual({ ok: true, value: 7 });
    second.settle([ID]);
    await expect.poll(() => DOCKER.containersOf(root), { timeout: 20_000 }).toEqual([]);
  });

  it("ends what the old engine has before a step begins in the new one", async () => {
    const root = rootOf();
    await left(root, containerShell("echo begun; sleep 1000"));
    expect(DOCKER.containersOf(root)).toHaveLength(1);
    const second = opened(root, "podman");
    expect([...(await second.adopt([ID], () => hearing().handlers))]).toEqual([]);
    expect(second.mayHaveBegun(ID)).toBe(true);
    expect(DOCKER.containersOf(root)).toEqual([]);
    expect(await ran(second, containerShell("true"))).toEqual({ ok: true, value: null });
  });

  it("ends what was begun in a container of the old one's, too", async () => {
    const words = ["--detach", "--network=none", `--name=${DB}`, TEST_IMAGE];
    DOCKER.run("run", ...words, "sleep", "1000");
    onTestFinished(() => DOCKER.remove(DB));
    const root = rootOf();
    const first = opened(root, "docker");
    const { handlers, begun } = hearing();
    first.start(
      ID,
      containerShell("echo begun; sleep 4817", { container: { exec: DB } }),
      handlers,
    );
    await begun;
    const inThere = (): string => DOCKER.run("exec", DB, "ps", "-o", "args").stdout;
    expect(inThere()).toContain("sleep 4817");
    const second = opened(root, "podman");
    await second.adopt([ID], () => hearing().handlers);
    expect(second.mayHaveBegun(ID)).toBe(true);
    expect(inThere()).not.toContain("sleep 4817");
  });

  it("begins no step while the old engine does not answer, and says which", async () => {
    const root = rootOf();
    await left(root, containerShell("echo begun; sleep 1000"));
    await dockerd.end("SIGKILL");
    const second = opened(root, "podman");
    expect([...(await second.adopt([ID], () => hearing().handlers))]).toEqual([]);
    expect(second.mayHaveBegun(ID)).toBe(true);
    const refused = await ran(second, containerShell("true"));
    expect(refused).toMatchObject({
      ok: false,
      error: {
        code: "ORCHD_CONTAINER",
        message: expect.stringMatching(SILENT) as string,
      },
    });
    await dockerd.start();
    expect(await ran(second, containerShell("true"))).toEqual({ ok: true, value: null });
    expect(DOCKER.containersOf(root)).toEqual([]);
  });

  it("is asked where it was: another DOCKER_HOST counts for what begins now", async () => {
    const root = rootOf();
    await left(root, containerShell("echo begun; sleep 1000"));
    const own = dockerd.host;
    process.env["DOCKER_HOST"] = "unix:///nowhere/d.sock";
    onTestFinished(() => void (process.env["DOCKER_HOST"] = own));
    const second = opened(root, "podman");
    await second.sweep();
    process.env["DOCKER_HOST"] = own;
    expect(DOCKER.containersOf(root)).toEqual([]);
  });

  it("changes within one daemon: each container is removed by its own", async () => {
    const root = rootOf();
    const place = opened(root, "docker");
    const { begun, ended } = begin(place, ID, containerShell("echo begun; sleep 1"));
    await begun;
    place.setSettings({ engine: "podman", atOnce: 2 });
    expect((await ended).result).toEqual({ ok: true, value: null });
    place.settle([ID]);
    await expect.poll(() => DOCKER.containersOf(root), { timeout: 20_000 }).toEqual([]);
  });
});
