/**
 * A small process that lives a moment longer than its runner, to end what the runner started.
 *
 * It reads the process groups of shell steps from a pipe. Only the runner writes to the pipe, so
 * the kernel closes it whatever ended the runner. Then the guard ends those groups, and each
 * process whose environment carries the runner's token. It looks again until two looks find none: a
 * runner that dies between starting a shell and telling the group leaves a shell that still forks.
 * A look that sees a process between two programs, which has no environment yet, does not count.
 *
 * A second process of the guard reads a pipe that only the daemon writes to, and ends the runner
 * when that pipe closes: a runner hears of the daemon's end by itself only while it is well. One
 * that is well gets a moment to leave its claims (claims.ts), and ends itself.
 *
 * A runner takes no task before its guard is there, or cannot be: there is no shell. Where the
 * machine starts no process for it, the guard waits for one, and the runner with it.
 *
 * The guard leads a process group of its own, and ends it last: the second process may be ended
 * while it waits, and its `sleep` would outlive the guard.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { TOKEN_VARIABLE } from "../../core/task.ts";
import { startedProcess } from "../../disk/process-start.ts";
import { ENV_END, OF_KERNEL } from "../pool/process-environment.ts";
import { LIFELINE } from "../pool/protocol.ts";

/** The most looks at all processes: the guard does not wait for what forks faster than it looks. */
const PASSES = 100;
/** How many in a row find none before what is between two programs is taken for another's. */
const QUIET_PASSES = 10;
/** How long the end of a group may wait to be told with a beginning, in milliseconds. */
const TOLD_MS = 250;
/** How long a runner may take to end by itself when the daemon is gone, in seconds. */
const LAST_WORDS_S = 1;

const SCRIPT = `trap '' HUP INT TERM
{ read -r _ <&3; sleep ${LAST_WORDS_S}; kill -KILL "-$2"; } 2>/dev/null &
watch=$!
exec 3<&-
token=$1 prefix=$3 groups=' '
shift 3
while read -r op group; do
  case $op in
    +) groups="$groups$group " ;;
    d) set -- "$@" "$group" ;;
    -) groups="\${groups%%" $group "*} \${groups#*" $group "}" ;;
  esac
done
kill -KILL "$watch" 2>/dev/null
for group in $groups; do kill -KILL "-$group"; done 2>/dev/null
is_becoming() {
  read -r line <"$1" || return 1
  set -- \${line##*) }
  case \${1-Z} in Z|X) return 1 ;; esac
  [ $((\${7-0} & ${OF_KERNEL})) -eq 0 ] && [ "\${${ENV_END + 1}-0}" = 0 ]
}
empty=0 quiet=0 passes=0
while [ $empty -lt 2 ] && [ $quiet -lt ${QUIET_PASSES} ] && [ $passes -lt ${PASSES} ]; do
  empty=$((empty + 1)) quiet=$((quiet + 1)) passes=$((passes + 1))
  for file in $(LC_ALL=C grep -Lsa . /proc/[0-9]*/environ); do
    ! is_becoming "\${file%environ}stat" || empty=0
  done 2>/dev/null
  for file in $(LC_ALL=C grep -lsaE "${TOKEN_VARIABLE}=$token([^0-9]|$)" /proc/[0-9]*/environ); do
    pid=\${file#/proc/}; pid=\${pid%/environ}
    [ "$pid" = "$$" ] || { kill -KILL "$pid" && empty=0 quiet=0; }
  done 2>/dev/null
  sleep 0.05
done
for folder in "$prefix"*; do [ -d "$folder" ] && set -- "$@" "$folder"; done
[ $# -eq 0 ] || rm -rf -- "$@" || { chmod -R u+rwx -- "$@"; rm -rf -- "$@"; }
kill -KILL "-$$"
`;

/** Ends what a runner leaves behind. */
export class Guard {
  /** Resolves when it is there, or cannot be. */
  readonly ready: Promise<void>;
  /** Undefined before it is there. Null: it cannot be. */
  #process: ChildProcess | null | undefined;
  /** Ends that it was not told of yet: to wake it costs as much as a part of a brief step. */
  #untold = "";
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param token the runner's token; the guard itself does not carry it
   * @param prefix the folders whose paths begin with it are removed when the runner has ended
   */
  constructor(token: string, prefix: string) {
    this.ready = this.#start(token, prefix);
  }

  async #start(token: string, prefix: string): Promise<void> {
    const env = { ...process.env };
    delete env[TOKEN_VARIABLE];
    const start = (): ChildProcess => guardProcess(token, prefix, env);
    try {
      this.#process = await startedProcess(start, { isWanted: () => true });
    } catch {
      this.#process = null;
      return;
    }
    this.#process.on("error", () => {});
    this.#process.stdin!.on("error", () => {});
    // It ends after the runner, and must not keep the runner alive.
    this.#process.unref();
    (this.#process.stdin as unknown as { unref?(): void }).unref?.();
    this.#tell("");
  }

  /** Removes a folder when the runner has ended. Its path has no line break. */
  keeps(folder: string): void {
    this.#tell(`d ${folder}\n`);
  }

  /** A process group began. */
  began(group: number): void {
    this.#tell(`+ ${group}\n`);
  }

  /** A whole process group has ended. */
  ended(group: number): void {
    this.#untold += `- ${group}\n`;
    this.#timer ??= setTimeout(() => this.#tell(""), TOLD_MS).unref();
  }

  #tell(text: string): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#untold += text;
    if (this.#process === undefined || this.#untold === "") return;
    this.#process?.stdin?.write(this.#untold);
    this.#untold = "";
  }
}

function guardProcess(token: string, prefix: string, env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(
    "/bin/sh",
    ["-c", SCRIPT, "orchd-guard", token.replaceAll(".", "\\."), String(process.pid), prefix],
    {
      detached: true,
      // In any other folder it would keep that from being removed or unmounted.
      cwd: "/",
      stdio: ["pipe", "ignore", "ignore", LIFELINE],
      env,
    },
  );
}
