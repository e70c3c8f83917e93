/** A pipeline's file as it stands, with what is wrong with it at its lines. */
import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync } from "node:fs";
import { basename, join, sep } from "node:path";
import { nameOfFile } from "../core/pipeline-file-name.ts";
import { RunStore } from "../ledger/run-store.ts";
import { knownPipeline, mayNamePipeline } from "./known-pipeline.ts";
import { unlessDamaged, type NoView } from "./no-view.ts";
import { pipelineFiles } from "./pipeline-file-list.ts";
import type { PipelineFilePage } from "./pipeline-page.ts";
import { readPipeline } from "./pipeline-reading.ts";
import type { Roots } from "./roots.ts";

/** A longer file is refused by the daemon too, in bytes. */
const MOST_BYTES = 1_048_576;
/** `schedules/x.yaml:3:5: schedule.cronn is not known here` */
const FAULT = /^(.+?):(\d{1,9}):\d+: (.*)$/s;

/**
 * The file of a pipeline. Only what lies in the drop folder is shown, whatever a ledger or a link
 * says.
 *
 * @throws a Node error where this user may not read its ledger
 */
export function readPipelineFile(
  roots: Roots,
  name: string,
): { readonly ok: true; readonly page: PipelineFilePage } | NoView {
  const known = knownPipeline(roots, name);
  if (!known.ok) return known;
  return unlessDamaged(() => {
    const state = readPipeline(new RunStore(roots.runs), name)?.state;
    const file = state?.file ?? fileOf(roots, name);
    const faults = (state?.errors ?? []).map((text) => faultOf(text, file));
    if (file === undefined) {
      const because = "no ledger names its file, and none in the drop folder is its file";
      return { ok: true as const, page: { file: "", text: null, because, faults } };
    }
    return { ok: true as const, page: { file, ...textOf(roots, file), faults } };
  });
}

/** The file in the drop folder that seems to be the pipeline's. */
function fileOf({ schedules }: Roots, name: string): string | undefined {
  const files = pipelineFiles(schedules);
  const found =
    files.find((file) => nameOfFile(file) === name) ??
    files.find((file) => mayNamePipeline(join(schedules, file), name));
  return found === undefined ? undefined : join(schedules, found);
}

function faultOf(text: string, file: string | undefined): PipelineFilePage["faults"][number] {
  const [, path, line, rest] = FAULT.exec(text) ?? [];
  return path !== undefined && file !== undefined && basename(path) === basename(file)
    ? { line: Number(line), text: rest! }
    : { line: null, text };
}

function textOf(roots: Roots, file: string): Pick<PipelineFilePage, "text" | "because"> {
  const not = (because: string): ReturnType<typeof textOf> => ({ text: null, because });
  let fd: number | undefined;
  try {
    const path = realpathSync(file);
    if (!path.startsWith(realpathSync(roots.schedules) + sep))
      return not("it does not lie in the drop folder, and only what lies there is shown");
    // A pipe that has the name of a file must not block, and a link that came meanwhile is refused.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    const stats = fstatSync(fd);
    if (!stats.isFile()) return not("it is no regular file");
    if (stats.size > MOST_BYTES) return not("it is longer than 1 MiB");
    return {
      text: new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(fd)),
      because: null,
    };
  } catch (error) {
    return not(becauseOf(error as NodeJS.ErrnoException));
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function becauseOf({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "it is gone";
    case "EACCES":
    case "EPERM":
      return "this user may not read it";
    case "ERR_ENCODING_INVALID_ENCODED_DATA":
      return "it is not UTF-8";
    default:
      return message;
  }
}
