/**
 * The words of the engine's command that runs a step in a container that runs already. Pure.
 *
 * Two small programs for `/bin/sh` do what no engine does. The first one begins the step's command,
 * and only when it is told to by stdin: if the daemon or the engine's command dies before that,
 * stdin ends and nothing begins. After the command's end it ends what that has left behind. The
 * second one sends a signal to all that an attempt started in there, and to nothing else.
 *
 * What an attempt started carries its token in the environment, or has the first program's session,
 * or is below one of these. The first program itself does not carry it, and neither does the
 * engine's command: a container may show the processes of the whole machine. Both programs use
 * `/proc` of the container, and nothing but the shell itself: not every `grep` reads past a NUL.
 * Where there is no `/proc` nothing begins.
 */
import type { RunningContainer } from "../../core/container.ts";
import { TOKEN_VARIABLE } from "../../core/task.ts";
import type { ContainerFacts, Script } from "./container-command.ts";

/** How the line begins by which the first program says that it is there: its pid and its begin. */
export const READY = "orchd-ready ";
/** What it is told. */
export const GO = "go\n";
/** How often the first program looks for what is left, at most. */
const LOOKS = 20;

/**
 * Finds what an attempt started: `look` sets `found`. It wants `boot`, `begin` and `mark`. A
 * process may fork and end before it is read, so those that came meanwhile are looked at too.
 */
const LOOK = `
about() {
  line=
  read -r line 2>/dev/null <"/proc/$1/stat" || :
  set -- \${line##*) }
  state=\${1-} parent=\${2-} session=\${4-} began=\${20-}
}
carriers() {
  seen=' '
  for list in 1 2 3 4 5; do
    fresh=
    for file in /proc/[0-9]*/environ; do
      case $seen in *" $file "*) continue ;; esac
      fresh=1 seen="$seen$file "
      while IFS= read -r text || [ -n "$text" ]; do
        case $text in *"$mark"*) echo "$file"; break ;; esac
      done 2>/dev/null <"$file"
    done
    [ -n "$fresh" ] || break
  done
}
look() {
  found=' ' own=
  about "\${boot:-none}"
  { [ -z "$began" ] || [ "$began" = "$begin" ]; } && own=$boot
  [ -n "$began" ] && [ -n "$own" ] && found=" $boot "
  for file in $(carriers 2>/dev/null); do
    pid=\${file#/proc/} pid=\${pid%/environ}
    about "$pid"
    case "$state$found" in Z*|X*|' '*|*" $pid "*) ;; *) found="$found$pid " ;; esac
  done
  more=1
  while [ -n "$more" ]; do
    more=
    for file in /proc/[0-9]*; do
      pid=\${file#/proc/}
      case $found in *" $pid "*) continue ;; esac
      about "$pid"
      case $state in ''|Z|X) continue ;; esac
      case $found in
        *" $parent "*) ;;
        *) [ -n "$own" ] && [ "$session" = "$own" ] || continue ;;
      esac
      found="$found$pid " more=1
    done
  done
  case $found in *" $$ "*) found="\${found%% $$ *} \${found#* $$ }" ;; esac
}
`;

const BOOT = `${LOOK}
boot=$$ token=$1 mark="${TOKEN_VARIABLE}=$1"
shift
about "$$"
begin=$began
[ -n "$begin" ] || {
  echo "it shows no /proc, without which what a step leaves cannot be ended: mount one" >&2
  exit 1
}
echo "${READY}$$ $begin"
IFS= read -r go && [ "$go" = "${GO.trim()}" ] || exit 0
trap : HUP INT TERM
${TOKEN_VARIABLE}=$token "$@" </dev/null
status=$?
looks=0
look
while [ -n "\${found# }" ] && [ $looks -lt ${LOOKS} ]; do
  kill -KILL $found 2>/dev/null
  looks=$((looks + 1))
  look
done
exit $status
`;

const END = `${LOOK}
signal=$1 boot=$2 begin=$3 mark="${TOKEN_VARIABLE}=$4" also=$5
look
rest=
for pid in $found; do
  [ "$pid" = "$boot" ] && [ -z "$also" ] && continue
  kill "-$signal" "$pid" 2>/dev/null
  rest="$rest $pid"
done
echo "rest:$rest"
`;

/** What is known of an attempt in a container that runs already. */
export interface ExecMark {
  /** The container's name. */
  readonly container: string;
  readonly user?: string | undefined;
  /** In the environment of all that it starts. */
  readonly token: string;
  /** The first program, once it is there: its pid in the container, and when it began. */
  readonly boot?: readonly [pid: string, begin: string] | undefined;
}

/** The words of `exec` for a step. @param token {@link ExecMark.token} */
export function execWords(
  { exec, user, workdir }: RunningContainer,
  token: string,
  script: Script,
  { variables, envFile }: Pick<ContainerFacts, "variables" | "envFile">,
): string[] {
  return [
    "exec",
    "--interactive",
    ...(user === undefined ? [] : [`--user=${user}`]),
    ...(workdir === undefined ? [] : [`--workdir=${workdir}`]),
    ...(envFile === undefined ? [] : [`--env-file=${envFile}`]),
    ...variables.words,
    exec,
    "/bin/sh",
    "-c",
    BOOT,
    "orchd-step",
    token,
    ...script,
  ];
}

/**
 * The words of `exec` that send a signal to all that an attempt started.
 *
 * @param also the first program gets it too
 */
export function endWords(
  { container, user, token, boot = ["", ""] }: ExecMark,
  signal: "TERM" | "KILL",
  also: boolean,
): string[] {
  const words = [signal, ...boot, token, also ? "also" : ""];
  const as = user === undefined ? [] : [`--user=${user}`];
  return ["exec", ...as, container, "/bin/sh", "-c", END, "orchd-end", ...words];
}

/** What {@link endWords} found. Undefined: it did not run. */
export function foundBy(stdout: string): number | undefined {
  const line = stdout.split("\n").find((one) => one.startsWith("rest:"));
  return line?.slice("rest:".length).split(" ").filter(Boolean).length;
}

/** What the first program says of itself. Undefined: it is not its line. */
export function readyIn(line: string): ExecMark["boot"] {
  const [, pid, begin] = /^orchd-ready (\d+) (\d+)$/.exec(line.trimEnd()) ?? [];
  return pid === undefined || begin === undefined ? undefined : [pid, begin];
}
