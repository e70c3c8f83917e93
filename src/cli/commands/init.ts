/**
 * `orchd init [FOLDER]`: makes a project root. Its one pipeline does something, and comments say
 * what else there is.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { shellWord } from "../../core/shell-word.ts";
import { errorCode } from "../../disk/disk-error.ts";
import { makeFolder } from "../../disk/make-folder.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, type ExitStatus } from "../exit.ts";

const FILES: Readonly<Record<string, string>> = {
  "orchd.yaml": `# Settings of this project; every key is optional.
# \`orchd schema settings\` prints them all.
# timezone: Europe/Berlin        # for schedules that name none; default: UTC
# retention: { keepDays: 30, keepRuns: 10000 }
`,
  "schedules/disk-report.yaml": `# One pipeline in a file: save it and it is in force.
# \`orchd validate\` checks it, \`orchd schema\` describes every key.
description: Notes how full the disk is, once a minute
schedule:
  cron: "* * * * *"
  catchUp: none
steps:
  measure:
    # A shell step: inputs and params arrive in the environment, and the result goes into the file
    # that ORCHD_OUTPUT names.
    run: |
      df -Pk . |
        awk 'NR == 2 { printf "{\\"usedKb\\": %s, \\"freeKb\\": %s}", $3, $4 }' > "$ORCHD_OUTPUT"
      df -Ph .
  judge:
    # A module step: a plain async function in a file of your own.
    uses: ./steps/judge.mjs
    inputs: { disk: measure }
    params: { leastFreeKb: 1048576 }
`,
  "schedules/steps/judge.mjs": `// Fails when too little is free, so that \`orchd status\` shows it.
export default async function judge({ inputs, params, log }) {
  const { freeKb, usedKb } = inputs.disk;
  log.info(\`\${Math.round((100 * usedKb) / (usedKb + freeKb))} % used\`);
  if (freeKb < params.leastFreeKb)
    throw new Error(\`only \${freeKb} KiB are free, \${params.leastFreeKb} should be\`);
  return { freeKb };
}
`,
  ".gitignore": "runs/\n",
};

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const folder = args.text("folder");
  const root = folder === undefined ? roots.root : resolve(folder);
  const made: string[] = [];
  const kept: string[] = [];
  for (const [name, text] of Object.entries(FILES)) {
    const path = join(root, name);
    // An existing file belongs to a person: it is never replaced.
    if (existsSync(path)) {
      kept.push(name);
      continue;
    }
    makeFolder(dirname(path), 0o755);
    make(path, text);
    made.push(name);
  }
  makeFolder(join(root, "runs"));
  if (args.flag("json")) {
    terminal.json({ root, made, kept });
    return EXIT.done;
  }
  for (const name of made) terminal.line(`made ${name}`);
  for (const name of kept) terminal.line(`kept ${name}, which was there already`);
  const where = relative(process.cwd(), root);
  const option = where === "" ? "" : ` --root ${shellWord(where)}`;
  terminal.line("");
  terminal.line(
    `next: \`orchd start${option}\` runs the daemon; in a second terminal, ` +
      `\`orchd status${option}\` and \`orchd tail -f${option}\`.`,
  );
  return EXIT.done;
}

/** Makes a file whole or not at all: half of one would be kept the next time. */
function make(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: "wx", mode: 0o644, flush: true });
  } catch (error) {
    // Somebody else's.
    if (errorCode(error) !== "EEXIST") rmSync(path, { force: true });
    throw error;
  }
}
