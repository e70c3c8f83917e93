/** Why a container could not be started: what each engine says, and what a person is told. */
import { expect, it } from "vitest";
import { missingImage, startFault } from "../../src/places/container/start-fault.ts";
import type { ImageContainer } from "../../src/core/container.ts";

const CONTAINER: ImageContainer = {
  image: "tool:1",
  pull: "missing",
  volumes: ["/srv/in:/in:ro"],
  keep: "never",
  options: [],
};
const volume = "/srv/in of container.volumes is not there: make that folder, or mend its path";
const user = "the image has no user bob (container.user): name one that it has, or a number";

it.each([
  ["Error: statfs /srv/in: no such file or directory", volume],
  ["docker: Error response from daemon: bind source path does not exist: /srv/in.", volume],
  // What the step did not ask for is told as it is.
  [
    "Error: statfs /srv/out: no such file or directory",
    "statfs /srv/out: no such file or directory",
  ],
  ["Error: unable to find user bob: no matching entries in passwd file", user],
  ["docker: Error response from daemon: unable to find user bob: no matching entries.", user],
  [
    "Error: unable to find group staff: no matching entries in group file",
    "the image has no group staff (container.user): name one that it has, or a number",
  ],
  [
    "Error: unable to find network with name or ID db: network not found",
    "podman has no network db (container.network): make it with `podman network create db`, or " +
      "name another one",
  ],
  [
    'Error: workdir "/app" does not exist on container 1897cb8d8d89',
    "the image has no folder /app (container.workdir): name one that it has",
  ],
  ["Error: unknown flag: --no-such", "unknown flag: --no-such (container.options)"],
  ["Error: write /x: no space left on device", "the disk of the engine's storage is full"],
  ["Error: tool:1: image not known", missingImage("tool:1", "podman")],
  ["Error: crun: something else", "crun: something else"],
])("%s", (said, why) => {
  const sentence = `the container of tool:1 could not be started: ${why}`;
  expect(startFault({ status: 125, said }, CONTAINER, "podman")).toBe(sentence);
});

it("names the engine that is asked", () => {
  const said = "docker: Error response from daemon: network db not found.";
  expect(startFault({ status: 125, said }, CONTAINER, "docker")).toContain(
    "docker has no network db (container.network): make it with `docker network create db`",
  );
  expect(missingImage("tool:1", "docker")).toBe(
    "the image tool:1 is not there, and container.pull is never: get it with `docker pull " +
      "tool:1`, or let pull be missing",
  );
});
