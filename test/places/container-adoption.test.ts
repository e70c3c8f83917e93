/**
 * A daemon that takes over what an earlier one left in containers, by an engine that a test plays:
 * a program on the path whose containers are files.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import type { TaskResult } from "../../src/core/task.ts";
import type { ContainerPlace } from "../../src/places/container/container-place.ts";
import { ContainersFolder } from "../../src/places/container/container-files.ts";
import { lookEverywhere } from "../../src/places/container/earlier-engines.ts";
import { findEngine, type Engine } from "../../src/places/container/engine.ts";
import type { TaskHandlers } from "../../src/places/place.ts";
import {
  begin,
  containerShell,
  containersRoot,
  openContainersAt,
} from "../support/container-place.ts";

const PATH = process.env["PATH"] ?? "";

/**
 * Its storage is a folder. Nothing ends by itself. `stuck` in it keeps it from removing. As podman
 * does: where one of several is gone, `rm --force` removes none, and that is no failure.
 */
const PODMAN = `#!/bin/sh
cd "$CONTAINERS_STORAGE_CONF" || exit 125
case "$1" in
  info) printf '5.0\\n%s\\n' "$CONTAINERS_STORAGE_CONF" ;;
  ps) cd containers && ls ;;
  container) shift 2
    status=0 comma= ; printf '['
    for name; do
      if [ -f "containers/$name" ]; then printf '%s' "$comma"; cat "containers/$name"; comma=,
      else echo "Error: no such container $name" >&2; status=125; fi
    done
    printf ']\\n'; exit $status ;;
  rm) if [ -e stuck-once ]; then rm stuck-once; exit 125; fi
    [ ! -e stuck ] || { echo "Error: it is stuck" >&2; exit 125; }
    shift 5
    for name; do [ -f "containers/$name" ] || exit 0; done
    for name; do rm "containers/$name"; echo "$name"; done ;;
  run) echo ran >> runs
    [ ! -e killed ] || kill -KILL $$ ;;
  logs|wait) exec sleep 1000 ;;
esac
`;

let root: string;

beforeEach(() => {
  root = containersRoot();
  mkdirSync(join(root, "bin"));
  writeFileSync(join(root, "bin/podman"), PODMAN);
  chmodSync(join(root, "bin/podman"), 0o755);
  process.env["PATH"] = `${join(root, "bin")}${delimiter}${PATH}`;
  onTestFinished(() => {
    process.env["PATH"] = PATH;
    delete process.env["CONTAINERS_STORAGE_CONF"];
  });
});

/** The engine's storage from now on. */
function stored(name: string): string {
  const folder = join(root, name);
  mkdirSync(join(folder, "containers"), { recursive: true });
  process.env["CONTAINERS_STORAGE_CONF"] = folder;
  return folder;
}

/** Has the engine have a container of an attempt that runs. */
function put(folder: string, token: string): void {
  const name = token.replaceAll(/[@#]/g, "-");
  const labels = { "orchd.root": root, "orchd.token": token };
  const state = { Running: true, StartedAt: "2026-01-01T00:00:00Z", ExitCode: 0 };
  const text = JSON.stringify({ Name: name, Config: { Labels: labels }, State: state });
  writeFileSync(join(folder, "containers", name), text);
}

const TASK = containerShell("true");
const DEAF: TaskHandlers = { done: () => {}, died: () => {}, output: () => {} };
const HEARD = { stdout: 0, stderr: 0 };

function opened(): ContainerPlace {
  const place = openContainersAt(root, { engine: "podman", atOnce: 4 });
  onTestFinished(() => place.close());
  return place;
}

const ran = (place: ContainerPlace, id: string): Promise<TaskResult> =>
  new Promise((done) => place.start(id, TASK, { ...DEAF, done }));

const messageOf = (result: TaskResult): string => (result.ok ? "" : result.error.message);

/** The folder of an attempt of an earlier release, which left no note. */
const leftFolder = (): void => void mkdirSync(join(root, "containers/a-left"), { recursive: true });

it("a container that cannot be removed holds up others, and what was adopted goes on", async () => {
  const engine = stored("one");
  leftFolder();
  put(engine, "a@1#2");
  put(engine, "a@1#3");
  writeFileSync(join(engine, "stuck"), "");
  const place = opened();
  const adopted = await place.adopt(
    ["a@1#2", "a@1#3"],
    () => DEAF,
    (id) => (id === "a@1#2" ? { task: TASK, heard: HEARD } : undefined),
  );
  expect([...adopted]).toEqual(["a@1#2"]);
  expect(place.has("a@1#2")).toBe(true);
  expect(messageOf(await ran(place, "a@1#4"))).toBe(
    "a container of an earlier attempt cannot be removed: it is stuck",
  );
  expect(existsSync(join(engine, "runs"))).toBe(false);
  rmSync(join(engine, "stuck"));
  expect(await ran(place, "a@1#5")).toEqual({ ok: true, value: null });
  expect(readdirSync(join(engine, "containers"))).toEqual(["a-1-2"]);
});

it("a command that is killed as it starts a step leaves open whether that began", async () => {
  writeFileSync(join(stored("one"), "killed"), "");
  const place = opened();
  const { death } = await begin(place, "a@1#2", TASK).ended;
  expect(death).toMatchObject({
    blameless: "lost",
    because: "podman run was ended from outside as the step began",
  });
});

it("an engine that fails at once, while others are looked for, is silent and no more", async () => {
  leftFolder();
  stored("one");
  const containersOf = (): Promise<never> => Promise.reject(new Error("docker does not answer"));
  const present = { name: "docker", containersOf } as unknown as Engine;
  const look = await lookEverywhere(present, [join(root, "containers/a-left")], root);
  expect(look).toEqual({ found: new Map(), silent: "docker does not answer" });
});

it("one that is gone does not keep those beside it from being removed", async () => {
  const engine = stored("one");
  for (const token of ["a@1#3", "a@1#4"]) put(engine, token);
  const podman = await findEngine("podman");
  expect(await podman.remove(["a-1-3", "a-1-2", "a-1-4"])).toBeUndefined();
  expect(readdirSync(join(engine, "containers"))).toEqual([]);
});

it("what is removed at the second try is removed", async () => {
  const engine = stored("one");
  leftFolder();
  put(engine, "a@1#3");
  writeFileSync(join(engine, "stuck-once"), "");
  await opened().sweep();
  expect(readdirSync(join(engine, "containers"))).toEqual([]);
});

/** An attempt of an earlier daemon in the engine that answers now. @returns its folder */
async function left(): Promise<string> {
  const files = new ContainersFolder(join(root, "containers"), "t");
  return files.begin(false, await findEngine("podman")).folder;
}

it("another storage of the same engine: the old one is asked the way it was reached", async () => {
  const engine = stored("one");
  put(engine, "a@1#2");
  put(engine, "a@1#3");
  await left();
  stored("two");
  const place = opened();
  const adopted = await place.adopt(
    ["a@1#2"],
    () => DEAF,
    () => ({ task: TASK, heard: HEARD }),
  );
  expect([...adopted]).toEqual(["a@1#2"]);
  await place.sweep();
  expect(readdirSync(join(engine, "containers"))).toEqual(["a-1-2"]);
});

it("a storage that is not there any more holds up all steps, until its folder goes", async () => {
  const engine = stored("one");
  const folder = await left();
  stored("two");
  rmSync(engine, { recursive: true });
  const place = opened();
  expect([...(await place.adopt(["a@1#2"], () => DEAF))]).toEqual([]);
  expect(place.mayHaveBegun("a@1#2")).toBe(true);
  expect(messageOf(await ran(place, "a@1#3"))).toMatch(
    `an earlier attempt may still run in podman (${engine}), which does not answer (no container `,
  );
  expect(messageOf(await ran(place, "a@1#4"))).toMatch(
    `: start that engine, or end what runs there and remove ${folder}`,
  );
  rmSync(folder, { recursive: true });
  expect(await ran(place, "a@1#5")).toEqual({ ok: true, value: null });
});

it("what answers in its place and is another one does not tell of it", async () => {
  const engine = stored("one");
  await left();
  // The same way leads elsewhere now.
  writeFileSync(join(root, "bin/podman"), PODMAN.replace("printf '5.0", "printf '5.1\\nother"));
  expect(messageOf(await ran(opened(), "a@1#3"))).toMatch(
    `may still run in podman (${engine}), which does not answer (another one answers, other`,
  );
});
