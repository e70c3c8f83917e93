/**
 * `orchd notify` beside the daemon, where orchd.yaml has `notify`. It reads orchd.yaml by itself.
 */
import type { NotifySettings } from "../core/notify-settings.ts";
import { networkEnvironment } from "./network-environment.ts";
import { rootWords, SupervisedProgram, type SupervisionPorts } from "./supervised-program.ts";

/** What the supervision needs. */
export interface SupervisedNotifyOptions extends SupervisionPorts {
  /** What orchd.yaml says now: `notify`, and what else it goes by; undefined: it has none. */
  readonly settings: () => NotifyProgramSettings | undefined;
  /** The daemon's environment. */
  readonly env: NodeJS.ProcessEnv;
}

/** What the program reads of orchd.yaml: it is started again when any of it changes. */
export interface NotifyProgramSettings {
  readonly notify: NotifySettings;
  readonly timezone: string;
  readonly keepDays: number;
}

/** Keeps `orchd notify` running. */
export function superviseNotify(
  options: SupervisedNotifyOptions,
): SupervisedProgram<NotifyProgramSettings> {
  const { program, roots, env, log } = options;
  return new SupervisedProgram({
    ...options,
    name: "orchd notify",
    start: () => ({
      path: program(),
      words: ["notify", "--json", ...rootWords(roots)],
      env: networkEnvironment(env),
      secrets: [],
    }),
    onAnswer: () => log.info({}, "orchd notify tells people what orchd.yaml's `notify` says"),
  });
}
