/**
 * A network of its own for a process of a test, as another machine has: a network namespace, and
 * one link to it that can be cut. Where one cannot be made the tests fail, and say so in one line.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { onTestFinished } from "vitest";

let made = 0;

/** A network and the link to it. Made inside a test, it is gone when the test is over. */
export class PrivateNetwork {
  /** The address of this side of the link. */
  readonly here: string;
  /** What runs a program in it: words before the program's. */
  readonly through: readonly string[];
  readonly #name: string;
  readonly #link: string;

  /** @throws Error, one line, if none can be made */
  constructor() {
    const number = (made += 1);
    this.#name = `orchd-net-${process.pid}-${number}`;
    this.#link = `on${process.pid.toString(36)}-${number}`;
    this.through = ["ip", "netns", "exec", this.#name];
    const { here, there } = freeAddresses();
    this.here = here;
    onTestFinished(() => this.remove());
    ip("netns", "add", this.#name);
    ip("link", "add", this.#link, "type", "veth", "peer", "name", "eth0", "netns", this.#name);
    ip("address", "add", `${here}/30`, "dev", this.#link);
    ip("link", "set", this.#link, "up");
    ip("-n", this.#name, "address", "add", `${there}/30`, "dev", "eth0");
    this.mend();
  }

  /** Cuts the link. What is sent is lost, and nobody hears of it. */
  cut(): void {
    ip("-n", this.#name, "link", "set", "eth0", "down");
  }

  /** The link is there again. */
  mend(): void {
    ip("-n", this.#name, "link", "set", "eth0", "up");
  }

  remove(): void {
    for (const words of [
      ["link", "del", this.#link],
      ["netns", "del", this.#name],
    ])
      spawnSync("ip", words);
  }
}

function ip(...words: string[]): void {
  const { status, stderr, error } = spawnSync("ip", words, { encoding: "utf8" });
  if (status === 0) return;
  const because = error?.message ?? stderr.trim();
  throw new Error(
    `no network can be made here (ip ${words.join(" ")}: ${because}): run as root with network ` +
      "namespaces, or set ORCHD_SKIP_NAMESPACES=1",
  );
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
