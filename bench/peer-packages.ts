/** Where `npm ci --prefix bench/peers` installs the peers. They are no dependency of orchd. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The benches run in dist/bench/. */
export const peerPackages = join(import.meta.dirname, "../../bench/peers/node_modules");

/** The installed version of a peer. @throws a Node error if it is not installed */
export function versionOf(name: string): string {
  return (
    JSON.parse(readFileSync(join(peerPackages, name, "package.json"), "utf8")) as {
      version: string;
    }
  ).version;
}
