/**
 * Every metric that orchd has: its name, its type, its labels and what it says. docs/metrics.md
 * shows this list, and a test holds the two together.
 *
 * No run, step or reason is ever a label: each value of a label is a series for ever.
 */

/** One metric. */
export interface MetricSpec {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly help: string;
}

/** The metrics, by the name that the code has for each. */
export const METRICS = {
  slots: {
    name: "orchd_slots_total",
    type: "counter",
    labels: ["pipeline", "decision"],
    help: "Slots that were decided. A stretch of missed slots with one reason counts once.",
  },
  runs: {
    name: "orchd_runs_total",
    type: "counter",
    labels: ["pipeline", "status", "trigger"],
    help: "Runs that ended.",
  },
  stepResults: {
    name: "orchd_step_results_total",
    type: "counter",
    labels: ["pipeline", "result"],
    help: "Steps of runs that ended, by how they ended.",
  },
  retries: {
    name: "orchd_retries_total",
    type: "counter",
    labels: ["pipeline"],
    help: "Attempts that came after a failed one, of steps of runs that ended.",
  },
  notifications: {
    name: "orchd_notifications_total",
    type: "counter",
    labels: ["channel", "result"],
    help:
      "Messages to people by channel: sent, given up, and tries that failed. No series before " +
      "the first try.",
  },
  up: {
    name: "orchd_up",
    type: "gauge",
    labels: [],
    help: "1 while a daemon holds the root, else 0.",
  },
  build: {
    name: "orchd_build_info",
    type: "gauge",
    labels: ["version"],
    help: "Always 1. The label says which release gives these metrics.",
  },
  daemonStart: {
    name: "orchd_daemon_start_time_seconds",
    type: "gauge",
    labels: [],
    help: "When the daemon took the root, in seconds since 1970; 0 while there is none.",
  },
  oldestRequest: {
    name: "orchd_oldest_request_age_seconds",
    type: "gauge",
    labels: [],
    help: "How long the oldest request has waited for its answer; 0 without one.",
  },
  ledgerBytes: {
    name: "orchd_ledger_bytes",
    type: "gauge",
    labels: [],
    help: "Size of all pipelines' own ledgers, rotated ones too, without the runs' ledgers.",
  },
  undecided: {
    name: "orchd_undecided_slots",
    type: "gauge",
    labels: [],
    help: "Slots that are due and have no decision yet; counted up to 1,000.",
  },
  placeUp: {
    name: "orchd_place_up",
    type: "gauge",
    labels: ["place"],
    help: "1 while the place takes work, else 0. No series before it was first used or named.",
  },
  placeHosts: {
    name: "orchd_place_hosts",
    type: "gauge",
    labels: ["place"],
    help: "Machines of the place that take work.",
  },
  valid: {
    name: "orchd_pipeline_valid",
    type: "gauge",
    labels: ["pipeline"],
    help: "1 if the newest version of the file is in force and its ledger is usable, else 0.",
  },
  paused: {
    name: "orchd_pipeline_paused",
    type: "gauge",
    labels: ["pipeline"],
    help: "1 while the schedule is paused, else 0.",
  },
  active: {
    name: "orchd_runs_active",
    type: "gauge",
    labels: ["pipeline"],
    help: "Runs that have started and not ended.",
  },
  queued: {
    name: "orchd_runs_queued",
    type: "gauge",
    labels: ["pipeline"],
    help: "Runs that wait for their turn.",
  },
  lastRun: {
    name: "orchd_last_run_timestamp_seconds",
    type: "gauge",
    labels: ["pipeline", "status"],
    help: "When the newest run of this status ended, in seconds since 1970; 0: never.",
  },
  lastSuccess: {
    name: "orchd_last_success_timestamp_seconds",
    type: "gauge",
    labels: ["pipeline"],
    help: "When the newest completed or cached run ended, in seconds since 1970; 0: never.",
  },
  nextFire: {
    name: "orchd_next_fire_timestamp_seconds",
    type: "gauge",
    labels: ["pipeline"],
    help: "When the schedule fires next, in seconds since 1970; 0: never, or it is paused.",
  },
  runDuration: {
    name: "orchd_run_duration_seconds",
    type: "histogram",
    labels: ["pipeline"],
    help: "How long runs that ended were worked on.",
  },
  slotLateness: {
    name: "orchd_slot_lateness_seconds",
    type: "histogram",
    labels: ["pipeline"],
    help: "How long after their due time slots got their run.",
  },
} as const satisfies Record<string, MetricSpec>;

/** One of {@link METRICS}. */
export type MetricKey = keyof typeof METRICS;
