/**
 * Machines for tests and benches: each is a network namespace with a real sshd in it, its own host
 * key and its own processes. Keys, configs and known hosts are in a folder of its own. Nothing of
 * the system's is changed.
 *
 * Where a program or a right of the kernel is missing, the tests fail and say so in one line.
 * `ORCHD_SKIP_NAMESPACES=1` has them skipped.
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { defined } from "../../src/core/defined.ts";
import type { SshPlaceSettings } from "../../src/core/place-settings.ts";

/** Whether the tests with namespaces are to be left out. */
export const SKIP_NAMESPACES = process.env["ORCHD_SKIP_NAMESPACES"] === "1";

const SSHD = "/usr/sbin/sshd";
/** What runs in a machine that no step runs in. */
const OWN = /^\d+ (?:$|sshd|\/usr\/sbin\/sshd|unshare|sh -c mount|cat$)/s;
const GUARD = "orchd-guard";

/**
 * Sees that machines can be made.
 *
 * @throws Error, one line, if they cannot
 */
export function readyNamespaces(): void {
  if (!existsSync(SSHD)) throw new Error(sentence("there is no sshd"));
  const name = `orchd-try-${process.pid}`;
  const words = ["netns", "exec", name, "unshare", "--pid", "--mount", "--fork", "true"];
  for (const each of [["netns", "add", name], words, ["netns", "del", name]]) {
    const { status, stderr, error } = spawnSync("ip", each, { encoding: "utf8" });
    if (status === 0) continue;
    spawnSync("ip", ["netns", "del", name]);
    throw new Error(sentence(error?.message ?? stderr.trim().split("\n").at(-1) ?? ""));
  }
}

function sentence(because: string): string {
  return (
    `no machine can be made here (${because}): run as root with network namespaces, install ` +
    "openssh-server, openssh-client and iproute2, or set ORCHD_SKIP_NAMESPACES=1"
  );
}

/** What a machine is started with. */
export interface FarHostOptions {
  /** Lines of sshd's config. They count before its others. */
  readonly config?: readonly string[];
  /** A shell text that runs before sshd, in the machine. */
  readonly before?: string;
}

let made = 0;

/** One machine. {@link make} makes it, and {@link remove} removes it. */
export class FarMachine {
  /** Its address. */
  readonly host: string;
  /** The folder with its keys. */
  readonly keys: string;
  /** Where a place keeps its files. */
  readonly folder: string;
  readonly #name: string;
  readonly #link: string;
  readonly #options: FarHostOptions;
  #process: ChildProcess | undefined;

  readonly #here: string;

  /** @param keys the folder for its keys and its files */
  constructor(keys: string, options: FarHostOptions = {}) {
    const { here, there } = freeAddresses();
    this.#here = here;
    this.#options = options;
    const number = (made += 1);
    this.#name = `orchd-${process.pid}-${number}`;
    this.#link = `oh${process.pid.toString(36)}-${number}`;
    this.host = there;
    this.keys = keys;
    this.folder = join(this.keys, "orchd");
  }

  /** Makes it. Its sshd answers. */
  async make(): Promise<void> {
    ip("netns", "add", this.#name);
    ip("link", "add", this.#link, "type", "veth", "peer", "name", "eth0", "netns", this.#name);
    ip("address", "add", `${this.#here}/30`, "dev", this.#link);
    ip("link", "set", this.#link, "up");
    ip("-n", this.#name, "address", "add", `${this.host}/30`, "dev", "eth0");
    for (const link of ["eth0", "lo"]) ip("-n", this.#name, "link", "set", link, "up");
    this.#makeKeys();
    await this.boot();
  }

  /** Settings of a place that reaches it. */
  settings(more: Partial<SshPlaceSettings> = {}): SshPlaceSettings {
    return defined({
      engine: "ssh",
      host: this.host,
      user: userInfo().username,
      identity: join(this.keys, "user"),
      knownHosts: join(this.keys, "known_hosts"),
      folder: this.folder,
      node: process.execPath,
      threads: 2,
      labels: [],
      ...more,
    });
  }

  /** Cuts the way to it. What is sent is lost, and nobody hears of it. */
  cut(): void {
    // Its own end: without this one's, the way would lead to another network.
    ip("-n", this.#name, "link", "set", "eth0", "down");
  }

  /** The way is there again. */
  mend(): void {
    ip("-n", this.#name, "link", "set", "eth0", "up");
  }

  /** Ends all its processes at once, as a power failure does. */
  async crash(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    for (const pid of this.pids()) killHard(pid);
    child.kill("SIGKILL");
    await gone;
  }

  /** Starts sshd, after {@link crash} too. */
  async boot(): Promise<void> {
    const text =
      "mount -t tmpfs tmpfs /run && mkdir /run/sshd && mount -t tmpfs tmpfs /dev/shm && " +
      `${this.#options.before ?? ":"} && exec ${SSHD} -D -e -f ${join(this.keys, "sshd_config")}`;
    const inside = ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"];
    const child = spawn("ip", ["netns", "exec", this.#name, ...inside, "sh", "-c", text], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: process.env["PATH"] },
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (part: string) => (said += part));
    this.#process = child;
    while (!(await answers(this.host)))
      if (child.exitCode !== null) throw new Error(`sshd did not start: ${said}`);
  }

  /**
   * Its processes but sshd's own, what it started for connections, and guards with what they start:
   * these live a moment longer than what they end.
   */
  processes(): string[] {
    const pids = this.pids();
    // First: a guard that ends meanwhile ends what it started too.
    const guards = new Set(pids.filter((pid) => commandOf(pid).includes(GUARD)));
    return pids
      .filter((pid) => !guards.has(pid) && !guards.has(groupOf(pid) ?? 0))
      .map((pid) => `${pid} ${commandOf(pid)}`)
      .filter((line) => !OWN.test(line) && !line.includes(GUARD));
  }

  /** The pids of all its processes, as this machine counts them. */
  pids(): number[] {
    const init = this.#init();
    if (init === undefined) return [];
    const space = spaceOf(init);
    if (space === undefined) return [];
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && spaceOf(Number(name)) === space)
      .map(Number);
  }

  /** Runs a shell text in it, as root. @returns what it printed */
  run(text: string): string {
    const words = ["--target", String(this.#init()), "--pid", "--mount", "--net"];
    return execFileSync("nsenter", [...words, "sh", "-c", text], { encoding: "utf8" });
  }

  /** Ends it, and its network. */
  async remove(): Promise<void> {
    await this.crash();
    for (const words of [
      ["link", "del", this.#link],
      ["netns", "del", this.#name],
    ])
      spawnSync("ip", words);
  }

  #init(): number | undefined {
    const pid = this.#process?.pid;
    if (pid === undefined) return undefined;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return children === "" ? undefined : Number(children.split(" ")[0]);
  }

  #makeKeys(): void {
    mkdirSync(join(this.keys, "home"), { recursive: true });
    for (const name of ["host", "user"]) makeKey(join(this.keys, name));
    const [type, key] = readFileSync(join(this.keys, "host.pub"), "utf8").split(" ");
    writeFileSync(join(this.keys, "known_hosts"), `${this.host} ${type} ${key}\n`);
    writeFileSync(
      join(this.keys, "authorized_keys"),
      readFileSync(join(this.keys, "user.pub"), "utf8"),
    );
    const lines = [
      ...(this.#options.config ?? []),
      // A home of its own: a shell there reads no files of the account here. These may take long,
      // and what is killed in the middle of them may leave a lock that all later shells wait for.
      `SetEnv HOME=${join(this.keys, "home")}`,
      `ListenAddress ${this.host}`,
      `HostKey ${join(this.keys, "host")}`,
      `AuthorizedKeysFile ${join(this.keys, "authorized_keys")}`,
      "PidFile none",
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin yes",
      "MaxStartups 100",
      "LogLevel ERROR",
    ];
    writeFileSync(join(this.keys, "sshd_config"), `${lines.join("\n")}\n`);
  }
}

/** Makes a pair of keys without a passphrase. */
export function makeKey(path: string): void {
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path]);
}

function ip(...words: string[]): void {
  const { status, stderr } = spawnSync("ip", words, { encoding: "utf8" });
  if (status !== 0) throw new Error(sentence(`ip ${words.join(" ")}: ${stderr.trim()}`));
}

/** Two addresses of a network of their own. */
function freeAddresses(): { readonly here: string; readonly there: string } {
  const taken = execFileSync("ip", ["-o", "address"], { encoding: "utf8" });
  for (;;) {
    const [two, three] = [128 + random(128), random(256)];
    const four = 4 * random(64);
    const here = `10.${two}.${three}.${four + 1}`;
    if (!taken.includes(`${here}/`)) return { here, there: `10.${two}.${three}.${four + 2}` };
  }
}

const random = (below: number): number => Math.floor(Math.random() * below);

function answers(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: 22 });
    const end = (answer: boolean): void => {
      socket.destroy();
      // It is asked again at once where nothing listens yet.
      setTimeout(() => resolve(answer), answer ? 0 : 5);
    };
    socket.once("data", () => end(true)).once("error", () => end(false));
  });
}

function spaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

/** The process group of a process. */
function groupOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold anything: what follows is counted from its end.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
  } catch {
    return undefined;
  }
}

function killHard(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone.
  }
}
