/**
 * Podman for tests, and an image that needs no registry: busybox alone.
 *
 * Where the engine or a right of the kernel is missing, the tests fail and say so in one line.
 * `ORCHD_SKIP_CONTAINERS=1` has them skipped.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestEngine, type EngineAnswer } from "./test-engine.ts";

/** Whether the tests with containers are to be left out. */
export const SKIP_CONTAINERS = process.env["ORCHD_SKIP_CONTAINERS"] === "1";

/** The engine. */
export const PODMAN = new TestEngine("podman");

/** What a sandbox needs that gives no process more rights: the limits of the daemon's own user. */
const CONFINED = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
`;

/**
 * Makes the image, and sees that a container can be run. In a sandbox it sets `CONTAINERS_CONF`.
 *
 * @throws Error, one line, if none can be run
 */
export function readyContainers(): void {
  const missing = podman("version").status !== 0;
  if (missing) throw new Error(sentence("podman is not installed"));
  PODMAN.makeImage();
  if (PODMAN.tried() === undefined) return;
  const conf = join(mkdtempSync(join(tmpdir(), "orchd-conf-")), "containers.conf");
  writeFileSync(conf, CONFINED);
  process.env["CONTAINERS_CONF"] = conf;
  const because = PODMAN.tried();
  if (because !== undefined) throw new Error(sentence(because));
}

/** Makes the image with Node where it is missing. Call {@link readyContainers} first. */
export function readyNodeImage(): void {
  PODMAN.makeNodeImage();
}

/** Runs podman. @returns how it ended, and what it printed */
export function podman(...words: readonly string[]): EngineAnswer {
  return PODMAN.run(...words);
}

/** The names of the containers of a root, whatever their state. */
export function containersOf(runs: string): string[] {
  return PODMAN.containersOf(runs);
}

function sentence(because: string): string {
  return (
    `no container can be run here (${because}): install podman, runc, conmon, catatonit and ` +
    "busybox-static, or set ORCHD_SKIP_CONTAINERS=1"
  );
}
