//! What the depth of a cgroup costs.

/// What each cgroup more on the way to the root costs the processes in it: medians of rounds that
/// take turns. A session's leaf is the fourth below the root.
pub const PROGRAM: &str = r#"
use strict; use Time::HiRes 'time';
my ($rounds, @depths, %took) = (7, 1, 3, 4, 5, 9);
my @actions = (
    ['fork, exit and wait', 20, sub { for (1 .. 20) { my $p = fork; exit if !$p; waitpid $p, 0 } }],
    ['a fresh page of memory', 4096, sub { my $s = 'x' x (16 << 20); undef $s }],
    ['two context switches', 200, sub {
        pipe(my $r1, my $w1); pipe(my $r2, my $w2);
        my $p = fork;
        if (!$p) { for (1 .. 200) { sysread $r1, my $b, 1; syswrite $w2, 'x' } exit }
        for (1 .. 200) { syswrite $w1, 'x'; sysread $r2, my $b, 1 }
        waitpid $p, 0;
    }],
);
sub put { open my $f, '>', $_[0] or die "$_[0]: $!"; syswrite $f, $_[1] or die "$_[0]: $!" }
my $dir = '/sys/fs/cgroup';
put("$dir/cgroup.subtree_control", '+cpu +memory +pids');
my @leaf = ('');
for my $n (1 .. 9) {
    mkdir "$dir/leaf"; mkdir "$dir/other";
    push @leaf, $dir;
    mkdir($dir .= '/level') or die $!;
    put("$dir/cgroup.subtree_control", '+cpu +memory +pids');
}
for (1 .. $rounds) { for my $n (@depths) {
    pipe(my $r, my $w);
    my $child = fork;
    if (!$child) {
        put("$leaf[$n]/leaf/cgroup.procs", $$);
        for my $i (0 .. $#actions) {
            my ($name, $count, $do) = @{$actions[$i]};
            my $begin = time; $do->();
            syswrite $w, "$i " . (time - $begin) / $count * 1e6 . "
";
        }
        my $begin = time;
        for (1 .. 3) { put("$leaf[$n]/other/cgroup.procs", $$); put("$leaf[$n]/leaf/cgroup.procs", $$) }
        syswrite $w, scalar(@actions) . ' ' . (time - $begin) / 6 * 1e6 . "
";
        exit;
    }
    close $w;
    while (<$r>) { my ($i, $t) = split; push @{$took{$i}{$n}}, $t }
    waitpid $child, 0;
} }
my $row = sub { my $first = shift; printf "depth: | %s | %s |
", $first, join ' | ', @_ };
$row->('µs, at depth', @depths);
for my $i (0 .. @actions) {
    my @medians = map { (sort { $a <=> $b } @{$took{$i}{$_}})[$rounds / 2] } @depths;
    my $name = $i < @actions ? $actions[$i][0] : 'a move to a sibling';
    $row->($name, map { sprintf '%.2f', $_ } @medians);
}
$dir = '/sys/fs/cgroup';
for my $n (reverse 1 .. 9) { rmdir "$leaf[$n]/level"; rmdir "$leaf[$n]/leaf"; rmdir "$leaf[$n]/other" }
"#;
