/**
 * `orchd notify` beside the daemon, where orchd.yaml has `notify`. It reads orchd.yaml by itself.
 */
import { notifyProgramSettings, type NotifyProgramSettings } from "../core/notify-program.ts";
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

/** Keeps `orchd notify` running. */
export function superviseNotify(
  options: SupervisedNotifyOptions,
): SupervisedProgram<NotifyProgramSettings> {
  const { program, roots, env, log } = options;
  return new SupervisedProgram({
    ...options,
    name: "orchd notify",
    settings: () => notifyProgramSettings(options.settings()),
    start: () => ({
      path: program(),
      words: ["notify", "--json", ...rootWords(roots)],
      env: networkEnvironment(env),
      secrets: [],
    }),
    onAnswer: () => log.info({}, "orchd notify tells people what orchd.yaml's `notify` says"),
  });
}
