/**
 * The export of traces beside the daemon: `orchd export otlp`, kept running by a
 * {@link Supervisor} where orchd.yaml has `telemetry`. The daemon loads nothing of it.
 */
import type { Clock } from "../clock.ts";
import { TOKEN_VARIABLE } from "../core/task.ts";
import type { TelemetrySettings } from "../core/telemetry-settings.ts";
import type { Log } from "../log.ts";
import { startNode } from "./node-child.ts";
import { Supervisor, type Child, type ChildListener } from "./supervisor.ts";

/** The variable by which the export learns orchd.yaml's `telemetry`, as it is in force: JSON. */
export const TELEMETRY_VARIABLE = "ORCHD_TELEMETRY";
/** OpenTelemetry's own variables, and where secrets are. */
const PASSED = /^(?:OTEL_|CREDENTIALS_DIRECTORY$)/;

/** What the supervision needs. */
export interface SupervisedTelemetryOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly roots: { readonly root: string; readonly schedules: string; readonly runs: string };
  /** orchd.yaml's `telemetry`, as it is in force. */
  readonly settings: () => TelemetrySettings | undefined;
  /** The command line's built program. */
  readonly program: () => string;
  /** What later daemons find the process by, if it outlives this one (`ORCHD_RUNNER_TOKEN`). */
  readonly mark: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Keeps the export running. */
export class SupervisedTelemetry {
  readonly #options: SupervisedTelemetryOptions;
  readonly #supervisor: Supervisor<TelemetrySettings>;
  #begun = false;

  constructor(options: SupervisedTelemetryOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#supervisor = new Supervisor("the export of traces", {
      clock,
      log,
      start: (telemetry, listener) => this.#start(telemetry, listener),
    });
  }

  /** Starts the export, where one is wanted: the daemon is ready. */
  begin(): void {
    this.#begun = true;
    this.refresh();
  }

  /** The settings were read again. The export starts, ends or starts again where they say so. */
  refresh(): void {
    if (this.#begun) this.#supervisor.want(this.#options.settings());
  }

  /** Ends the export. Resolves within a good second, when its process is gone. */
  close(): Promise<void> {
    return this.#supervisor.close();
  }

  #start(telemetry: TelemetrySettings, listener: ChildListener): Child {
    const { program, roots, mark, clock, log, env } = this.#options;
    const { root, schedules, runs } = roots;
    const passed = Object.entries(env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && PASSED.test(entry[0]),
    );
    const words = ["export", "otlp", "--json", "--root", root];
    return startNode(
      {
        path: program(),
        words: [...words, "--schedules", schedules, "--runs", runs],
        env: {
          ...Object.fromEntries(passed),
          [TELEMETRY_VARIABLE]: JSON.stringify(telemetry),
          [TOKEN_VARIABLE]: mark,
        },
        secrets: [],
      },
      clock,
      listener,
      (line) => log.info({}, `traces of runs are sent to ${endpointOf(line)}`),
    );
  }
}

function endpointOf(line: string): string {
  try {
    return String((JSON.parse(line) as { endpoint?: unknown }).endpoint);
  } catch {
    return "a collector";
  }
}
