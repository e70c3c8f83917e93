/** `orchd export otlp` beside the daemon, where orchd.yaml has `telemetry`. */
import type { TelemetrySettings } from "../core/telemetry-settings.ts";
import { networkEnvironment } from "./network-environment.ts";
import { rootWords, SupervisedProgram, type SupervisionPorts } from "./supervised-program.ts";

/** The variable by which the export learns orchd.yaml's `telemetry`, as it is in force: JSON. */
export const TELEMETRY_VARIABLE = "ORCHD_TELEMETRY";

/** What the supervision needs. */
export interface SupervisedTelemetryOptions extends SupervisionPorts {
  /** orchd.yaml's `telemetry`, as it is in force. */
  readonly settings: () => TelemetrySettings | undefined;
  /** The daemon's environment. OpenTelemetry's own variables are passed on. */
  readonly env: NodeJS.ProcessEnv;
}

/** Keeps the export running. */
export function superviseTelemetry(
  options: SupervisedTelemetryOptions,
): SupervisedProgram<TelemetrySettings> {
  const { program, roots, env, log } = options;
  return new SupervisedProgram({
    ...options,
    name: "the export of traces",
    start: (telemetry) => ({
      path: program(),
      words: ["export", "otlp", "--json", ...rootWords(roots)],
      env: { ...networkEnvironment(env, "OTEL_"), [TELEMETRY_VARIABLE]: JSON.stringify(telemetry) },
      secrets: [],
    }),
    onAnswer: (line) => log.info({}, `traces of runs are sent to ${endpointOf(line)}`),
  });
}

function endpointOf(line: string): string {
  try {
    return String((JSON.parse(line) as { endpoint?: unknown }).endpoint);
  } catch {
    return "a collector";
  }
}
