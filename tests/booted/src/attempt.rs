//! What a user may and may not do, by the kernel's own answer.

use anyhow::{Context, Result, ensure};
use berth_test_harness::{Host, Login};

/// Where [`install`] puts the program.
const ATTEMPT: &str = "/usr/local/bin/attempt";

/// Reads lines `EXPECTED ACTION ARGUMENTS…` and does them, in order. EXPECTED is `ok` or the name
/// of an errno. It fails if one went otherwise, and says which. SELF is its own pid.
const PROGRAM: &str = r#"#!/usr/bin/perl
use strict; use Errno; use Fcntl; use Socket;
my %action = (
    write => sub { my ($file, $f) = shift; sysopen($f, $file, O_WRONLY) && defined syswrite($f, "@_") },
    create => sub { sysopen(my $f, shift, O_WRONLY | O_CREAT | O_EXCL) },
    mkdir => sub { mkdir shift },
    rmdir => sub { rmdir shift },
    unlink => sub { unlink shift },
    symlink => sub { symlink $_[0], $_[1] },
    rename => sub { rename $_[0], $_[1] },
    chown => sub { chown $<, $(, shift },
    chmod => sub { chmod 0666, shift },
    connect => sub { my $s; socket($s, AF_UNIX, SOCK_SEQPACKET, 0) && connect($s, pack_sockaddr_un(shift)) },
    # In DIR, more processes than it may have.
    fork => sub {
        my ($dir, $most) = @_;
        pipe(my $r, my $w);
        my $first = fork;
        if (!$first) {
            my $f;
            open($f, '>', "$dir/cgroup.procs") && syswrite($f, $$) or exit 2;
            my ($errno, @made) = (0);
            for (1 .. $most) {
                my $pid = fork;
                if (!defined $pid) { $errno = $! + 0; last }
                if (!$pid) { sleep 60; exit }
                push @made, $pid;
            }
            kill KILL => @made;
            waitpid $_, 0 for @made;
            syswrite $w, $errno;
            exit;
        }
        close $w;
        sysread $r, my $errno, 10;
        waitpid $first, 0;
        die "no answer from $dir" if $errno eq '';
        $! = $errno;
        $errno == 0;
    },
);
my $bad = 0;
while (my $line = <STDIN>) {
    my ($expected, $do, @arguments) = split ' ', $line;
    next unless defined $do;
    s/SELF/$$/ for @arguments;
    my $ok = $action{$do}->(@arguments);
    my $why = $!;
    next if $expected eq 'ok' ? $ok : !$ok && $!{$expected};
    my ($name) = grep { $!{$_} } sort keys %!;
    print "$do @arguments: expected $expected, was ", $ok ? 'ok' : "$name ($why)", "\n";
    $bad = 1;
}
exit $bad;
"#;

/// Puts the program onto the host.
pub fn install(host: &Host) -> Result<()> {
    host.write(ATTEMPT, PROGRAM)?;
    host.root(&format!("chmod 755 {ATTEMPT}"))?.ok()?;
    Ok(())
}

/// Does each line, in order, in one process of the login's.
pub fn all(login: &Login, lines: &[String]) -> Result<()> {
    ensure!(!lines.is_empty(), "nothing to attempt");
    login
        .run_with_input(ATTEMPT, &lines.join("\n"))?
        .ok()
        .context("went otherwise")?;
    Ok(())
}
