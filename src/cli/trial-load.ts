/**
 * Loads a text as the daemon would load the file, before the file is written.
 *
 * Only a declared pipeline without modules can be tried: nothing is bundled or evaluated.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OrchdSettings } from "../core/settings.ts";
import { loadPipelineFile, type LoadResult } from "../schedules/load-file.ts";

/**
 * What the text loads as.
 *
 * @param name the file's name, with its ending
 */
export async function trialLoad(
  name: string,
  text: string,
  settings: OrchdSettings,
): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), "orchd-import-"));
  try {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return await loadPipelineFile(file, {
      root: folder,
      bundlesDir: join(folder, "bundles"),
      settings,
      evaluate: () => Promise.reject(new Error("no code is evaluated here")),
      refuses: () => Promise.resolve(undefined),
      now: Date.now(),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
