/** orchd.yaml as it is written, without the modules that it names. */
import { join } from "node:path";
import { isObject } from "../core/json-object.ts";
import { DEFAULT_SETTINGS, orchdSettingsSchema, type OrchdSettings } from "../core/settings.ts";
import { checkShape } from "../core/shape-faults.ts";
import type { TelemetrySettings } from "../core/telemetry-settings.ts";
import { formatProblem, problemOf, type Problem } from "./problem.ts";
import { readSafeFile } from "./safe-file.ts";
import { decodeUtf8, readSourceText, type SourceText } from "./source-text.ts";

/**
 * What orchd.yaml says about the cache, for a reader that loads no module. A file that is missing
 * or wrong says nothing: the daemon tells what is wrong with it.
 */
export function readCacheSettings(root: string): Pick<OrchdSettings, "project" | "enableCache"> {
  const file = readSettingsFile(join(root, "orchd.yaml"));
  const source = file.ok ? file.source : undefined;
  const shape = source === undefined ? undefined : checkShape(orchdSettingsSchema, source.value);
  const written = shape?.ok === true ? shape.value : {};
  const { project, enableCache } = DEFAULT_SETTINGS;
  return { project: written.project ?? project, enableCache: written.enableCache ?? enableCache };
}

/**
 * Whether orchd.yaml has `notify:`, and each channel's kind by its name, for a reader that shows
 * them: the rest of the file is not checked. `orchd validate` says what is wrong with it.
 */
export function readNotifySetup(root: string): {
  readonly configured: boolean;
  readonly channels: ReadonlyMap<string, string | null>;
} {
  const file = readSettingsFile(join(root, "orchd.yaml"));
  const notify = memberOf(file.ok ? file.source?.value : undefined, "notify");
  const channels = memberOf(notify, "channels");
  return {
    configured: notify !== undefined && notify !== null,
    channels: new Map(
      Object.keys(isObject(channels) ? channels : {}).map((name) => {
        const kind = memberOf(memberOf(channels, name), "kind");
        return [name, typeof kind === "string" ? kind : null];
      }),
    ),
  };
}

function memberOf(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/**
 * Where orchd.yaml has traces sent, for a program that loads no module. Undefined: it does not say.
 *
 * @throws Error, a sentence, where the file cannot be read or is wrong
 */
export function readTelemetrySettings(root: string): TelemetrySettings | undefined {
  const path = join(root, "orchd.yaml");
  const file = readSettingsFile(path);
  if (!file.ok) throw new Error(formatProblem(file.errors[0]!));
  if (file.source === undefined) return undefined;
  const shape = checkShape(orchdSettingsSchema, file.source.value);
  if (shape.ok) return shape.value.telemetry;
  const fault = shape.faults[0]!;
  const position = file.source.locate(fault.path, fault.atKey);
  throw new Error(formatProblem(problemOf(path, fault, position)));
}

/** What the file says. `source` is undefined if there is no file, or nothing in it. */
export function readSettingsFile(
  path: string,
):
  | { readonly ok: true; readonly source: SourceText | undefined }
  | { readonly ok: false; readonly errors: readonly Problem[] } {
  const fail = (...errors: Problem[]) => ({ ok: false, errors }) as const;
  const file = readSafeFile(path);
  if (!file.ok)
    return file.missing === true && !file.message.includes("link")
      ? { ok: true, source: undefined }
      : fail({ file: path, message: file.message });
  const decoded = decodeUtf8(file.bytes);
  if (!decoded.ok) return fail({ file: path, message: decoded.message });
  if (decoded.text.replace(/^\s*#.*$/gm, "").trim() === "") return { ok: true, source: undefined };
  const parsed = readSourceText(decoded.text, "yaml");
  return parsed.ok
    ? parsed
    : fail(...parsed.faults.map(({ message, position }) => ({ file: path, ...position, message })));
}
