/**
 * The order of the test files: those that take longest begin first, so that none of them runs alone
 * at the end. Files that mostly wait (for leases, for a broker, for the clock) stand between files
 * that compute, so that a waiting one leaves its core to others.
 *
 * Vitest knows how long files took from its cache, which a new clone does not have. Without it the
 * larger file comes first: that order is kept for all files that are not named here. Files that
 * share a worker are short, and come last.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** The files that take more than some 15 s, without `.test.ts`, in their order. */
export const LONG: readonly string[] = [
  "conformance/place/ssh",
  "system/far-secrets",
  "faults/long-turns",
  "faults/worker-loss",
  "faults/begun-ahead",
  "faults/farm-kill",
  "conformance/place/container-modules",
  "page/run-page",
  "places/ssh/ssh-place",
  "page/five-questions",
  "page/lost-answers",
  "faults/clock-step",
  "conformance/maximal",
  "conformance/place/docker",
  "faults/far-lease",
  "faults/disk-full",
  "conformance/place/workers",
  "faults/pipelines-apart",
  "conformance/place/stdio",
  "faults/crash-simulation",
  "worker/worker-process",
  "system/package",
  "faults/request-flood",
  "faults/touched-ledgers",
  "faults/ssh-kill",
  "faults/page-harm",
  "conformance/place/shells",
  "faults/daemon-kill",
  "faults/frozen-disk",
  "faults/export-kill",
  "system/flavor-reload",
  "conformance/place/exec",
  "system/place-pipelines",
  "system/first-process",
  "faults/container-kill",
  "faults/path-faults",
  "system/page-supervised",
  "faults/container-steps-kill",
  "places/ssh/prepare",
  "system/crash",
  "examples/over-ssh",
  "conformance/place/nats",
  "faults/held-up",
  "faults/orphans",
  "system/export-otlp",
  "system/build",
];

/** The place of a file in the order: files that are not named come after those that are. */
function placeOf({ moduleId, project }: TestSpecification): number {
  // A worker is shared by files that come one after the other.
  if (!project.config.isolate) return LONG.length + 1;
  const name = /\/test\/(.*)\.test\.ts$/.exec(moduleId)?.[1] ?? "";
  const place = LONG.indexOf(name);
  return place < 0 ? LONG.length : place;
}

export default class FileOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => placeOf(one) - placeOf(other));
  }
}
