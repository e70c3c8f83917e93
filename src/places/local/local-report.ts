import { hostname } from "node:os";
import type { PlaceReport } from "../../core/place-report.ts";

/** What this machine's own place says of itself. */
export function localReport(threads: number): PlaceReport {
  const [node, platform] = [process.versions.node, `${process.platform}/${process.arch}`];
  return {
    place: "local",
    engine: "local",
    labels: ["local"],
    hosts: [{ host: hostname(), labels: [], threads, node, platform }],
  };
}
