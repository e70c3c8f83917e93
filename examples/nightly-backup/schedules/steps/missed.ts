/** Notes the nights without a backup beside the archives: that is where somebody looks for one. */
import { appendFile, mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { HookContext } from "orchd";

/** What an `onMissed` hook also gets: the missed slots and the pipeline's params. */
interface Missed extends HookContext {
  readonly slots: readonly {
    readonly slot: string;
    /** Set where one entry stands for many slots, from `slot` to `until`. */
    readonly until?: string;
    readonly because: string;
  }[];
  readonly params: { readonly archives: string };
}

const schedules = fileURLToPath(new URL("..", import.meta.url));

export default async function missed({ slots, params, log }: Missed): Promise<void> {
  const lines = slots.map(
    ({ slot, until, because }) =>
      `no backup of ${slot}${until === undefined ? "" : ` to ${until}`}: ${because}`,
  );
  for (const line of lines) log.warn(line);
  const archives = resolve(schedules, params.archives);
  await mkdir(archives, { recursive: true });
  await appendFile(resolve(archives, "MISSED.txt"), `${lines.join("\n")}\n`);
}
