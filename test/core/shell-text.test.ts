import { describe, expect, it } from "vitest";
import { placeholderFaults, readsSubstitutions } from "../../src/core/shell-text.ts";

const said = (text: string, params: string[] = [], inputs: string[] = []): string[] =>
  placeholderFaults(text, { params, inputs }).map(({ message }) => message);

describe("a placeholder in a shell text is told with what to write", () => {
  it.each([
    ["echo ${params.x}", ["x"], 'write "$ORCHD_PARAM_x"'],
    ["echo ${params.x}", [], 'and give the step params: { x: "${params.x}" }'],
    ['echo "a ${params.x} b"', ["x"], "${params.x}"],
    ['echo "it\'s ${params.x}"', ["x"], "${params.x}"],
    ["echo ${params.log-dir}", ["log-dir"], '"$(printenv ORCHD_PARAM_log-dir)"'],
    ["echo ${inputs.rows}", [], "and give the step inputs: { rows: STEP }"],
    ["echo ${run.id}", [], 'write "$ORCHD_RUN_ID"'],
    ["echo ${run.scheduledFor}", [], 'write "$ORCHD_SCHEDULED_FOR"'],
    ["echo ${env.HOME}", [], 'write "$HOME"'],
    ["echo ${{ params.x }}", ["x"], 'write "$ORCHD_PARAM_x"'],
    ["echo ${steps.read.result}", [], "$ORCHD_INPUTS"],
    ["echo ${inputs.rows.total}", [], "as JSON in the files $ORCHD_PARAMS and $ORCHD_INPUTS"],
    ["echo ${params.db.host}", ["db"], "as JSON in the files $ORCHD_PARAMS and $ORCHD_INPUTS"],
    ["echo ${env.A.B}", [], "as JSON in the files $ORCHD_PARAMS and $ORCHD_INPUTS"],
    ["cat <<END\n${params.x}\nEND", ["x"], "${params.x}"],
    ["cat <<'END'\nfine ${params.y}\nEND\necho ${params.x}", ["x"], "${params.x}"],
    ['cat <<-"E"\n\tfine ${params.y}\n\t\tE\necho ${params.x}', ["x"], "${params.x}"],
    ["cat <<'E'\n\tE\nfine ${params.y}\nE\necho ${params.x}", ["x"], "${params.x}"],
    ["x=$#; echo ${params.x}", ["x"], "${params.x}"],
    ["cat <<END\ndon't say ${params.x}\nEND", ["x"], "${params.x}"],
    ["cat <<END\n# ${params.x}\nEND", ["x"], "${params.x}"],
    ["cat <<END\nit's\nEND\necho ${params.x}", ["x"], "${params.x}"],
    ["cat <<A <<'B'\n${params.x}\nA\n${params.y}\nB\n", ["x"], "${params.x}"],
    ["cat <<<'END'\necho ${params.x}", ["x"], "${params.x}"],
    ["cat <<< 'END' | tr a b\necho ${params.x}", ["x"], "${params.x}"],
    ["cat <<\necho ${params.x}\n", ["x"], "${params.x}"],
    ["echo $((1 << n))\necho ${params.x}\nn", ["x"], "${params.x}"],
    ["echo \"$(cat 'a')\"'${params.y}'${params.x}", ["x"], "${params.x}"],
    ["x=\"$(cat <<'E'\n${params.y}\nE\n) ${params.x}\"", ["x"], "${params.x}"],
  ])("%j", (text, params, sentence) => {
    const faults = said(text, params);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(sentence);
  });

  it("each one once, however often it stands there", () => {
    expect(said("echo ${params.x} ${params.x} ${params.y}", ["x", "y"])).toHaveLength(2);
  });
});

it.each([
  "echo '${params.x}'",
  "echo \\${params.x}",
  'echo "\\${params.x}"',
  "true # ${params.x}",
  "# it's ${params.x}\necho ${x:-1}",
  "cat <<'END'\n${params.x}\nEND",
  'cat <<-"END" > f\n\t${params.x}\n\tEND\necho $x',
  "cat <<\\END\n${params.x}\nEND",
  "node -e 'console.log(`${params.x}`)'",
  "cat <<END\nit's\nEND\necho '${params.x}'",
  "cat <<END\n5\" \\${params.x}\nEND\necho '${params.x}'",
  'cat <<E"N"D\n${params.x}\nEND',
  "cat <<''\n${params.x}\n\necho",
  "x=\"$(cat <<'END'\nit's ${params.x}\nEND\n)\"",
  "x=\"$(echo '${params.x}' | (cat; true))\"; echo '${params.x}'",
  "x=$((1 << n)); ((x <<= 2))\necho '${params.x}'\n",
  "echo ${x%.y} ${x##*.} ${x:-a.b} ${#x} $x.y",
])("%j is text to the shell", (text) => {
  expect(said(text)).toEqual([]);
});

it("is linear in the text's length", () => {
  const before = process.cpuUsage().user;
  for (const piece of [
    "'",
    '"',
    "<<'E'\n",
    "#",
    "${params.x}",
    "\\",
    "${{{",
    "<<<<",
    "<<E\n",
    "((",
    "$(",
  ])
    said(piece.repeat(Math.floor(262_144 / piece.length)));
  expect(process.cpuUsage().user - before).toBeLessThan(5_000_000);
});

it("only shells that would say Bad substitution are looked at", () => {
  expect(readsSubstitutions(undefined)).toBe(true);
  expect(readsSubstitutions(["/bin/bash", "-eu"])).toBe(true);
  expect(readsSubstitutions(["python3"])).toBe(false);
  expect(readsSubstitutions(["ksh93"])).toBe(false);
});
