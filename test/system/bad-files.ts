/**
 * Mistakes in pipeline files, each beside the sentence that orchd says of it: file, line, column,
 * field, what is wrong, what to do. Mistake and sentence stand side by side, so that a person who
 * changes one reads the other. A sentence that ends in … is the beginning of a longer one.
 */

/** One mistake. */
export interface BadFile {
  /** Its name in the drop folder. */
  readonly file: string;
  readonly text: string;
  /** The sentence, without the drop folder's path. */
  readonly error: string;
}

/** The modules that the files name, by their name in steps/. */
export const MODULES: Readonly<Record<string, string>> = {
  "ok.ts": "export default async () => 1;\n",
  "named.ts": "export const x = async () => 1;\n",
  "syntax.ts": "export default async () => {\n  const x = ;\n};\n",
  "pkg.ts": 'import x from "leftpadx";\nexport default async () => x;\n',
  "imp.ts": 'import x from "./nothere2.ts";\nexport default async () => x;\n',
  "throws.ts": 'export const a = 1;\n\nthrow new Error("from within");\n',
};

const STEP = 'steps:\n  a: { run: "true" }\n';
const LAUGHS = "bcdefghij".replace(
  /./g,
  (name, index: number) => `  ${name}: &${name} [${`*${"abcdefghi"[index]},`.repeat(9)}]\n`,
);

/** All mistakes. */
export const BAD_FILES: readonly BadFile[] = [
  {
    file: "unknown-key.yaml",
    text: 'shedule: { cron: "* * * * *" }\nsteps:\n  a: { run: "true" }\n',
    error: 'unknown-key.yaml:1:1: shedule is not known here; did you mean "schedule"?',
  },
  {
    file: "unknown-step-key.yaml",
    text: 'steps:\n  a: { run: "true", timeot: 5s }\n',
    error: 'unknown-step-key.yaml:2:21: steps.a.timeot is not known here; did you mean "timeout"?',
  },
  {
    file: "unknown-nested.yaml",
    text: 'schedule: { cron: "* * * * *", timezon: UTC }\nsteps:\n  a: { run: "true" }\n',
    error: 'unknown-nested.yaml:1:32: schedule.timezon is not known here; did you mean "timezone"?',
  },
  {
    file: "unknown-retry.yaml",
    text: 'retry: { maxRetrys: 3 }\nsteps:\n  a: { run: "true" }\n',
    error: 'unknown-retry.yaml:1:10: retry.maxRetrys is not known here; did you mean "maxRetries"?',
  },
  {
    file: "snake.yaml",
    text: 'max_active_runs: 3\nsteps:\n  a: { run: "true" }\n',
    error: 'snake.yaml:1:1: max_active_runs is not known here; did you mean "maxActiveRuns"?',
  },
  {
    file: "bad-cron.yaml",
    text: 'schedule: { cron: "61 * * * *" }\nsteps:\n  a: { run: "true" }\n',
    error:
      'bad-cron.yaml:1:19: schedule.cron "61 * * * *" is no cron pattern: ' +
      "invalid value for minute: 61 (minutes are 0-59)",
  },
  {
    file: "bad-cron2.yaml",
    text: 'schedule: { cron: "hello" }\nsteps:\n  a: { run: "true" }\n',
    error:
      'bad-cron2.yaml:1:19: schedule.cron "hello" has 1 field; ' +
      "a pattern has five (minute hour day month weekday), or six with seconds first",
  },
  {
    file: "bad-cron3.yaml",
    text: 'schedule: { cron: "* * * *" }\nsteps:\n  a: { run: "true" }\n',
    error:
      'bad-cron3.yaml:1:19: schedule.cron "* * * *" has 4 fields; ' +
      "a pattern has five (minute hour day month weekday), or six with seconds first",
  },
  {
    file: "cron-empty.yaml",
    text: 'schedule: { cron: "" }\nsteps:\n  a: { run: "true" }\n',
    error:
      "cron-empty.yaml:1:19: schedule.cron is empty; a pattern has five fields, " +
      'such as "30 2 * * *"',
  },
  {
    file: "never.yaml",
    text: 'schedule: { cron: "0 0 30 2 *" }\nsteps:\n  a: { run: "true" }\n',
    error: 'never.yaml:1:19: schedule.cron "0 0 30 2 *" never fires: no date matches it',
  },
  {
    file: "bad-zone.yaml",
    text: 'schedule: { cron: "* * * * *", timezone: Europe/Berln }\nsteps:\n  a: { run: "true" }\n',
    error:
      'bad-zone.yaml:1:42: schedule.timezone "Europe/Berln" is no time zone that this Node ' +
      'knows; did you mean "Europe/Berlin"?',
  },
  {
    file: "bad-zone2.yaml",
    text: 'schedule: { cron: "* * * * *", timezone: 5 }\nsteps:\n  a: { run: "true" }\n',
    error: "bad-zone2.yaml:1:42: schedule.timezone must be text, not 5; put it in quotes",
  },
  {
    file: "cycle.yaml",
    text:
      'steps:\n  a: { run: "true", after: [b] }\n  b: { run: "true", after: [c] }\n' +
      '  c: { run: "true", after: [a] }\n',
    error:
      "cycle.yaml:2:21: steps.a.after closes a cycle, " +
      "so that none of these steps could ever start: a needs b needs c needs a",
  },
  {
    file: "self.yaml",
    text: 'steps:\n  a: { run: "true", after: [a] }\n',
    error:
      "self.yaml:2:21: steps.a.after closes a cycle, " +
      "so that none of these steps could ever start: a needs a",
  },
  {
    file: "nostep.yaml",
    text: 'steps:\n  read: { run: "true" }\n  a: { run: "true", inputs: { x: raed } }\n',
    error:
      'nostep.yaml:3:34: steps.a.inputs.x comes from step "raed", ' +
      'which the pipeline does not have; did you mean "read"?',
  },
  {
    file: "no-output.yaml",
    text:
      'steps:\n  read: { run: "true", outputs: [rows] }\n' +
      '  a: { run: "true", inputs: { x: read.row } }\n',
    error:
      'no-output.yaml:3:34: steps.a.inputs.x comes from output "row" of step read, ' +
      'which does not declare it; did you mean "rows"?',
  },
  {
    file: "missing-module.yaml",
    text: "steps:\n  a: { uses: ./steps/nothere.ts }\n",
    error:
      "missing-module.yaml:2:14: steps.a.uses names ./steps/nothere.ts, " +
      "but there is no file steps/nothere.ts",
  },
  {
    file: "missing-export.yaml",
    text: "steps:\n  a: { uses: ./steps/ok.ts#nope }\n",
    error:
      'missing-export.yaml:2:14: steps.a.uses names export "nope" of ./steps/ok.ts, ' +
      "which exports default",
  },
  {
    file: "no-default.yaml",
    text: "steps:\n  a: { uses: ./steps/named.ts }\n",
    error:
      'no-default.yaml:2:14: steps.a.uses names export "default" of ./steps/named.ts, ' +
      "which exports x",
  },
  {
    file: "syntax-step.yaml",
    text: "steps:\n  a: { uses: ./steps/syntax.ts }\n",
    error: 'steps/syntax.ts:2:13: Unexpected ";" (in the code of steps.a.uses in syntax-step.yaml)',
  },
  {
    file: "missing-pkg.yaml",
    text: "steps:\n  a: { uses: ./steps/pkg.ts }\n",
    error:
      'steps/pkg.ts:1:15: Could not resolve "leftpadx": ' +
      "install it with npm install leftpadx, or begin a path with ./ (in the code of " +
      "steps.a.uses in missing-pkg.yaml)",
  },
  {
    file: "missing-import.yaml",
    text: "steps:\n  a: { uses: ./steps/imp.ts }\n",
    error:
      'steps/imp.ts:1:15: Could not resolve "./nothere2.ts" (in the code of steps.a.uses in ' +
      "missing-import.yaml)",
  },
  {
    file: "both.yaml",
    text: 'steps:\n  a: { run: "true", uses: ./steps/ok.ts }\n',
    error:
      "both.yaml:2:8: steps.a.run cannot go with uses: a step is either a module or a shell text",
  },
  {
    file: "neither.yaml",
    text: "steps:\n  a: { params: {} }\n",
    error: "neither.yaml:2:3: steps.a needs either uses (a module) or run (a shell text)",
  },
  {
    file: "empty.yaml",
    text: "",
    error: "empty.yaml:1:1: is empty; a pipeline needs at least steps",
  },
  {
    file: "only-comment.yaml",
    text: "# hi\n",
    error: "only-comment.yaml:1:1: is empty; a pipeline needs at least steps",
  },
  {
    file: "nosteps.yaml",
    text: "description: x\n",
    error: "nosteps.yaml:1:1: has no steps: name at least one under steps:",
  },
  {
    file: "steps-list.yaml",
    text: 'steps:\n  - run: "true"\n',
    error: "steps-list.yaml:1:1: steps must be a map of keys and values, not a list",
  },
  {
    file: "steps-null.yaml",
    text: "steps:\n",
    error: "steps-null.yaml:1:7: steps is empty; it must be a map of keys and values",
  },
  {
    file: "scalar.yaml",
    text: "hello\n",
    error:
      "scalar.yaml:1:1: must hold a map of keys and values, such as name:, schedule: and steps:",
  },
  {
    file: "list.yaml",
    text: "- a\n- b\n",
    error: "list.yaml:1:1: must hold a map of keys and values, such as name:, schedule: and steps:",
  },
  {
    file: "multi.yaml",
    text: 'steps:\n  a: { run: "true" }\n---\nsteps:\n  a: { run: "true" }\n',
    error: "multi.yaml:3:1: holds more than one document (---); a file is one pipeline",
  },
  {
    file: "tabs.yaml",
    text: 'steps:\n\ta: { run: "true" }\n',
    error:
      "tabs.yaml:2:1: Tabs are not allowed as indentation (YAML is indented with blanks, " +
      "never tabs)",
  },
  {
    file: "unquoted.yaml",
    text: 'schedule:\n  cron: * * * * *\nsteps:\n  a: { run: "true" }\n',
    error:
      "unquoted.yaml:2:9: a text that starts with * must be quoted: " +
      'write "* * * * *" (Alias cannot be an empty string)',
  },
  {
    file: "unquoted2.yaml",
    text: 'schedule: { cron: */5 * * * * }\nsteps:\n  a: { run: "true" }\n',
    error:
      "unquoted2.yaml:1:23: a text that starts with * must be quoted: " +
      'write "*/5 * * * *" (Unexpected alias at node end)',
  },
  {
    file: "dupkey.yaml",
    text: 'steps:\n  a: { run: "true" }\n  a: { run: "false" }\n',
    error: 'dupkey.yaml:3:3: has the key "a" twice in one map; only one of them could count',
  },
  {
    file: "duptop.yaml",
    text: 'steps:\n  a: { run: "true" }\nname: x1\nname: x2\n',
    error: 'duptop.yaml:4:1: has the key "name" twice in one map; only one of them could count',
  },
  {
    file: "tag.yaml",
    text: 'description: !!js/function "x"\nsteps:\n  a: { run: "true" }\n',
    error:
      "tag.yaml:1:14: has a tag (!) that is not known here: Unresolved tag: " +
      "tag:yaml.org,2002:js/function",
  },
  {
    file: "tag2.yaml",
    text: 'description: !secret x\nsteps:\n  a: { run: "true" }\n',
    error: "tag2.yaml:1:14: has a tag (!) that is not known here: Unresolved tag: !secret",
  },
  {
    file: "alias.yaml",
    text: 'description: *nope\nsteps:\n  a: { run: "true" }\n',
    error: "alias.yaml:1:14: is not valid YAML: the alias *nope names no anchor (&nope) before it",
  },
  {
    file: "proto.yaml",
    text: '__proto__: { x: 1 }\nsteps:\n  a: { run: "true" }\n',
    error: 'proto.yaml:1:1: has the key "__proto__", which is refused',
  },
  {
    file: "proto2.yaml",
    text: 'params: { __proto__: { x: 1 } }\nsteps:\n  a: { run: "true" }\n',
    error: 'proto2.yaml:1:11: has the key "__proto__", which is refused',
  },
  {
    file: "proto3.yaml",
    text: 'steps:\n  __proto__: { run: "true" }\n',
    error: 'proto3.yaml:2:3: has the key "__proto__", which is refused',
  },
  {
    file: "ctor.yaml",
    text: 'constructor: 1\nsteps:\n  a: { run: "true" }\n',
    error: "ctor.yaml:1:1: constructor is not known here; known are name, description, …",
  },
  {
    file: "unclosed.yaml",
    text: 'steps: { a: { run: "true" }\n',
    error:
      "unclosed.yaml:2:1: is not valid YAML: Flow map in block collection must be " +
      "sufficiently indented and end with a }",
  },
  {
    file: "unclosed-q.yaml",
    text: 'description: "abc\nsteps:\n  a: { run: "true" }\n',
    error: 'unclosed-q.yaml:1:18: is not valid YAML: Missing closing "quote',
  },
  {
    file: "badname.yaml",
    text: 'name: "Bad Name"\nsteps:\n  a: { run: "true" }\n',
    error:
      "badname.yaml:1:7: name must be 1 to 64 lower-case letters, digits, - and _, " +
      'and begin with a letter or a digit, not "Bad Name"',
  },
  {
    file: "badname2.yaml",
    text: 'name: ../x\nsteps:\n  a: { run: "true" }\n',
    error:
      "badname2.yaml:1:7: name must be 1 to 64 lower-case letters, digits, - and _, " +
      'and begin with a letter or a digit, not "../x"',
  },
  {
    file: "step-name.yaml",
    text: 'steps:\n  "a b": { run: "true" }\n',
    error:
      "step-name.yaml:2:3: steps.a b is a name that must be 1 to 64 letters, digits, " +
      "- and _, and begin with a letter or _",
  },
  {
    file: "step-name2.yaml",
    text: 'steps:\n  "../x": { run: "true" }\n',
    error:
      "step-name2.yaml:2:3: steps.../x is a name that must be 1 to 64 letters, digits, " +
      "- and _, and begin with a letter or _",
  },
  {
    file: "overlap.yaml",
    text: 'overlap: skipp\nsteps:\n  a: { run: "true" }\n',
    error:
      "overlap.yaml:1:10: overlap must be one of skip, queue, queue_all, cancel, terminate, " +
      'allow, not "skipp"; did you mean "skip"?',
  },
  {
    file: "overlap2.yaml",
    text: 'overlap: 5\nsteps:\n  a: { run: "true" }\n',
    error:
      "overlap2.yaml:1:10: overlap must be one of skip, queue, queue_all, cancel, terminate, " +
      "allow, not 5",
  },
  {
    file: "mode.yaml",
    text: 'executionMode: fail_fst\nsteps:\n  a: { run: "true" }\n',
    error:
      "mode.yaml:1:16: executionMode must be one of continue_on_failure, stop_on_failure, " +
      'fail_fast, not "fail_fst"; did you mean "fail_fast"?',
  },
  {
    file: "maxactive.yaml",
    text: 'maxActiveRuns: 0\nsteps:\n  a: { run: "true" }\n',
    error: "maxactive.yaml:1:16: maxActiveRuns must be at least 1, not 0",
  },
  {
    file: "maxactive2.yaml",
    text: 'maxActiveRuns: "3"\nsteps:\n  a: { run: "true" }\n',
    error: 'maxactive2.yaml:1:16: maxActiveRuns must be a number, not "3"; take the quotes away',
  },
  {
    file: "maxactive3.yaml",
    text: 'maxActiveRuns: 1.5\nsteps:\n  a: { run: "true" }\n',
    error: "maxactive3.yaml:1:16: maxActiveRuns must be a whole number, not 1.5",
  },
  {
    file: "timeout.yaml",
    text: 'timeout: 5 parsecs\nsteps:\n  a: { run: "true" }\n',
    error:
      'timeout.yaml:1:10: timeout must be a duration such as "5s", ' +
      '"1h30m" or "7d" (a bare number counts seconds), not "5 parsecs"',
  },
  {
    file: "timeout2.yaml",
    text: 'timeout: -5\nsteps:\n  a: { run: "true" }\n',
    error:
      'timeout2.yaml:1:10: timeout must be a duration such as "5s", ' +
      '"1h30m" or "7d" (a bare number counts seconds), not -5',
  },
  {
    file: "timeout3.yaml",
    text: 'timeout: [5]\nsteps:\n  a: { run: "true" }\n',
    error: "timeout3.yaml:1:1: timeout must be text or a number, not a list",
  },
  {
    file: "interval.yaml",
    text:
      "schedule: { intervalSeconds: 0, startTime: 2026-01-01T00:00:00Z }\nsteps:\n" +
      '  a: { run: "true" }\n',
    error: "interval.yaml:1:30: schedule.intervalSeconds must be at least 1, not 0",
  },
  {
    file: "interval2.yaml",
    text: 'schedule: { intervalSeconds: 60 }\nsteps:\n  a: { run: "true" }\n',
    error:
      "interval2.yaml:1:30: schedule.intervalSeconds needs a startTime from which the " +
      "interval is counted",
  },
  {
    file: "interval3.yaml",
    text:
      "schedule: { intervalSeconds: 1.5, startTime: 2026-01-01T00:00:00Z }\nsteps:\n" +
      '  a: { run: "true" }\n',
    error: "interval3.yaml:1:30: schedule.intervalSeconds must be a whole number, not 1.5",
  },
  {
    file: "once.yaml",
    text: 'schedule: { runOnceAt: yesterday }\nsteps:\n  a: { run: "true" }\n',
    error:
      'once.yaml:1:24: schedule.runOnceAt must be a time such as "2026-12-01T02:30:00" or ' +
      '"2026-12-01T02:30:00Z", not "yesterday"',
  },
  {
    file: "start-end.yaml",
    text:
      'schedule: { cron: "* * * * *", startTime: 2027-01-01T00:00:00Z, ' +
      'endTime: 2026-01-01T00:00:00Z }\nsteps:\n  a: { run: "true" }\n',
    error:
      "start-end.yaml:1:74: schedule.endTime lies before startTime, so the schedule never fires",
  },
  {
    file: "noschedkind.yaml",
    text: 'schedule: { timezone: UTC }\nsteps:\n  a: { run: "true" }\n',
    error:
      "noschedkind.yaml:1:1: schedule is empty: it needs cron, " +
      "or intervalSeconds with startTime, or runOnceAt",
  },
  {
    file: "cronstr.yaml",
    text: 'schedule: "* * * * *"\nsteps:\n  a: { run: "true" }\n',
    error:
      'cronstr.yaml:1:11: schedule must be a map of keys and values or a list, not "* * * * *"; ' +
      "its keys are name, cron, intervalSeconds, runOnceAt, timezone, startTime, endTime, " +
      "stopAfter, jitterSeconds, catchUp, catchUpWindow, maxCatchUp, blackout, params",
  },
  {
    file: "catchup.yaml",
    text: 'schedule: { cron: "* * * * *", catchUp: yes }\nsteps:\n  a: { run: "true" }\n',
    error: 'catchup.yaml:1:41: schedule.catchUp must be one of none, latest, all, not "yes"',
  },
  {
    file: "params-list.yaml",
    text: 'params: [1]\nsteps:\n  a: { run: "true" }\n',
    error: "params-list.yaml:1:1: params must be a map of keys and values, not a list",
  },
  {
    file: "param-ref.yaml",
    text: 'steps:\n  a: { run: "true", params: { x: "${params.nope}" } }\n',
    error:
      "param-ref.yaml:2:34: steps.a.params.x refers to ${params.nope}, " +
      'but the pipeline has no param "nope"',
  },
  {
    file: "param-ref2.yaml",
    text: 'steps:\n  a: { run: "true", params: { x: "${nope}" } }\n',
    error:
      "param-ref2.yaml:2:34: steps.a.params.x refers to ${nope}, but only ${params.NAME}, " +
      "${run.id} and ${run.scheduledFor} are replaced; for the text itself write $${nope}",
  },
  {
    file: "env.yaml",
    text: 'env: { "A B": 1 }\nsteps:\n  a: { run: "true" }\n',
    error:
      "env.yaml:1:8: env.A B is a name that must be an environment variable's name: letters, " +
      "digits and _, not beginning with a digit",
  },
  {
    file: "env2.yaml",
    text: 'env: { A: [1] }\nsteps:\n  a: { run: "true" }\n',
    error:
      "env2.yaml:1:8: env.A must be text, a number, " +
      "true or false or a map of keys and values, not a list",
  },
  {
    file: "env3.yaml",
    text: 'env: 5\nsteps:\n  a: { run: "true" }\n',
    error: "env3.yaml:1:6: env must be a map of keys and values, not 5",
  },
  {
    file: "hooks.yaml",
    text: 'hooks: { onSucces: ./steps/ok.ts }\nsteps:\n  a: { run: "true" }\n',
    error: 'hooks.yaml:1:10: hooks.onSucces is not known here; did you mean "onSuccess"?',
  },
  {
    file: "hooks2.yaml",
    text: 'hooks: { onSuccess: ./steps/nothere.ts }\nsteps:\n  a: { run: "true" }\n',
    error:
      "hooks2.yaml:1:21: hooks.onSuccess names ./steps/nothere.ts, " +
      "but there is no file steps/nothere.ts",
  },
  {
    file: "orch.yaml",
    text: 'orchestrator: nope\nsteps:\n  a: { run: "true" }\n',
    error:
      'orch.yaml:1:15: orchestrator names "nope", ' +
      "which is neither a flavor of orchd.yaml (local) nor a module's path " +
      "(./my-orchestrator.ts)",
  },
  {
    file: "orch2.yaml",
    text: 'orchestrator: { uses: ./nope.ts }\nsteps:\n  a: { run: "true" }\n',
    error: "orch2.yaml:1:23: orchestrator.uses names ./nope.ts, but there is no file nope.ts",
  },
  {
    file: "tags.yaml",
    text: 'tags: ops\nsteps:\n  a: { run: "true" }\n',
    error: 'tags.yaml:1:7: tags must be a list, not "ops"',
  },
  {
    file: "tags2.yaml",
    text: 'tags: [1]\nsteps:\n  a: { run: "true" }\n',
    error: "tags2.yaml:1:8: tags[0] must be text, not 1; put it in quotes",
  },
  {
    file: "when.yaml",
    text: 'steps:\n  a: { run: "true", when: "params.x ==" }\n',
    error: "when.yaml:2:27: steps.a.when ends where a value was expected",
  },
  {
    file: "retry.yaml",
    text: 'retry: { maxRetries: -1 }\nsteps:\n  a: { run: "true" }\n',
    error: "retry.yaml:1:22: retry.maxRetries must be at least 1; for no retry write retry: {}",
  },
  {
    file: "retry-none.yaml",
    text: 'retry: { maxRetries: 0 }\nsteps:\n  a: { run: "true" }\n',
    error:
      "retry-none.yaml:1:22: retry.maxRetries must be at least 1; for no retry write retry: {}",
  },
  {
    file: "shell-empty.yaml",
    text: 'steps:\n  a: { run: "true", shell: "" }\n',
    error: "shell-empty.yaml:2:28: steps.a.shell must not be empty",
  },
  {
    file: "cwd-list.yaml",
    text: 'steps:\n  a: { run: "true", cwd: [] }\n',
    error: "cwd-list.yaml:2:21: steps.a.cwd must be text, not a list",
  },
  {
    file: "outputs-none.yaml",
    text: 'steps:\n  a: { run: "true", outputs: [] }\n',
    error: "outputs-none.yaml:2:21: steps.a.outputs must not be empty",
  },
  {
    file: "group-none.yaml",
    text: 'concurrency: { priority: 1 }\nsteps:\n  a: { run: "true" }\n',
    error: "group-none.yaml:1:1: concurrency.group is missing; it must be text",
  },
  {
    file: "memory-most.yaml",
    text: 'steps:\n  a: { run: "true", resources: { memoryMb: 1000000000 } }\n',
    error:
      "memory-most.yaml:2:44: steps.a.resources.memoryMb must be at most 16777216, not 1000000000",
  },
  {
    file: "after-long.yaml",
    text: `steps:\n  a: { run: "true", after: ${"y".repeat(2_000)} }\n`,
    error:
      `after-long.yaml:2:28: steps.a.after names step "${"y".repeat(100)}…", ` +
      "which the pipeline does not have",
  },
  {
    file: "run-num.yaml",
    text: "steps:\n  a: { run: 5 }\n",
    error: "run-num.yaml:2:13: steps.a.run must be text, not 5; put it in quotes",
  },
  {
    file: "run-empty.yaml",
    text: 'steps:\n  a: { run: "" }\n',
    error: "run-empty.yaml:2:13: steps.a.run must not be empty",
  },
  {
    file: "step-str.yaml",
    text: 'steps:\n  a: "true"\n',
    error:
      'step-str.yaml:2:6: steps.a must be a map of keys and values, not "true"; its keys are ' +
      "uses, run, shell, cwd, params, inputs, outputs, after, when, env, enableCache, cache, " +
      "retry, onInterruption, timeout, startWithin, resources, isolated, hooks, container, on",
  },
  {
    file: "step-null.yaml",
    text: "steps:\n  a:\n",
    error: "step-null.yaml:2:5: steps.a is empty; it must be a map of keys and values",
  },
  {
    file: "uses-abs.yaml",
    text: "steps:\n  a: { uses: /etc/passwd }\n",
    error: "uses-abs.yaml:2:14: steps.a.uses names /etc/passwd, which is no module",
  },
  {
    file: "mem.yaml",
    text: 'steps:\n  a: { run: "true", resources: { memoryMb: 1 } }\n',
    error: "mem.yaml:2:44: steps.a.resources.memoryMb must be at least 16, not 1",
  },
  {
    file: "blackout.yaml",
    text:
      'schedule: { cron: "* * * * *", blackout: { cron: "0 0 * * *" } }\nsteps:\n' +
      '  a: { run: "true" }\n',
    error: "blackout.yaml:1:32: schedule.blackout must be either {cron, duration} or {from, to}",
  },
  {
    file: "conc.yaml",
    text: 'concurrency: nope\nsteps:\n  a: { run: "true" }\n',
    error:
      'conc.yaml:1:14: concurrency names group "nope", ' +
      "which orchd.yaml does not have under concurrency:",
  },
  {
    file: "numkey.yaml",
    text: '5: x\nsteps:\n  a: { run: "true" }\n',
    error: "numkey.yaml:1:1: 5 is not known here; known are name, description, …",
  },
  {
    file: "nullkey.yaml",
    text: '~: x\nsteps:\n  a: { run: "true" }\n',
    error: "nullkey.yaml:1:1: has a key that is not text",
  },
  {
    file: "cmplxkey.yaml",
    text: '? [a, b]\n: x\nsteps:\n  a: { run: "true" }\n',
    error: "cmplxkey.yaml:1:3: has a key that is not text",
  },
  {
    file: "schedname.yaml",
    text: 'schedule:\n  - { cron: "* * * * *", params: { x: 1 } }\nsteps:\n  a: { run: "true" }\n',
    error:
      "schedname.yaml:2:5: schedule[0] has params of its own, so it needs a name, " +
      "which tells its slots from others",
  },
  {
    file: "schedname2.yaml",
    text:
      'schedule:\n  - { cron: "* * * * *", name: a, params: { x: 1 } }\n' +
      '  - { cron: "1 * * * *", name: a, params: { x: 2 } }\nsteps:\n  a: { run: "true" }\n',
    error: 'schedname2.yaml:3:32: schedule[1].name another schedule is called "a" already',
  },
  {
    file: "badjson.json",
    text: '{ "steps": { "a": { "run": "true", } } }',
    error: "badjson.json:1:36: is not valid JSON: Expected double-quoted property name",
  },
  {
    file: "badjson2.json",
    text: '{ "steps": { "a": { "run": "true" } }',
    error: "badjson2.json:1:38: is not valid JSON: Expected ',' or '}' after property value",
  },
  {
    file: "dupjson.json",
    text: '{"name":"q1","name":"q2","steps":{"a":{"run":"true"}}}',
    error: 'dupjson.json:1:14: has the key "name" twice in one map; only one of them could count',
  },
  {
    file: "emptyjson.json",
    text: "",
    error: "emptyjson.json:1:1: is empty; a pipeline needs at least steps",
  },
  {
    file: "nulljson.json",
    text: "null",
    error:
      "nulljson.json:1:1: must hold a map of keys and values, such as name:, schedule: and steps:",
  },
  {
    file: "commentjson.json",
    text: '// hi\n{"steps":{"a":{"run":"true"}}}',
    error:
      'commentjson.json:1:1: is not valid JSON: Unexpected token \'/\', "// hi {"st"... ' +
      "is not valid JSON",
  },
  {
    file: "protojson.json",
    text: '{"__proto__":{"x":1},"steps":{"a":{"run":"true"}}}',
    error: 'protojson.json:1:2: has the key "__proto__", which is refused',
  },
  {
    file: "typo.ts",
    text:
      'import { pipeline, step } from "orchd";\nexport const a = step(async () => 1);\n' +
      'export default pipeline({ shedule: { cron: "* * * * *" }, ' +
      "steps: { a: { uses: a } } });\n",
    error: 'typo.ts:3:27: shedule is not known here; did you mean "schedule"?',
  },
  {
    file: "syntax.ts",
    text:
      'import { pipeline } from "orchd";\nexport default pipeline({\n' +
      '  steps: { a: { run: "true" }\n);\n',
    error: 'syntax.ts:4:1: Expected "}" but found ")"',
  },
  {
    file: "throws.ts",
    text: 'throw new Error("first line\\nsecond line");\nexport default 1;\n',
    error: "throws.ts:1:7: could not be loaded: first line second line",
  },
  {
    file: "throws-deep.ts",
    text:
      'import { pipeline } from "orchd";\n\nconst limit: number = 1;\n' +
      "function check(): never {\n  throw new RangeError(`over ${limit}`);\n}\ncheck();\n" +
      "export default pipeline({ steps: {} });\n",
    error: "throws-deep.ts:5:9: could not be loaded: over 1",
  },
  {
    file: "throws-within.ts",
    text: 'import "./steps/throws.ts";\nexport default 1;\n',
    error: "steps/throws.ts:3:7: could not be loaded: from within",
  },
  {
    file: "throws-null.ts",
    text: "throw null;\nexport default 1;\n",
    error: "throws-null.ts: could not be loaded: null",
  },
  {
    file: "no-default-export.ts",
    text: "export const a = 1;\n",
    error: "no-default-export.ts:1:1: has no default export; write export default pipeline({…})",
  },
  {
    file: "no-pipeline.ts",
    text: "export const a = 1;\nexport default 5;\n",
    error:
      "no-pipeline.ts:2:1: the default export is no pipeline; " +
      "write export default pipeline({ … }) or export default dynamicPipeline({ … }, " +
      "async (run) => { … })",
  },
  {
    file: "exits.ts",
    text: "process.exit(3);\nexport default 5;\n",
    error:
      "exits.ts: could not be evaluated: WorkerExit: " +
      "the load function ended its own thread (process.exit(3)): return or throw instead",
  },
  {
    file: "code-cycle.ts",
    text:
      'import { pipeline, step } from "orchd";\nexport const a = step(async () => 1);\n' +
      "export const b = step(async () => 1);\n" +
      'export default pipeline({ steps: { a: { uses: a, inputs: { x: "b" } }, ' +
      'b: { uses: b, inputs: { x: "a" } } } });\n',
    error:
      "code-cycle.ts:4:60: steps.a.inputs.x closes a cycle, " +
      "so that none of these steps could ever start: a needs b needs a",
  },
  {
    file: "code-import.ts",
    text: 'import x from "./steps/nothere.ts";\nexport default x;\n',
    error: 'code-import.ts:1:15: Could not resolve "./steps/nothere.ts"',
  },
  {
    file: "deep.yaml",
    text: `params: { x: ${"[".repeat(100)}${"]".repeat(100)} }\n${STEP}`,
    error: "deep.yaml:1:76: is nested more than 64 deep",
  },
  {
    file: "deeper.yaml",
    text: `params: { x: ${"[".repeat(20_000)} }\n${STEP}`,
    error: "deeper.yaml:1:76: is nested more than 64 deep",
  },
  {
    file: "bomb.yaml",
    text: `params:\n  a: &a [1,1,1,1,1,1,1,1,1]\n${LAUGHS}${STEP}`,
    error: "bomb.yaml:11:34: repeats itself through aliases …",
  },
  {
    file: "long-name.yaml",
    text: `name: ${"a".repeat(65)}\n${STEP}`,
    error: "long-name.yaml:1:7: name must be 1 to 64 lower-case letters, …",
  },
  {
    file: "large.yaml",
    text: `# ${"x".repeat(1_048_576)}\n${STEP}`,
    error: "large.yaml: is larger than 1 MiB",
  },
];
