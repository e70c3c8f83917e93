/**
 * A container engine for tests, and an image that needs no registry: busybox alone.
 *
 * Where the engine or a right of the kernel is missing, the tests fail and say so in one line.
 * `ORCHD_SKIP_CONTAINERS=1` has them skipped.
 */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Whether the tests with containers are to be left out. */
export const SKIP_CONTAINERS = process.env["ORCHD_SKIP_CONTAINERS"] === "1";

/** An image with a shell and the usual small programs. */
export const TEST_IMAGE = "localhost/orchd-test:1";

/** An image that has this process's Node too. */
export const NODE_IMAGE = `localhost/orchd-test-node:${process.versions.node}`;

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
  if (podman("image", "exists", TEST_IMAGE).status !== 0) makeImage();
  if (tried() === undefined) return;
  const conf = join(mkdtempSync(join(tmpdir(), "orchd-conf-")), "containers.conf");
  writeFileSync(conf, CONFINED);
  process.env["CONTAINERS_CONF"] = conf;
  const because = tried();
  if (because !== undefined) throw new Error(sentence(because));
}

/** Makes {@link NODE_IMAGE} where it is missing. Call {@link readyContainers} first. */
export function readyNodeImage(): void {
  if (podman("image", "exists", NODE_IMAGE).status === 0) return;
  const root = makeRoot();
  const place = (file: string, to: string): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    copyFileSync(file, join(root, to));
  };
  place(process.execPath, "bin/node");
  const libraries = execFileSync("ldd", [process.execPath], { encoding: "utf8" });
  for (const [, file] of libraries.matchAll(/(\/\S+) \(0x/g)) place(realpathSync(file!), file!);
  packImage(root, NODE_IMAGE);
}

/** Runs podman. @returns how it ended, and what it printed */
export function podman(...words: readonly string[]): { status: number | null; stdout: string } {
  return spawnSync("podman", words, { encoding: "utf8" });
}

/** The names of the containers of a root, whatever their state. */
export function containersOf(runs: string): string[] {
  const filter = `label=orchd.root=${runs}`;
  const { stdout } = podman("ps", "--all", "--filter", filter, "--format", "{{.Names}}");
  return stdout.split("\n").filter((name) => name !== "");
}

function tried(): string | undefined {
  const words = ["run", "--rm", "--init", "--network=none", TEST_IMAGE, "true"];
  const { status, stderr } = spawnSync("podman", words, { encoding: "utf8" });
  return status === 0 ? undefined : (stderr.trim().split("\n").at(-1) ?? `status ${status}`);
}

function makeImage(): void {
  packImage(makeRoot(), TEST_IMAGE);
}

/** A folder with busybox in it. */
function makeRoot(): string {
  const root = mkdtempSync(join(tmpdir(), "orchd-image-"));
  for (const folder of ["bin", "etc", "tmp"]) mkdirSync(join(root, folder));
  chmodSync(join(root, "tmp"), 0o1777);
  const found = execFileSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" }).trim();
  copyFileSync(found, join(root, "bin/busybox"));
  const links = "for name in $(./busybox --list); do ln -sf busybox $name; done";
  execFileSync("sh", ["-c", links], { cwd: join(root, "bin") });
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  return root;
}

function packImage(root: string, image: string): void {
  const pack = `tar -C "$1" -c . | podman import - "$2"`;
  execFileSync("sh", ["-c", pack, "sh", root, image], { stdio: "ignore" });
  rmSync(root, { recursive: true });
}

function sentence(because: string): string {
  return (
    `no container can be run here (${because}): install podman, runc, conmon, catatonit and ` +
    "busybox-static, or set ORCHD_SKIP_CONTAINERS=1"
  );
}
