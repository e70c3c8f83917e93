/** What the containers are that an earlier daemon left. Pure. */
import { isKeptName } from "./container-name.ts";
import type { LeftContainer } from "./earlier-engines.ts";
import type { ContainerState } from "./engine.ts";

/** The containers of runners, but those that stay. */
export function runnersAmong(left: ReadonlyMap<string, LeftContainer>): LeftContainer[] {
  return [...left.values()].filter(
    ({ state }) => state.labels["orchd.runner"] !== undefined && !isKept(state),
  );
}

/** Whether the container of a failed attempt stays, as its step asked. */
export function isKept({ name, labels, running, startedAt, exitCode }: ContainerState): boolean {
  if (labels["orchd.runner"] !== undefined) return isKeptName(name);
  return (
    labels["orchd.keep"] === "on-failure" && !running && startedAt !== undefined && exitCode !== 0
  );
}
