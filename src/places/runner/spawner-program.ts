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
 * - `p`, id 0: the pid of a spare. It becomes the next shell that was not told one.
 * - `f`: it cannot be started: the number of the error.
 * - `o`, `e`: what it printed to stdout, to stderr.
 * - `x`: it has ended, and its group with it: the status as wait(2) gives it.
 * - `n`: the same of a spare that had not become it yet.
 * - `c`: it has ended, and its output too.
 *
 * A spare is a process that waits to become a shell, in a session of its own: a fork takes a while,
 * and no step waits for it. It is given a shell to become only once its pid is told, so no shell
 * begins that its runner cannot find. If the spawner dies before, it ends. A spare that was ended
 * stays the next one: its runner counts on its pid. The shell that it should become did not begin.
 *
 * Each page that a process writes after a fork is copied. So a spare makes system calls itself,
 * where perl would keep a file handle and set each variable. What `execve` cannot start perl tries,
 * and gives the error of.
 *
 * When its stdin ends, its runner is gone. It ends the groups of all shells, and itself.
 *
 * Its signals have handlers that do nothing: what is ignored would stay ignored in a shell. Perl
 * ignores SIGFPE.
 *
 * A shell's end shows on a descriptor that the system call `pidfd_open` gives (434, the same on
 * every kind of processor, since Linux 5.3). SIGCHLD would be lost where it arrives just before
 * `select`: perl runs a handler only between two of its own operations. The other numbers are
 * Linux's too: EINTR 4, EAGAIN 11, ECONNRESET 104, F_GETFL 3, F_SETFL 4, O_NONBLOCK 2048,
 * O_CLOEXEC 524288, AF_UNIX 1, SOCK_STREAM 1, and those of signals.
 */

/** What it is called in a list of processes. */
export const SPAWNER_NAME = "orchd-spawner";

/** What perl is started with: it reads {@link SPAWNER_PROGRAM}, up to a NUL. */
export const SPAWNER_WORDS = [
  "-e",
  '$/ = "\\0"; chomp(my $text = <STDIN>); eval $text; die $@',
] as const;

/** The program. Its arguments: the numbers of `setsid`, `execve`, `dup3` and `rt_sigaction`. */
export const SPAWNER_PROGRAM = `
use strict;
no warnings;
my ($setsid, $execve, $dup3, $sigaction) = map { $_ + 0 } @ARGV;
my ($in, $out, $ready) = ("", "", "");
my ($spare, %left, %shell, %stream);
my $zeros = "\\0" x 64;
my @DEAF = (1, 2, 13, 15);
open my $null, "<", "/dev/null" or exit 1;
my $nothing = fileno $null;

sub answer { $out .= pack "NaN/a*", @_ }
sub leave { kill -9, $_->{pid} for values %shell; exit }
sub watch { my ($number) = @_; vec($ready, $number, 1) = 1; $number }
# A shell's stdout before its stderr. As numbers: of a text a system call gets the address.
sub numbers { sort { $a <=> $b } map { $_ + 0 } keys %stream }
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

# What a spare does. Each descriptor that it must not have becomes one of /dev/null.
sub become {
  my ($told, $o, $e, @others) = @_;
  syscall $sigaction, $_, $zeros, 0, 8 for @DEAF, 8;
  syscall $setsid;
  syscall $dup3, $nothing, $_, 524288 for @others;
  syscall $dup3, $nothing, 0, 0;
  syscall $dup3, $o, 1, 0;
  syscall $dup3, $e, 2, 0;
  my $text = "";
  until (length $text >= 4 and length $text == 4 + unpack "N", $text) {
    exit unless sysread $told, $text, length $text ? 65536 : 4096, length $text;
  }
  my ($folder, $count, @rest) = split /\\0/, substr($text, 4), -1;
  my @words = splice @rest, 0, $count;
  if (chdir $folder) {
    syscall $execve, $words[0], pack("p*", @words, undef), pack("p*", @rest, undef)
      if index($words[0], "/") >= 0;
    %ENV = map { split /=/, $_, 2 } @rest;
    exec { $words[0] } @words;
  }
  syswrite $told, pack "N", $! + 0;
  exit 127;
}

sub fork_spare {
  my ($o, $oo, $e, $ee, $s, $ss, $pid, $life);
  return unless pipe $o, $oo and pipe $e, $ee and socketpair $s, $ss, 1, 1, 0
    and defined($pid = fork);
  become($ss, fileno $oo, fileno $ee, fileno $s, numbers()) unless $pid;
  close $_ for $oo, $ee, $ss;
  if (!open $life, "<&=", syscall 434, $pid + 0, 0) {
    my $error = $!;
    close $s;
    waitpid $pid, 0;
    $! = $error;
    return;
  }
  $spare = { life => $life, pid => $pid, tell => $s, pipes => [$o, $e] };
  $shell{watch(fileno $life)} = $spare;
  answer(0, "p", $pid);
}

sub start {
  my ($id, $text) = split /\\0/, $_[0], 2;
  $spare or fork_spare() or return answer($id, "f", $! + 0);
  flush();
  my $shell = $spare;
  undef $spare;
  $shell->{id} = $id;
  watch(fileno $shell->{life});
  $left{$id} = 3;
  my @letters = qw(o e);
  for my $pipe (@{ delete $shell->{pipes} }) {
    fcntl $pipe, 4, 2048 | fcntl $pipe, 3, 0;
    $stream{watch(fileno $pipe)} = [$pipe, $id, shift @letters];
  }
  $text = pack "N/a*", $text;
  for (my $at = 0; $at < length $text;) {
    my $wrote = syswrite $shell->{tell}, $text, length($text) - $at, $at;
    if (defined $wrote) { $at += $wrote } elsif ($! != 4) { $shell->{isUntold} = 1; last }
  }
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
  my ($shell, $error) = $shell{$number};
  my ($pid, $id, $tell) = @$shell{qw(pid id tell)};
  vec($ready, $number, 1) = 0;
  return unless defined $id;
  delete $shell{$number};
  close $shell->{life};
  kill -9, $pid;
  waitpid $pid, 0;
  my $status = $?;
  for my $number (grep { $stream{$_}[1] == $id } numbers()) { drain($number) for 1, 2 }
  # It is reset where something was not taken: ECONNRESET.
  my $failed = sysread $tell, $error, 4;
  my $end = $shell->{isUntold} || !defined $failed && $! == 104 ? "n" : "x";
  close $tell;
  answer($id, $failed ? ("f", unpack "N", $error) : ($end, $status));
  part($id);
}

exit 1 if syscall(434, $$ + 0, 0) < 0;
$SIG{$_} = sub { } for qw(HUP INT PIPE TERM);
watch(0);
if (open my $name, ">", "/proc/self/comm") { syswrite $name, "${SPAWNER_NAME}" }
answer(0, "r", "");
while () {
  flush();
  $spare or fork_spare();
  my $now = $ready;
  if (select($now, undef, undef, undef) < 0) { next if $! == 4; leave() }
  drain($_) for grep { vec $now, $_, 1 } numbers();
  reap($_) for grep { vec $now, $_, 1 } keys %shell;
  # The last: what it opens may have a number that was closed above.
  take() if vec $now, 0, 1;
}
`;
