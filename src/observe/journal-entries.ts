/**
 * Sends log lines to systemd's journal with fields of their own: `ORCHD_PIPELINE` and `ORCHD_RUN`
 * beside `PRIORITY` (systemd's Native Journal Protocol). `journalctl ORCHD_PIPELINE=etl` shows
 * them.
 *
 * Each entry is a datagram, and Node has no datagram sockets of AF_UNIX. So a perl process of a few
 * MiB sends them. It reads its stdin: two lengths (4 bytes each, big-endian), fields, a line.
 *
 * - Only lines about a pipeline or a run come here, and the last words of a daemon are none: those
 *   are written to stderr, and are the journal's when the write returns.
 * - While a line waits for room in the pipe, this says no, and the caller writes the next ones to
 *   stderr. So at most one line waits here when the daemon ends. perl reads the pipe to its end.
 * - Without perl, without the socket, where perl ended, and for a long line, this says no.
 * - What the journal does not take (it starts again, or the entry is too long), perl writes to
 *   stderr.
 */
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { startApart } from "../disk/apart-program.ts";

/** Where the journal takes entries. */
export const JOURNAL_SOCKET = "/run/systemd/journal/socket";

/** A longer line goes to stderr, in UTF-16 units: it might not fit into the pipe. */
const LONGEST_LINE = 32_768;
/** What a field's value may hold: one word of ASCII. */
const WORD = /^[\x21-\x7e]{1,256}$/;

/** For `perl -e`. Its argument is the socket's path. The numbers are AF_UNIX and SOCK_DGRAM. */
const PROGRAM = `
use strict;
no warnings;
$SIG{$_} = sub {} for qw(HUP INT TERM PIPE);
my $to = pack "Sa*x", 1, shift;
my $socket;
sub take {
  my ($length) = @_;
  my $text = "";
  while (length $text < $length) {
    my $read = sysread STDIN, $text, $length - length $text, length $text;
    next if !defined $read && $!{EINTR};
    exit unless $read;
  }
  $text;
}
for (;;) {
  my ($fields, $length) = unpack "NN", take(8);
  my ($head, $line) = (take($fields), take($length));
  socket $socket, 1, 2, 0 unless $socket;
  my $entry = $head . "MESSAGE\\n" . pack("Q<", length $line) . $line . "\\n";
  next if defined send $socket, $entry, 0, $to;
  my ($priority) = $head =~ /^PRIORITY=(\\d)/;
  syswrite STDERR, "<$priority>$line\\n";
}
`;

/** A way into the journal. */
export class JournalEntries {
  #process: ChildProcess | undefined;

  /** @param socket where the journal takes entries; no perl is started where there is none */
  constructor(socket: string) {
    if (!existsSync(socket)) return;
    try {
      const child = startApart("perl", ["-e", PROGRAM, socket], {
        // A Ctrl-C is for the daemon, and in any other folder perl would hold a mount.
        detached: true,
        cwd: "/",
        stdio: ["pipe", "ignore", "inherit"],
        env: { PATH: process.env["PATH"] },
      });
      const end = (): void => void (this.#process = undefined);
      child.on("error", end).on("exit", end);
      child.stdin?.on("error", end);
      child.unref();
      (child.stdin as { unref?(): void }).unref?.();
      this.#process = child;
    } catch {
      // No process can be made: stderr gets the lines.
    }
  }

  /**
   * Sends a line about a pipeline or a run.
   *
   * @param line with its line feed
   * @param about the logged object
   * @returns false: it has to be written to stderr
   */
  send(line: string, priority: number, about: unknown): boolean {
    const stdin = this.#process?.stdin;
    if (stdin === undefined || stdin === null || !stdin.writable) return false;
    if (stdin.writableLength > 0 || line.length > LONGEST_LINE) return false;
    const fields = fieldsOf(about);
    if (fields === "") return false;
    const head = Buffer.from(`PRIORITY=${priority}\nSYSLOG_IDENTIFIER=orchd\n${fields}`);
    const text = Buffer.from(line.trimEnd());
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32BE(head.length, 0);
    lengths.writeUInt32BE(text.length, 4);
    stdin.write(Buffer.concat([lengths, head, text]));
    return true;
  }
}

function fieldsOf(about: unknown): string {
  const { pipeline, run } = (about ?? {}) as {
    readonly pipeline?: unknown;
    readonly run?: unknown;
  };
  const field = (name: string, value: unknown): string =>
    typeof value === "string" && WORD.test(value) ? `${name}=${value}\n` : "";
  return field("ORCHD_PIPELINE", pipeline) + field("ORCHD_RUN", run);
}
