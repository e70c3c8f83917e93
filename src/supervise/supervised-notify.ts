/**
 * `orchd notify` beside the daemon, where orchd.yaml has `notify`. It reads orchd.yaml by itself.
 */
import type { NotifySettings } from "../core/notify-settings.ts";
import type { OrchdSettings } from "../core/settings.ts";
import { networkEnvironment } from "./network-environment.ts";
import { rootWords, SupervisedProgram, type SupervisionPorts } from "./supervised-program.ts";

/** What the supervision needs. */
export interface SupervisedNotifyOptions extends SupervisionPorts {
  /** What orchd.yaml says now. */
  readonly settings: () => OrchdSettings;
  /** The daemon's environment. */
  readonly env: NodeJS.ProcessEnv;
}

/** What the program reads of orchd.yaml: it is started again when any of it changes. */
export interface NotifyProgramSettings {
  readonly notify: NotifySettings;
  readonly timezone: string;
  readonly keepDays: number;
  /** Channels that run a command give it these. */
  readonly env: OrchdSettings["env"];
}

/** Keeps `orchd notify` running. */
export function superviseNotify(
  options: SupervisedNotifyOptions,
): SupervisedProgram<NotifyProgramSettings> {
  const { program, roots, env, log } = options;
  return new SupervisedProgram({
    ...options,
    name: "orchd notify",
    settings: () => goesBy(options.settings()),
    start: () => ({
      path: program(),
      words: ["notify", "--json", ...rootWords(roots)],
      env: networkEnvironment(env),
      secrets: [],
    }),
    onAnswer: () => log.info({}, "orchd notify tells people what orchd.yaml's `notify` says"),
  });
}

/** Undefined without `notify`: there is nobody to tell. */
function goesBy({
  notify,
  timezone,
  retention: { keepDays },
  env,
}: OrchdSettings): NotifyProgramSettings | undefined {
  return notify === undefined ? undefined : { notify, timezone, keepDays, env };
}
