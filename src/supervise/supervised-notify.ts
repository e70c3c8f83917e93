/**
 * `orchd notify` beside the daemon, kept running by a {@link Supervisor} where orchd.yaml has
 * `notify`. It reads orchd.yaml by itself; other settings start it again. The daemon loads nothing
 * of it.
 *
 * Of the daemon's environment it gets what channels need: the folder of secrets, proxies and
 * trusted certificates.
 */
import type { Clock } from "../clock.ts";
import type { NotifySettings } from "../core/notify-settings.ts";
import { TOKEN_VARIABLE } from "../core/task.ts";
import type { Log } from "../log.ts";
import { startNode } from "./node-child.ts";
import { Supervisor, type Child, type ChildListener } from "./supervisor.ts";

/** Variables that channels need, beside those that every program gets. */
const PASSED = [
  "CREDENTIALS_DIRECTORY",
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  ...["http_proxy", "https_proxy", "all_proxy", "no_proxy"].flatMap((name) => [
    name,
    name.toUpperCase(),
  ]),
];

/** What the supervision needs. */
export interface SupervisedNotifyOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly roots: { readonly root: string; readonly schedules: string; readonly runs: string };
  /** What orchd.yaml says now: `notify`, and what else it goes by; undefined: it has none. */
  readonly settings: () => NotifyProgramSettings | undefined;
  /** The command line's built program. */
  readonly program: () => string;
  /** What later daemons find the process by, if it outlives this one (`ORCHD_RUNNER_TOKEN`). */
  readonly mark: string;
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
export class SupervisedNotify {
  readonly #options: SupervisedNotifyOptions;
  readonly #supervisor: Supervisor<NotifyProgramSettings>;
  #begun = false;

  constructor(options: SupervisedNotifyOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#supervisor = new Supervisor("orchd notify", {
      clock,
      log,
      start: (_settings, listener) => this.#start(listener),
    });
  }

  /** Starts it, where orchd.yaml asks for it: the daemon is ready. */
  begin(): void {
    this.#begun = true;
    this.refresh();
  }

  /** The settings were read again. It starts, ends or starts again where they say so. */
  refresh(): void {
    if (this.#begun) this.#supervisor.want(this.#options.settings());
  }

  /** Ends it. Resolves within a good second, when its process is gone. */
  close(): Promise<void> {
    return this.#supervisor.close();
  }

  #start(listener: ChildListener): Child {
    const { program, roots, mark, clock, env, log } = this.#options;
    const { root, schedules, runs } = roots;
    const passed = PASSED.flatMap((name) => {
      const value = env[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    const node = {
      path: program(),
      words: ["notify", "--json", "--root", root, "--schedules", schedules, "--runs", runs],
      env: { ...Object.fromEntries(passed), [TOKEN_VARIABLE]: mark },
      secrets: [],
    };
    return startNode(node, clock, listener, () =>
      log.info({}, "orchd notify tells people what orchd.yaml's `notify` says"),
    );
  }
}
