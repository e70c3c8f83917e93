/**
 * The program of the spawner (spawner.ts), in perl: fork, exec, and what that takes of a process
 * group, pipes and an exit status. It needs no module of perl, so it stays small, and a small
 * process forks fast.
 *
 * It is read from its own stdin ({@link SPAWNER_WORDS}), so a list of processes shows its name and
 * not its text. It never sets perl's `$0`: perl would write that over its environment too, and what
 * looks for the token in there would not see the process any more.
 *
 * It reads requests from its stdin: a length (4 bytes, big-endian), then a letter and a text.
 *
 * - `s`: starts a shell. Parts with a NUL between them: id, folder, number of words, the words, and
 *   the variables as NAME=VALUE.
 * - `m` and an id: reads no more of that shell's output.
 * - `a`: asks for a sign of life.
 *
 * Its answers on stdout: an id (4 bytes), a letter, a length (4 bytes), and a text.
 *
 * - `r`, id 0: it is ready. `a`, id 0: it lives.
 * - `b`: the pid of the process that becomes the shell, in a session of its own. It waits until
 *   this is told, so no shell begins that its runner cannot find: if the spawner dies before, it
 *   ends.
 * - `f`: it cannot be started: the number of the error.
 * - `o`, `e`: what it printed to stdout, to stderr.
 * - `x`: it has ended, and its group with it: the status as wait(2) gives it.
 * - `c`: it has ended, and its output too.
 *
 * When its stdin ends, its runner is gone. It ends the groups of all shells, and itself.
 *
 * Its signals have handlers that do nothing: what is ignored would stay ignored in a shell.
 *
 * A shell's end shows on a descriptor that the system call `pidfd_open` gives (434, the same on
 * every kind of processor, since Linux 5.3). SIGCHLD would be lost where it arrives just before
 * `select`: perl runs a handler only between two of its own operations. The other numbers are
 * Linux's too: EINTR 4, EAGAIN 11, F_GETFL 3, F_SETFL 4, O_NONBLOCK 2048.
 */

/** What it is called in a list of processes. */
export const SPAWNER_NAME = "orchd-spawner";

/** What perl is started with: it reads {@link SPAWNER_PROGRAM}, up to a NUL. */
export const SPAWNER_WORDS = [
  "-e",
  '$/ = "\\0"; chomp(my $text = <STDIN>); eval $text; die $@',
] as const;

/** The program. Its argument is the number of the system call `setsid`. */
export const SPAWNER_PROGRAM = `
use strict;
no warnings;
my $setsid = shift() + 0;
my ($in, $out, $ready) = ("", "", "");
my (%error, %left, %shell, %stream);
my @DEAF = qw(HUP INT TERM PIPE);

sub answer { $out .= pack "NaN/a*", @_ }
sub leave { kill -9, $_->[1] for values %shell; exit }
sub watch { my ($number) = @_; vec($ready, $number, 1) = 1; $number }
# A shell's stdout before its stderr.
sub numbers { sort { $a <=> $b } keys %stream }
sub part { my ($id) = @_; delete $left{$id}, answer($id, "c", "") unless --$left{$id} }

sub flush {
  for (my $at = 0; $at < length $out;) {
    my $wrote = syswrite STDOUT, $out, length($out) - $at, $at;
    if (defined $wrote) { $at += $wrote } elsif ($! != 4) { leave() }
  }
  $out = "";
}

sub ended {
  my ($number) = @_;
  my ($pipe, $id) = @{ delete $stream{$number} };
  vec($ready, $number, 1) = 0;
  close $pipe;
  part($id);
}

sub drain {
  my ($number) = @_;
  my ($pipe, $id, $letter) = @{ $stream{$number} or return };
  my $got = sysread $pipe, my $text, 65536;
  if ($got) { answer($id, $letter, $text) }
  elsif (defined $got or $! != 4 && $! != 11) { ended($number) }
  flush() if length $out > 65536;
}

sub start {
  my ($id, $folder, $count, @rest) = split /\\0/, $_[0], -1;
  my @words = splice @rest, 0, $count;
  my ($o, $oo, $e, $ee, $s, $ss, $g, $gg, $pid, $life, $got, $error);
  return answer($id, "f", $! + 0)
    unless pipe $o, $oo and pipe $e, $ee and pipe $s, $ss and pipe $g, $gg
    and defined($pid = fork);
  if ($pid == 0) {
    $SIG{$_} = "DEFAULT" for @DEAF;
    syscall $setsid;
    close $gg;
    if (open STDIN, "<", "/dev/null" and open STDOUT, ">&", $oo and open STDERR, ">&", $ee) {
      %ENV = map { split /=/, $_, 2 } @rest;
      exit unless sysread $g, my $go, 1;
      chdir $folder and exec { $words[0] } @words;
    }
    syswrite $ss, pack "N", $! + 0;
    exit 127;
  }
  close $_ for $oo, $ee, $ss, $g;
  if (!open $life, "<&=", syscall 434, $pid + 0, 0) {
    answer($id, "f", $! + 0);
    close $gg;
    return waitpid $pid, 0;
  }
  $shell{watch(fileno $life)} = [$life, $pid, $id];
  for ([$o, $id, "o"], [$e, $id, "e"]) {
    fcntl $_->[0], 4, 2048 | fcntl $_->[0], 3, 0;
    $stream{watch(fileno $_->[0])} = $_;
  }
  $left{$id} = 3;
  answer($id, "b", $pid);
  flush();
  syswrite $gg, ".";
  do { $got = sysread $s, $error, 4 } until defined $got or $! != 4;
  $error{$id} = unpack "N", $error if $got;
}

sub take {
  my $got = sysread STDIN, $in, 65536, length $in;
  return if !defined $got and $! == 4;
  leave() unless $got;
  while (length $in >= 4) {
    my $size = unpack "N", $in;
    last if length $in < 4 + $size;
    my ($letter, $text) = unpack "x4 a a" . ($size - 1), $in;
    substr($in, 0, 4 + $size) = "";
    if ($letter eq "s") { start($text) }
    elsif ($letter eq "a") { answer(0, "a", "") }
    else { ended($_) for grep { $stream{$_}[1] == $text } keys %stream }
  }
}

sub reap {
  my ($number) = @_;
  my ($life, $pid, $id) = @{ delete $shell{$number} };
  vec($ready, $number, 1) = 0;
  close $life;
  kill -9, $pid;
  waitpid $pid, 0;
  my $status = $?;
  for my $number (grep { $stream{$_}[1] == $id } numbers()) { drain($number) for 1, 2 }
  answer($id, exists $error{$id} ? ("f", delete $error{$id}) : ("x", $status));
  part($id);
}

exit 1 if syscall(434, $$ + 0, 0) < 0;
$SIG{$_} = sub { } for @DEAF;
watch(0);
if (open my $name, ">", "/proc/self/comm") { syswrite $name, "${SPAWNER_NAME}" }
answer(0, "r", "");
while () {
  flush();
  my $now = $ready;
  if (select($now, undef, undef, undef) < 0) { next if $! == 4; leave() }
  drain($_) for grep { vec $now, $_, 1 } numbers();
  reap($_) for grep { vec $now, $_, 1 } keys %shell;
  # The last: what it opens may have a number that was closed above.
  take() if vec $now, 0, 1;
}
`;
