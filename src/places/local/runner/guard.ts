/**
 * A small process that outlives its runner by a moment, to end what the runner started.
 *
 * It reads the process groups of shell steps from a pipe whose only writer is the runner. When the
 * pipe closes, which the kernel sees to whatever ended the runner, it ends those groups, and then
 * every process whose environment carries the runner's token: over and over until two looks found
 * none, since a runner that dies between starting a shell and telling of its group leaves one that
 * still forks while it is looked for. A second process of it reads a pipe whose only writer is the
 * daemon, and ends the runner when that closes: a runner hears of the daemon's end by itself only
 * while it is well.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { TOKEN_VARIABLE } from "../../../core/task.ts";
import { LIFELINE } from "../protocol.ts";

/**
 * Looks at all processes, at most: what forks faster than it can be looked for is not waited for.
 */
const PASSES = 100;

const SCRIPT = `trap '' HUP INT TERM
{ read -r _ <&3; kill -KILL "-$2"; } 2>/dev/null &
watch=$!
exec 3<&-
groups=' ' folder=
while read -r op group; do
  case $op in
    +) groups="$groups$group " ;;
    d) folder=$group ;;
    -) groups="\${groups%%" $group "*} \${groups#*" $group "}" ;;
  esac
done
kill -KILL "$watch" 2>/dev/null
for group in $groups; do kill -KILL "-$group"; done 2>/dev/null
empty=0 passes=0
while [ $empty -lt 2 ] && [ $passes -lt ${PASSES} ]; do
  empty=$((empty + 1)) passes=$((passes + 1))
  for file in $(LC_ALL=C grep -lsaE "${TOKEN_VARIABLE}=$1([^0-9]|$)" /proc/[0-9]*/environ); do
    pid=\${file#/proc/}; pid=\${pid%/environ}
    [ "$pid" = "$$" ] || { kill -KILL "$pid" && empty=0; }
  done 2>/dev/null
  sleep 0.05
done
[ -z "$folder" ] || rm -rf -- "$folder"
`;

/** See the head of this file. */
export class Guard {
  readonly #process: ChildProcess;

  /** @param token the runner's; the guard itself does not carry it */
  constructor(token: string) {
    const env = { ...process.env };
    delete env[TOKEN_VARIABLE];
    this.#process = spawn(
      "/bin/sh",
      ["-c", SCRIPT, "orchd-guard", token.replaceAll(".", "\\."), String(process.pid)],
      {
        detached: true,
        // It must not keep a folder from being removed or unmounted.
        cwd: "/",
        stdio: ["pipe", "ignore", "ignore", LIFELINE],
        env,
      },
    );
    this.#process.on("error", () => {});
    this.#process.stdin!.on("error", () => {});
    // It ends when the runner does, and must not keep it.
    this.#process.unref();
    (this.#process.stdin as unknown as { unref?(): void }).unref?.();
  }

  /** A folder is to be removed with the runner. Its path has no blank. */
  keeps(folder: string): void {
    this.#process.stdin!.write(`d ${folder}\n`);
  }

  /** A process group began. */
  began(group: number): void {
    this.#process.stdin!.write(`+ ${group}\n`);
  }

  /** A process group has ended, all of it. */
  ended(group: number): void {
    this.#process.stdin!.write(`- ${group}\n`);
  }
}
