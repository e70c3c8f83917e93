import type { NotifySettings } from "./notify-settings.ts";
import type { OrchdSettings } from "./settings.ts";

/** All that `orchd notify` goes by in orchd.yaml: where any of it changes, so does what it does. */
export interface NotifyProgramSettings {
  readonly notify: NotifySettings;
  readonly timezone: string;
  readonly keepDays: number;
  /** Channels that run a command give it these. */
  readonly env: OrchdSettings["env"];
}

/** What `orchd notify` goes by. Undefined without `notify`: there is nobody to tell. */
export function notifyProgramSettings({
  notify,
  timezone,
  retention: { keepDays },
  env,
}: OrchdSettings): NotifyProgramSettings | undefined {
  return notify === undefined ? undefined : { notify, timezone, keepDays, env };
}
