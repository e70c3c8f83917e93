/**
 * Every command, as data: yargs parses by it, and `--help` and the completion script show it.
 *
 * Nothing here loads a command's file. It is loaded when the command is called, so that no command
 * pays for another.
 */
import { STATUSES } from "../core/status.ts";
import type { CommandSpec, OptionSpec } from "./command.ts";

const wait: OptionSpec = {
  type: "boolean",
  describe: "follow the run until it ends; exit 1 if it failed or was stopped",
};
const follow: OptionSpec = {
  type: "boolean",
  alias: "f",
  describe: "go on printing as more is written",
};

/** Every command, as docs/command-line.md lists them. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "start",
    positionals: "",
    describe: "Run the daemon in the foreground",
    options: {
      pretty: {
        type: "boolean",
        describe: "logs for people instead of JSON (default: on a terminal, without --json)",
      },
      page: {
        type: "boolean",
        describe:
          "show the page too, as orchd.yaml's `page` says; without that, with requests allowed, " +
          "at 127.0.0.1:4114 or a free port",
      },
    },
    load: () => import("./commands/start.ts"),
  },
  {
    name: "page",
    positionals: "",
    describe: "Serve the page and the API, from the ledgers; the daemon may be down",
    options: {
      listen: {
        type: "string",
        describe:
          "HOST:PORT, or unix:PATH (default: unix:RUNS/.orchd/page.sock); " +
          "a host other than this machine needs --token-file or --trust-proxy",
      },
      "allow-requests": {
        type: "boolean",
        describe: "let those who open it run, stop, pause and backfill (default: it only shows)",
      },
      "token-file": {
        type: "string",
        values: "file",
        describe: "lines `read TOKEN` and `operate TOKEN`; others must not be able to read it",
      },
      "trust-proxy": {
        type: "boolean",
        describe: "a reverse proxy stands before it, and says which host was asked for",
      },
      base: { type: "string", describe: "the path below which it is served, as /orchd" },
    },
    load: () => import("./commands/page.ts"),
  },
  {
    name: "notify",
    positionals: "",
    describe: "Tell people what went wrong, as orchd.yaml's `notify` says; the daemon may be down",
    options: {
      test: { type: "string", describe: "send a message over this channel now, and end" },
      replay: {
        type: "string",
        describe: "tell again what this run's end tells, to whom it tells it now, and end",
      },
      "dry-run": { type: "boolean", describe: "with --replay: show the messages, send nothing" },
    },
    load: () => import("./commands/notify.ts"),
  },
  {
    name: "worker",
    positionals: "",
    describe: "Take steps of a broker's place from the daemon, and run them on this machine",
    options: {
      place: {
        type: "string",
        describe: "the place of orchd.yaml that it serves; an orchd.yaml with this place is enough",
      },
      labels: {
        type: "string",
        array: true,
        describe: "words by which steps choose this worker (`on`), with commas between them",
      },
      threads: {
        type: "number",
        describe:
          "how many modules, and how many shell texts, run at once " +
          "(default: orchd.yaml's runner.threads)",
      },
      name: {
        type: "string",
        describe: "its name, which no other worker of the place has (default: the host's)",
      },
    },
    load: () => import("./commands/worker.ts"),
  },
  {
    name: "metrics",
    positionals: "",
    describe: "Print the metrics for Prometheus, or write them where node_exporter reads them",
    options: {
      textfile: {
        type: "string",
        values: "file",
        describe: "write them to this file, whole or not at all; its name ends in .prom",
      },
    },
    load: () => import("./commands/metrics.ts"),
  },
  {
    name: "alerts",
    positionals: "",
    describe: "What fires, which messages wait, and which were given up",
    options: {},
    load: () => import("./commands/alerts.ts"),
  },
  {
    name: "export",
    positionals: "<what>",
    describe: "Send traces of runs to an OpenTelemetry collector, and go on where it was",
    completes: "words",
    words: ["otlp"],
    options: {
      endpoint: {
        type: "string",
        describe:
          "the collector (default: orchd.yaml's `telemetry`, $OTEL_EXPORTER_OTLP_ENDPOINT, " +
          "or http://localhost:4318); headers are given by $OTEL_EXPORTER_OTLP_HEADERS",
      },
      from: {
        type: "string",
        describe:
          "a position of `orchd tail --json`, or start (default: where the last export ended; " +
          "the first one takes what comes, and the runs that go on)",
      },
      once: { type: "boolean", describe: "send what there is, and end" },
      file: {
        type: "string",
        values: "file",
        describe: "add OTLP lines of JSON to this file, and send nothing (default: from start)",
      },
      stdout: { type: "boolean", describe: "print such lines, and send nothing" },
    },
    load: () => import("./commands/export.ts"),
  },
  {
    name: "status",
    positionals: "[target]",
    describe:
      "What is scheduled, running and failing, and when each pipeline fires next; " +
      "or one pipeline, or one run",
    completes: "run",
    options: {
      at: { type: "string", describe: "as it was at that time" },
      watch: { type: "boolean", describe: "show it again every second, until q is pressed" },
    },
    load: () => import("./commands/status.ts"),
  },
  {
    name: "run",
    positionals: "<pipeline>",
    describe: "Ask the daemon for a run",
    completes: "pipeline",
    options: {
      param: {
        type: "string",
        alias: "p",
        array: true,
        describe: "NAME=VALUE, a param of the run; may be given again",
      },
      wait,
      "no-cache": { type: "boolean", describe: "run every step, whatever the cache holds" },
      foreground: {
        type: "boolean",
        describe: "follow the run live; where no daemon runs, take its place for this one run",
      },
    },
    load: () => import("./commands/run.ts"),
  },
  {
    name: "places",
    positionals: "",
    describe: "Where steps run, why a place takes no work, and which steps wait for one",
    options: {},
    load: () => import("./commands/places.ts"),
  },
  {
    name: "stop",
    positionals: "<run>",
    describe: "Ask the daemon to stop a run, or the one run of a pipeline that is active",
    completes: "run",
    options: {
      force: { type: "boolean", describe: "end running steps after the grace period" },
    },
    load: () => import("./commands/stop.ts"),
  },
  {
    name: "logs",
    positionals: "<run> [step]",
    describe: "What a run's steps printed, and the errors of those that failed",
    completes: "run",
    options: { follow },
    load: () => import("./commands/logs.ts"),
  },
  {
    name: "tail",
    positionals: "[pipeline]",
    describe: "The newest ledger lines, of one pipeline or of all",
    completes: "pipeline",
    options: {
      follow,
      lines: { type: "string", alias: "n", describe: "how many lines to begin with (default 10)" },
    },
    load: () => import("./commands/tail.ts"),
  },
  {
    name: "runs",
    positionals: "[pipeline]",
    describe: "The history of runs, newest first",
    completes: "pipeline",
    options: {
      status: { type: "string", values: STATUSES, describe: "only runs in this status" },
      since: { type: "string", describe: "only runs made since then" },
      number: { type: "string", alias: "n", describe: "how many at most (default 20)" },
    },
    load: () => import("./commands/runs.ts"),
  },
  {
    name: "rerun",
    positionals: "<run>",
    describe: "Ask for a new run that reuses what is still valid",
    completes: "run",
    options: {
      failed: {
        type: "boolean",
        describe: "run again what did not complete, and what has changed since",
      },
      from: {
        type: "string",
        describe: "run this step and all that come after it again, cached or not",
      },
      edited: {
        type: "boolean",
        describe: "with the pipeline as its file is now, not as it was",
      },
      wait,
    },
    load: () => import("./commands/rerun.ts"),
  },
  {
    name: "backfill",
    positionals: "[pipeline]",
    describe: "Ask for runs of past slots",
    completes: "pipeline",
    options: {
      from: { type: "string", describe: "the first moment, included" },
      to: { type: "string", describe: "the last moment, included" },
      missing: { type: "boolean", describe: "slots without a run (default)" },
      failed: { type: "boolean", describe: "slots whose newest run failed or was stopped" },
      all: { type: "boolean", describe: "every slot" },
      "max-active": { type: "string", describe: "how many of its runs at once (default 1)" },
      "dry-run": { type: "boolean", describe: "say what would run, and ask for nothing" },
      cancel: { type: "string", describe: "end the backfill with this id" },
    },
    load: () => import("./commands/backfill.ts"),
  },
  {
    name: "pause",
    positionals: "<pipeline>",
    describe: "Stop a pipeline's schedule",
    completes: "pipeline",
    options: {},
    load: async () => ({ run: (await import("./commands/pause.ts")).runPause }),
  },
  {
    name: "resume",
    positionals: "<pipeline>",
    describe: "Restart a pipeline's schedule",
    completes: "pipeline",
    options: {},
    load: async () => ({ run: (await import("./commands/pause.ts")).runResume }),
  },
  {
    name: "silence",
    positionals: "<pipeline>",
    describe: "Tell nobody of a pipeline for some time; its schedule goes on",
    completes: "pipeline",
    options: {
      for: { type: "string", describe: "for how long, as 2h" },
      until: { type: "string", describe: "until this time" },
      because: { type: "string", describe: "why" },
      end: { type: "boolean", describe: "tell people again" },
    },
    load: () => import("./commands/silence.ts"),
  },
  {
    name: "validate",
    positionals: "[files..]",
    describe: "Check pipeline files, or the pipeline files in a folder, without running anything",
    completes: "file",
    options: {},
    load: () => import("./commands/validate.ts"),
  },
  {
    name: "schema",
    positionals: "[what]",
    describe:
      "Print a JSON Schema: of pipeline files (default), the ledger, requests or orchd.yaml",
    completes: "words",
    words: ["pipeline", "ledger", "request", "settings"],
    options: {},
    load: () => import("./commands/schema.ts"),
  },
  {
    name: "next",
    positionals: "[pipeline]",
    describe: "The coming slots, with time-zone offsets, gaps and overlaps",
    completes: "pipeline",
    options: {
      number: { type: "string", alias: "n", describe: "how many slots (default 10)" },
      from: { type: "string", describe: "slots after this time (default: now)" },
      days: {
        type: "string",
        describe:
          "rehearse this many days: pile-ups, runs that will overlap, " +
          "slots that daylight saving moves",
      },
      "pile-up": {
        type: "string",
        describe: "how many slots in one second are a pile-up (default: more than 10)",
      },
    },
    load: () => import("./commands/next.ts"),
  },
  {
    name: "why",
    positionals: "<pipeline> [time]",
    describe: "Why a slot did or did not run; without a time, the newest one",
    completes: "pipeline",
    options: {},
    load: () => import("./commands/why.ts"),
  },
  {
    name: "diff",
    positionals: "<run> <other>",
    describe: "Which steps ran anew, and which inputs, params or code changed",
    completes: "run",
    options: {},
    load: () => import("./commands/diff.ts"),
  },
  {
    name: "graph",
    positionals: "<target>",
    describe: "The steps of a pipeline or run and what each needs",
    completes: "run",
    options: {
      format: {
        type: "string",
        choices: ["text", "mermaid", "dot"],
        describe: "how to draw it (default text)",
      },
    },
    load: () => import("./commands/graph.ts"),
  },
  {
    name: "verify",
    positionals: "",
    describe: "Check every ledger",
    options: {
      rebuild: { type: "boolean", describe: "also rebuild what is derived from the ledgers" },
    },
    load: () => import("./commands/verify.ts"),
  },
  {
    name: "prune",
    positionals: "",
    describe: "Remove runs that retention no longer keeps",
    options: {
      "keep-days": {
        type: "string",
        describe: "keep the runs of this many days (default: orchd.yaml, else 30)",
      },
      "keep-runs": {
        type: "string",
        describe: "keep this many runs of a pipeline (default: orchd.yaml, else 10000)",
      },
      "keep-bytes": {
        type: "string",
        describe:
          "keep this many bytes of a pipeline's ledgers and logs " +
          "(default: orchd.yaml, else no limit)",
      },
      pipeline: { type: "string", describe: "only this pipeline's runs (default: all)" },
      "dry-run": { type: "boolean", describe: "say what would go, and remove nothing" },
    },
    load: () => import("./commands/prune.ts"),
  },
  {
    name: "repair",
    positionals: "<run>",
    describe: "Ask the daemon to cut a damaged run's ledger back to what is whole",
    completes: "run",
    options: {},
    load: () => import("./commands/repair.ts"),
  },
  {
    name: "place",
    positionals: "<action> <name>",
    describe: "prepare: put orchd on a machine that is reached by SSH, and check that it can run",
    completes: "words",
    words: ["prepare"],
    options: {},
    load: () => import("./commands/place.ts"),
  },
  {
    name: "init",
    positionals: "[folder]",
    describe: "Make a project root with a pipeline to begin with",
    completes: "file",
    options: {},
    load: () => import("./commands/init.ts"),
  },
  {
    name: "import",
    positionals: "<kind> [file]",
    describe: "Make pipeline files from a crontab",
    completes: "words",
    words: ["crontab"],
    options: {
      system: {
        type: "boolean",
        describe: "the file has a user column, as /etc/crontab does (default: by its path)",
      },
      user: {
        type: "string",
        describe: "take this user's lines of a system crontab; the daemon has to run as that user",
      },
      shadow: {
        type: "boolean",
        describe: "the pipelines record their slots and run nothing, to compare with cron first",
      },
      compare: {
        type: "string",
        values: "file",
        describe:
          "write nothing; compare the slots of imported pipelines with what cron did, " +
          "by its log in this file",
      },
      "dry-run": { type: "boolean", describe: "print the files, and write nothing" },
    },
    load: () => import("./commands/import.ts"),
  },
  {
    name: "completion",
    positionals: "[shell]",
    describe: "Print a completion script for bash or zsh",
    completes: "words",
    words: ["bash", "zsh"],
    options: {},
    load: () => import("./commands/completion.ts"),
  },
];
