/** What somebody did, or what happened to the daemon, in sentences. */
import { basename } from "node:path";
import { iso } from "../core/time.ts";
import { readDaemonPast } from "../ledger/daemon-history.ts";
import type { Change } from "./overview.ts";
import type { PlainLine } from "./plain-line.ts";
import { beginning } from "../core/whole-characters.ts";

/** How much of a file's fault is shown, in characters. */
const FAULT_CHARACTERS = 300;

/** The changes among a pipeline's lines from `from` on (milliseconds since 1970), newest first. */
export function changesOf(pipeline: string, lines: readonly PlainLine[], from: number): Change[] {
  let digest: unknown;
  let isBad = false;
  const changes = lines.flatMap((line): Change[] => {
    const { type, at } = line;
    if (typeof at !== "string") return [];
    const change = changeOf(pipeline, line, digest, isBad);
    if (type === "pipeline.loaded") [digest, isBad] = [line["digest"], false];
    if (type === "pipeline.invalid" || type === "pipeline.removed") isBad = true;
    return change === undefined || Date.parse(at) < from ? [] : [{ at, pipeline, ...change }];
  });
  return changes.toReversed();
}

function changeOf(
  pipeline: string,
  line: PlainLine,
  digest: unknown,
  isBad: boolean,
): Pick<Change, "kind" | "sentence"> | undefined {
  const file = typeof line["file"] === "string" ? basename(line["file"]) : pipeline;
  const by = typeof line["by"] === "string" ? ` by ${line["by"]}` : "";
  switch (line["type"]) {
    case "pipeline.loaded":
      // Rotation repeats the last load without `since`. An upgrade repeats it with the same digest.
      return line["since"] === undefined || (line["digest"] === digest && !isBad)
        ? undefined
        : { kind: "valid", sentence: `${file} is in force.` };
    case "pipeline.invalid": {
      const [first = "no reason was recorded"] = (line["errors"] ?? []) as readonly string[];
      const fault = beginning(first, FAULT_CHARACTERS);
      return { kind: "invalid", sentence: `${file} is not valid: ${fault}` };
    }
    case "pipeline.removed":
      return { kind: "removed", sentence: `${file} was removed.` };
    case "pipeline.paused":
      return { kind: "paused", sentence: `${pipeline} was paused${by}.` };
    case "pipeline.resumed":
      return { kind: "resumed", sentence: `${pipeline} was resumed${by}.` };
    default:
      return undefined;
  }
}

/** The daemon's own changes from `from` on (milliseconds since 1970), newest first. */
export function daemonChanges(orchdDir: string, from: number): Change[] {
  return readDaemonPast(orchdDir)
    .lines.filter(({ at }) => at >= iso(from))
    .map(({ at, type, version }): Change => {
      const sentence =
        type === "daemon.began"
          ? `The daemon began (release ${version}).`
          : type === "daemon.ended"
            ? "The daemon ended."
            : "The daemon was last seen, and ended without a word.";
      return { at, kind: "daemon", pipeline: null, sentence };
    })
    .toReversed();
}
