/**
 * What orchd does as process 1, as in a container: it starts itself again below a reaper.
 *
 * The kernel gives process 1 each process whose parent has ended. Node waits for its own children
 * alone, so what a step left would stay a zombie after it was ended. So process 1 does no work
 * here:
 *
 *     process 1 (this file)     passes signals down and the exit status up; loads nothing else
 *       └─ reaper               a child subreaper: orphans below it become its children
 *            └─ orchd           the command itself
 *
 * - The reaper is a program that most images have: perl (in Debian's essential set, so in Node's
 *   own images), python3, or tini. Where there is none, the command runs as process 1.
 * - The reaper has a session of its own. A Ctrl-C at the terminal reaches process 1 alone, which
 *   passes it on. Otherwise the command would see it twice, and a second signal ends it at once.
 * - When the command has ended, process 1 ends with its status, or with 128 and the signal's
 *   number. Then the kernel ends all that is left.
 *
 * The quick answer to `orchd status` needs none of this. This file is part of its bundle, so what
 * it needs is loaded when it runs.
 */
import type { ChildProcess } from "node:child_process";

/** What is passed down. SIGTSTP and SIGSTOP are not: process 1 cannot be stopped. */
const PASSED = [
  "SIGTERM",
  "SIGINT",
  "SIGHUP",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGCONT",
  "SIGWINCH",
] as const;
/** With this status a reaper says that it could not become one. No command of orchd has it. */
const UNABLE = 250;

/**
 * The number of the system call `prctl` by `process.arch`. perl has no name for it without its
 * development files.
 */
const PRCTL: Readonly<Record<string, number>> = {
  x64: 157,
  ia32: 172,
  arm: 172,
  arm64: 167,
  riscv64: 167,
  loong64: 167,
  ppc64: 171,
  s390x: 172,
};

const NAMES = PASSED.map((name) => name.slice(3)).join(" ");

/**
 * The handlers are set after the fork: a signal before that ends all, and nothing has begun. With
 * `$0` perl overwrites its environment too. Nobody looks for a token in there: process 1 above it
 * has the same, and its end is the end of all.
 */
const PERL = `
delete $ENV{PERL_BADLANG} if defined $ENV{PERL_BADLANG} && $ENV{PERL_BADLANG} eq "";
my $prctl = shift;
exit ${UNABLE} if syscall($prctl + 0, 36, 1, 0, 0, 0) != 0;
my $main = fork;
exit ${UNABLE} unless defined $main;
if ($main == 0) { exec { $ARGV[0] } @ARGV; exit 127 }
for my $name (qw(${NAMES})) { $SIG{$name} = sub { kill $name, $main } }
$0 = "orchd-reaper";
while ((my $pid = wait) != -1) {
  next if $pid != $main;
  exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
}`;

const PYTHON = `
import os, signal, sys
try:
    import ctypes
    if ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) != 0: sys.exit(${UNABLE})
    main = os.fork()
except Exception: sys.exit(${UNABLE})
if main == 0:
    try: os.execv(sys.argv[1], sys.argv[1:])
    finally: os._exit(127)
def down(number, frame):
    try: os.kill(main, number)
    except OSError: pass
for name in "${NAMES}".split(): signal.signal(getattr(signal, "SIG" + name), down)
while True:
    pid, status = os.wait()
    if pid == main: break
os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))`;

/** What to say where this is process 1 all the same. */
export const NO_REAPER: string =
  "this is process 1, and no reaper was found (perl, python3 or tini): what steps leave stays a " +
  "zombie until the container ends; give the container an init, as with `docker run --init`";

/** A program that can reap, and the words before those of the command. */
type Reaper = readonly [program: string, ...words: string[]];

const prctl = PRCTL[process.arch];
const REAPERS: readonly Reaper[] = [
  ...(prctl === undefined ? [] : [["perl", "-e", PERL, String(prctl)] as const]),
  ["python3", "-I", "-S", "-c", PYTHON],
  ["tini", "-s", "--"],
];

/**
 * Runs this process's command again below a reaper, to its end.
 *
 * @returns the exit status; undefined where no reaper is found, and nothing has run
 */
export async function runBelowReaper(): Promise<number | undefined> {
  const { spawn } = await import("node:child_process");
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  for (const [program, ...words] of REAPERS) {
    const status = await ended(
      spawn(program, [...words, ...command], {
        stdio: "inherit",
        detached: true,
        // Where the image has no files for its LANG, perl would say so at each start.
        env: { PERL_BADLANG: "", ...process.env },
      }),
    );
    if (status !== UNABLE) return status;
  }
  return undefined;
}

/**
 * Passes signals to a reaper until it ends. @returns its status; {@link UNABLE} if there is none
 */
async function ended(reaper: ChildProcess): Promise<number> {
  const pass = (signal: NodeJS.Signals): void => void reaper.kill(signal);
  for (const signal of PASSED) process.on(signal, pass);
  const { constants } = await import("node:os");
  const status = await new Promise<number>((resolve) => {
    reaper.on("error", () => resolve(UNABLE));
    reaper.on("exit", (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
    );
  });
  for (const signal of PASSED) process.off(signal, pass);
  return status;
}
