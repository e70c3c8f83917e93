/** A container engine as tests use it, whichever it is, and the images that they need. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { EngineName } from "../../src/places/container/engine.ts";

/** An image with a shell and the usual small programs. */
export const TEST_IMAGE = "localhost/orchd-test:1";

/** An image that has this process's Node too. */
export const NODE_IMAGE = `localhost/orchd-test-node:${process.versions.node}`;

/** Whether the kernel limits memory here, as it does not in each sandbox. */
export const LIMITS_MEMORY =
  existsSync("/sys/fs/cgroup/memory/memory.limit_in_bytes") ||
  (existsSync("/sys/fs/cgroup/cgroup.controllers") &&
    readFileSync("/sys/fs/cgroup/cgroup.controllers", "utf8").includes("memory"));

/** How a command of the engine ended. */
export interface EngineAnswer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One engine, by its program. */
export class TestEngine {
  readonly name: EngineName;

  constructor(name: EngineName) {
    this.name = name;
  }

  /** Runs the engine's program. */
  run(...words: readonly string[]): EngineAnswer {
    return spawnSync(this.name, words, { encoding: "utf8" });
  }

  /** Makes {@link TEST_IMAGE} where it is missing. */
  makeImage(): void {
    if (!this.#has(TEST_IMAGE)) this.#pack(makeRoot(), TEST_IMAGE);
  }

  /** Makes {@link NODE_IMAGE} where it is missing. */
  makeNodeImage(): void {
    if (this.#has(NODE_IMAGE)) return;
    const root = makeRoot();
    const place = (file: string, to: string): void => {
      mkdirSync(dirname(join(root, to)), { recursive: true });
      copyFileSync(file, join(root, to));
    };
    place(process.execPath, "bin/node");
    const libraries = execFileSync("ldd", [process.execPath], { encoding: "utf8" });
    for (const [, file] of libraries.matchAll(/(\/\S+) \(0x/g)) place(realpathSync(file!), file!);
    this.#pack(root, NODE_IMAGE);
  }

  /** Why no container can be run. Undefined: one can. {@link TEST_IMAGE} has to be there. */
  tried(): string | undefined {
    const words = ["run", "--rm", "--init", "--network=none", TEST_IMAGE, "true"];
    const { status, stderr } = this.run(...words);
    return status === 0 ? undefined : (stderr.trim().split("\n").at(-1) ?? `status ${status}`);
  }

  /** The names of the containers of a root, whatever their state. */
  containersOf(runs: string): string[] {
    const filter = `label=orchd.root=${runs}`;
    const { stdout } = this.run("ps", "--all", "--filter", filter, "--format", "{{.Names}}");
    return stdout.split("\n").filter((name) => name !== "");
  }

  /** Ends and removes containers, at once. */
  remove(...names: readonly string[]): void {
    if (names.length > 0)
      this.run("rm", "--force", ...(this.name === "podman" ? ["--time", "0"] : []), ...names);
  }

  #has(image: string): boolean {
    return this.run("image", "inspect", "--format", "{{.Id}}", image).status === 0;
  }

  #pack(root: string, image: string): void {
    const pack = `tar -C "$1" -c . | "$3" import - "$2"`;
    execFileSync("sh", ["-c", pack, "sh", root, image, this.name], { stdio: "ignore" });
    rmSync(root, { recursive: true });
  }
}

/** A folder with busybox in it. */
function makeRoot(): string {
  const root = mkdtempSync(join(tmpdir(), "orchd-image-"));
  for (const folder of ["bin", "etc", "tmp"]) mkdirSync(join(root, folder));
  chmodSync(join(root, "tmp"), 0o1777);
  const found = execFileSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" }).trim();
  copyFileSync(found, join(root, "bin/busybox"));
  const links = "for name in $(./busybox --list); do ln -sf busybox $name 2>/dev/null; done";
  execFileSync("sh", ["-c", links], { cwd: join(root, "bin") });
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  return root;
}
