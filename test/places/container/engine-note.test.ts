/** Which engine has an attempt, as its note says: what is noted, and which engine that is. */
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import type { Engine } from "../../../src/places/container/engine.ts";
import {
  engineOf,
  isOf,
  noteIn,
  noteOf,
  removeNote,
  writeNote,
  type EngineNote,
} from "../../../src/places/container/engine-note.ts";
import { tempRoot } from "../../support/temp-root.ts";

afterEach(() => void vi.unstubAllEnvs());

const engine = (name: string, id: string, env: object = {}): Engine =>
  ({ name, id, env }) as unknown as Engine;

it("a note has what an engine is reached by, and no other variable", () => {
  for (const name of ["DOCKER_CONTEXT", "CONTAINER_HOST", "XDG_RUNTIME_DIR", "XDG_DATA_HOME"])
    vi.stubEnv(name, undefined);
  vi.stubEnv("HOME", "/home/ann");
  vi.stubEnv("DOCKER_HOST", "tcp://a:1");
  vi.stubEnv("TOKEN", "x");
  const { engine: name, id, env } = noteOf(engine("docker", "i1", { DOCKER_HOST: "tcp://b:1" }));
  expect([name, id]).toEqual(["docker", "i1"]);
  expect(env).toMatchObject({ DOCKER_HOST: "tcp://b:1", HOME: "/home/ann" });
  expect(env).not.toHaveProperty("TOKEN");
  expect(env).not.toHaveProperty("DOCKER_CONTEXT");
});

it.each([
  ["docker", "HOST CONTEXT CONFIG TLS_VERIFY CERT_PATH", "DOCKER_"],
  ["podman", "HOST CONNECTION SSHKEY", "CONTAINER_"],
  ["podman", "CONF STORAGE_CONF", "CONTAINERS_"],
  ["podman", "DRIVER OPTS", "STORAGE_"],
  ["either", "CONFIG_HOME DATA_HOME RUNTIME_DIR", "XDG_"],
  ["either", "HOME", ""],
])("a note has each variable that says where %s is (%s)", (_, names, prefix) => {
  for (const name of names.split(" ")) {
    vi.stubEnv(`${prefix}${name}`, "y");
    expect(noteOf(engine("docker", "i1")).env).toHaveProperty(`${prefix}${name}`, "y");
  }
});

it("stands beside an attempt's files, for its user alone, until it is removed", () => {
  const folder = tempRoot().root;
  expect(noteIn(folder)).toBeUndefined();
  const note: EngineNote = { engine: "podman", id: "i1", env: { HOME: "/h" } };
  writeNote(folder, note);
  expect(noteIn(folder)).toEqual(note);
  expect(statSync(join(folder, "engine.json")).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(folder, "engine.json"), "utf8")).toBe(JSON.stringify(note));
  removeNote(folder);
  expect(noteIn(folder)).toBeUndefined();
  removeNote(folder);
  for (const text of ["", "{}", '{"engine":"kubernetes"}']) {
    writeFileSync(join(folder, "engine.json"), text);
    expect(noteIn(folder)).toBeUndefined();
  }
});

it("that cannot be removed stays, and nothing is thrown", () => {
  const folder = tempRoot().root;
  mkdirSync(join(folder, "engine.json"));
  removeNote(folder);
  expect(statSync(join(folder, "engine.json")).isDirectory()).toBe(true);
});

it("an engine is that of a note by its name and its id", () => {
  const note: EngineNote = { engine: "docker", id: "i1", env: {} };
  expect(isOf(engine("docker", "i1"), note)).toBe(true);
  expect(isOf(engine("podman", "i1"), note)).toBe(false);
  expect(isOf(engine("docker", "i2"), note)).toBe(false);
});

it("one that does not answer is told, with where it was and what to do", async () => {
  const folder = tempRoot().root;
  const bin = join(folder, "bin");
  mkdirSync(bin);
  vi.stubEnv("PATH", bin);
  const because = async (note: EngineNote): Promise<string> =>
    engineOf(note, "/runs/x").then(
      () => "",
      (error: unknown) => (error as Error).message,
    );
  const end = "start that engine, or end what runs there and remove /runs/x";
  const far = { engine: "docker", id: "i1 overlay2", env: { DOCKER_HOST: "tcp://b:1" } } as const;
  const told = await because(far);
  expect(told).toMatch(
    /^an earlier attempt may still run in docker \(i1\) at tcp:\/\/b:1, which does not /,
  );
  expect(told.endsWith(end)).toBe(true);
  expect(await because({ engine: "podman", id: "", env: {} })).toMatch(
    /^an earlier attempt may still run in podman, which does not answer \(.+\): start/,
  );
});
