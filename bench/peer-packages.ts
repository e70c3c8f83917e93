/** Where `npm ci --prefix bench/peers` puts the peers, which are no dependency of orchd. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** dist/bench/ is where the benches run. */
export const peerPackages = join(import.meta.dirname, "../../bench/peers/node_modules");

/** The installed version of a peer. @throws a Node error where it is not installed */
export function versionOf(name: string): string {
  return (
    JSON.parse(readFileSync(join(peerPackages, name, "package.json"), "utf8")) as {
      version: string;
    }
  ).version;
}
