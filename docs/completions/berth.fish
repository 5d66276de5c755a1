# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_berth_global_optspecs
    string join \n P/lxcpath= user= h/help V/version
end

function __fish_berth_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_berth_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_berth_using_subcommand
    set -l cmd (__fish_berth_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c berth -n "__fish_berth_needs_command" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_needs_command" -l user -d 'Whose containers it is about, for root: berth becomes that user before it touches anything of his' -r
complete -c berth -n "__fish_berth_needs_command" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_needs_command" -s V -l version -d 'Print version'
complete -c berth -n "__fish_berth_needs_command" -f -a "create" -d 'Make a container'
complete -c berth -n "__fish_berth_needs_command" -f -a "start" -d 'Start a container and return when it is ready'
complete -c berth -n "__fish_berth_needs_command" -f -a "stop" -d 'Ask a container to stop, wait, then kill it'
complete -c berth -n "__fish_berth_needs_command" -f -a "restart" -d 'Stop a container and start it again'
complete -c berth -n "__fish_berth_needs_command" -f -a "freeze" -d 'Have all processes of a container stand still'
complete -c berth -n "__fish_berth_needs_command" -f -a "unfreeze" -d 'Let a frozen container go on'
complete -c berth -n "__fish_berth_needs_command" -f -a "wait" -d 'Wait until a container is in a state'
complete -c berth -n "__fish_berth_needs_command" -f -a "events" -d 'Tell what happens to your containers, as it happens'
complete -c berth -n "__fish_berth_needs_command" -f -a "logs" -d 'Show what a container\'s console printed, or what its monitor wrote down'
complete -c berth -n "__fish_berth_needs_command" -f -a "publish" -d 'Let ports of the host lead into a container, now and at each start'
complete -c berth -n "__fish_berth_needs_command" -f -a "unpublish" -d 'Take that back'
complete -c berth -n "__fish_berth_needs_command" -f -a "attach" -d 'Open a root shell in a running container'
complete -c berth -n "__fish_berth_needs_command" -f -a "exec" -d 'Run a command in a running container'
complete -c berth -n "__fish_berth_needs_command" -f -a "console" -d 'Sit down at a terminal of a running container, or show what its console printed'
complete -c berth -n "__fish_berth_needs_command" -f -a "ls" -d 'List your containers and what they are doing'
complete -c berth -n "__fish_berth_needs_command" -f -a "list" -d 'List your containers and what they are doing'
complete -c berth -n "__fish_berth_needs_command" -f -a "info" -d 'Show everything about one container'
complete -c berth -n "__fish_berth_needs_command" -f -a "top" -d 'Show what running containers use, as it changes'
complete -c berth -n "__fish_berth_needs_command" -f -a "copy" -d 'Make a container from another one: all its files, or an overlay upon them'
complete -c berth -n "__fish_berth_needs_command" -f -a "snapshot" -d 'Keep what a container is now, and go back to it'
complete -c berth -n "__fish_berth_needs_command" -f -a "rename" -d 'Give a container another name'
complete -c berth -n "__fish_berth_needs_command" -f -a "cp" -d 'Copy files into a container or out of it'
complete -c berth -n "__fish_berth_needs_command" -f -a "destroy" -d 'Remove a container and all its files'
complete -c berth -n "__fish_berth_needs_command" -f -a "enable" -d 'Start a container at boot from now on'
complete -c berth -n "__fish_berth_needs_command" -f -a "disable" -d 'Do not start a container at boot any more'
complete -c berth -n "__fish_berth_needs_command" -f -a "autostart" -d 'Start all enabled containers in their order, or stop them, or tell what came of it'
complete -c berth -n "__fish_berth_needs_command" -f -a "config" -d 'Configurations of containers: read, change, judge, bring up to date'
complete -c berth -n "__fish_berth_needs_command" -f -a "grant" -d 'Let a user run containers: subordinate ids and a quota of network interfaces (root only)'
complete -c berth -n "__fish_berth_needs_command" -f -a "grants" -d 'List who may have how many network interfaces, and how many they have'
complete -c berth -n "__fish_berth_needs_command" -f -a "revoke" -d 'Undo what grant did (root only)'
complete -c berth -n "__fish_berth_needs_command" -f -a "nic" -d 'Network interfaces that users\' containers have on this host'
complete -c berth -n "__fish_berth_needs_command" -f -a "cgroup" -d 'Your delegated cgroups: run commands in them, look at them'
complete -c berth -n "__fish_berth_needs_command" -f -a "doctor" -d 'Tell what on this host keeps Berth from doing all that it can, and what mends it; exits with 1 if something is to be mended'
complete -c berth -n "__fish_berth_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand create" -s t -l template -d 'What to put into it: busybox (a small system), or none (a configuration only)' -r
complete -c berth -n "__fish_berth_using_subcommand create" -l busybox-path -d 'Statically linked busybox to make the system from (default: the host\'s)' -r -F
complete -c berth -n "__fish_berth_using_subcommand create" -l publish -d 'Let ports of the host lead into it, as berth publish does; may be given several times' -r
complete -c berth -n "__fish_berth_using_subcommand create" -l share -d 'Show a directory of the host\'s inside, at DIR or at the same path, with your own files yours there too; may be given several times' -r
complete -c berth -n "__fish_berth_using_subcommand create" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand create" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand start" -l escape -d 'The key with Ctrl that, followed by q, leaves a start in the foreground; the container runs on' -r
complete -c berth -n "__fish_berth_using_subcommand start" -s s -l set -d 'Set a key for this start only, as if it were the configuration\'s last line; may be given several times' -r
complete -c berth -n "__fish_berth_using_subcommand start" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand start" -l here -d 'Start it in this login session\'s cgroup, with which it ends, instead of the lasting one'
complete -c berth -n "__fish_berth_using_subcommand start" -l no-deps -d 'Do not start first what start.after of its berth.toml names'
complete -c berth -n "__fish_berth_using_subcommand start" -l no-wait -d 'Return when its init runs, without waiting until it is ready'
complete -c berth -n "__fish_berth_using_subcommand start" -s F -l foreground -d 'Show its console at your terminal and wait for its end: returns what its init returned. SIGINT, SIGTERM and SIGHUP stop it in order, a second one kills it'
complete -c berth -n "__fish_berth_using_subcommand start" -s d -l daemon
complete -c berth -n "__fish_berth_using_subcommand start" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand stop" -s t -l timeout -d 'How long the container has to stop before it is killed: seconds, or with a unit as in 2min (default: stop.timeout of its berth.toml, else 60)' -r
complete -c berth -n "__fish_berth_using_subcommand stop" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand stop" -s k -l kill -d 'Kill it without asking'
complete -c berth -n "__fish_berth_using_subcommand stop" -s W -l no-wait -d 'Only ask it to stop, and do not wait for that'
complete -c berth -n "__fish_berth_using_subcommand stop" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand restart" -s t -l timeout -d 'How long the container has to stop before it is killed: seconds, or with a unit as in 2min (default: stop.timeout of its berth.toml, else 60)' -r
complete -c berth -n "__fish_berth_using_subcommand restart" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand restart" -s k -l kill -d 'Kill it without asking'
complete -c berth -n "__fish_berth_using_subcommand restart" -s W -l no-wait -d 'Only ask it to stop, and do not wait for that'
complete -c berth -n "__fish_berth_using_subcommand restart" -s r -l reboot -d 'Have its init reboot it instead (lxc.signal.reboot), under the monitor, in the cgroup and with the configuration that it has; --timeout is for that'
complete -c berth -n "__fish_berth_using_subcommand restart" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand freeze" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand freeze" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand unfreeze" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand unfreeze" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand wait" -s s -l state -d 'The state, or several with | in between: stopped, starting, running, frozen, restarting, stopping, aborted; LXC\'s names count too' -r
complete -c berth -n "__fish_berth_using_subcommand wait" -s t -l timeout -d 'Give up after this time: seconds, or with a unit as in 2min' -r
complete -c berth -n "__fish_berth_using_subcommand wait" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand wait" -l ready -d 'Wait until it is ready, as its berth.toml has it'
complete -c berth -n "__fish_berth_using_subcommand wait" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand events" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand events" -l json -d 'Print a line of JSON for each, for programs'
complete -c berth -n "__fish_berth_using_subcommand events" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand logs" -s l -l lines -d 'Begin with so many of the last lines only' -r
complete -c berth -n "__fish_berth_using_subcommand logs" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand logs" -s f -l follow -d 'Go on with what comes, until the container stops'
complete -c berth -n "__fish_berth_using_subcommand logs" -s m -l monitor -d 'Show what its monitor wrote down instead: starts, ends, what failed'
complete -c berth -n "__fish_berth_using_subcommand logs" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand publish" -l protocol -d 'How they are spoken to: tcp or udp (or behind the port, as in 53:53/udp)' -r
complete -c berth -n "__fish_berth_using_subcommand publish" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand publish" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand unpublish" -l protocol -d 'How they are spoken to: tcp or udp' -r
complete -c berth -n "__fish_berth_using_subcommand unpublish" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand unpublish" -l all -d 'All of them'
complete -c berth -n "__fish_berth_using_subcommand unpublish" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand attach" -s u -l user -d 'Run it as this user of the container\'s: a name of its /etc/passwd or a uid, and after a colon another group than his, by name or gid (default: as its init is, mostly root)' -r
complete -c berth -n "__fish_berth_using_subcommand attach" -s g -l group -d 'The group, by name of the container\'s /etc/group or by gid; the user has no other then' -r
complete -c berth -n "__fish_berth_using_subcommand attach" -s e -l env -d 'Set a variable for the command; may be given several times' -r
complete -c berth -n "__fish_berth_using_subcommand attach" -l keep-var -d 'Also hand in your own variable NAME; may be given several times' -r
complete -c berth -n "__fish_berth_using_subcommand attach" -s w -l cwd -d 'Directory in the container to run in' -r -F
complete -c berth -n "__fish_berth_using_subcommand attach" -l elevated -d 'Spare it what confines the container beside its namespaces, or the named parts of that: CGROUP (its cgroup with the limits), CAP (lxc.cap.drop), LSM (profiles, the filter of system calls, no_new_privs)' -r -f -a "CGROUP\t'The container\'s cgroup'
CAP\t'The dropping of capabilities'
LSM\t'Security modules\' profiles, the filter of system calls, no_new_privs'"
complete -c berth -n "__fish_berth_using_subcommand attach" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand attach" -l keep-env -d 'Also hand in all of your own variables but those that say who and where you are on the host (HOME, PATH, USER and the like)'
complete -c berth -n "__fish_berth_using_subcommand attach" -l clear-env -d 'Hand in none of your own variables but TERM, COLORTERM and NO_COLOR, and these only with a terminal: the default'
complete -c berth -n "__fish_berth_using_subcommand attach" -s t -l terminal -d 'Give it a terminal of its own, though standard input or output is none'
complete -c berth -n "__fish_berth_using_subcommand attach" -s T -l no-terminal -d 'Give it your own standard input, output and error, though they are a terminal'
complete -c berth -n "__fish_berth_using_subcommand attach" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c berth -n "__fish_berth_using_subcommand exec" -s u -l user -d 'Run it as this user of the container\'s: a name of its /etc/passwd or a uid, and after a colon another group than his, by name or gid (default: as its init is, mostly root)' -r
complete -c berth -n "__fish_berth_using_subcommand exec" -s g -l group -d 'The group, by name of the container\'s /etc/group or by gid; the user has no other then' -r
complete -c berth -n "__fish_berth_using_subcommand exec" -s e -l env -d 'Set a variable for the command; may be given several times' -r
complete -c berth -n "__fish_berth_using_subcommand exec" -l keep-var -d 'Also hand in your own variable NAME; may be given several times' -r
complete -c berth -n "__fish_berth_using_subcommand exec" -s w -l cwd -d 'Directory in the container to run in' -r -F
complete -c berth -n "__fish_berth_using_subcommand exec" -l elevated -d 'Spare it what confines the container beside its namespaces, or the named parts of that: CGROUP (its cgroup with the limits), CAP (lxc.cap.drop), LSM (profiles, the filter of system calls, no_new_privs)' -r -f -a "CGROUP\t'The container\'s cgroup'
CAP\t'The dropping of capabilities'
LSM\t'Security modules\' profiles, the filter of system calls, no_new_privs'"
complete -c berth -n "__fish_berth_using_subcommand exec" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand exec" -l keep-env -d 'Also hand in all of your own variables but those that say who and where you are on the host (HOME, PATH, USER and the like)'
complete -c berth -n "__fish_berth_using_subcommand exec" -l clear-env -d 'Hand in none of your own variables but TERM, COLORTERM and NO_COLOR, and these only with a terminal: the default'
complete -c berth -n "__fish_berth_using_subcommand exec" -s t -l terminal -d 'Give it a terminal of its own, though standard input or output is none'
complete -c berth -n "__fish_berth_using_subcommand exec" -s T -l no-terminal -d 'Give it your own standard input, output and error, though they are a terminal'
complete -c berth -n "__fish_berth_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c berth -n "__fish_berth_using_subcommand console" -s t -l tty -d 'The terminal: 0 is the console, 1 is /dev/tty1 and so on (default: the first /dev/ttyN at which nobody sits, or the console if the container has none)' -r
complete -c berth -n "__fish_berth_using_subcommand console" -s e -l escape -d 'The key with Ctrl that begins a command: followed by q it leaves' -r
complete -c berth -n "__fish_berth_using_subcommand console" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand console" -l show-log -d 'Print what the console printed last, as far as the configuration has it kept'
complete -c berth -n "__fish_berth_using_subcommand console" -l clear-log -d 'Forget what the console printed'
complete -c berth -n "__fish_berth_using_subcommand console" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand ls" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand ls" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand ls" -l running -d 'Only those that run, or are frozen'
complete -c berth -n "__fish_berth_using_subcommand ls" -l stopped -d 'Only those that are stopped'
complete -c berth -n "__fish_berth_using_subcommand ls" -l frozen -d 'Only those that are frozen'
complete -c berth -n "__fish_berth_using_subcommand ls" -s 1 -l names -d 'Print the names only'
complete -c berth -n "__fish_berth_using_subcommand ls" -l all-users -d 'The containers of all users, for root; each user\'s are listed by a process of his own'
complete -c berth -n "__fish_berth_using_subcommand ls" -s d -l disk -d 'Show what they take on the disk instead, each and all together; this looks at every file'
complete -c berth -n "__fish_berth_using_subcommand ls" -s f -l fancy
complete -c berth -n "__fish_berth_using_subcommand ls" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand list" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand list" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand list" -l running -d 'Only those that run, or are frozen'
complete -c berth -n "__fish_berth_using_subcommand list" -l stopped -d 'Only those that are stopped'
complete -c berth -n "__fish_berth_using_subcommand list" -l frozen -d 'Only those that are frozen'
complete -c berth -n "__fish_berth_using_subcommand list" -s 1 -l names -d 'Print the names only'
complete -c berth -n "__fish_berth_using_subcommand list" -l all-users -d 'The containers of all users, for root; each user\'s are listed by a process of his own'
complete -c berth -n "__fish_berth_using_subcommand list" -s d -l disk -d 'Show what they take on the disk instead, each and all together; this looks at every file'
complete -c berth -n "__fish_berth_using_subcommand list" -s f -l fancy
complete -c berth -n "__fish_berth_using_subcommand list" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand info" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand info" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand info" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand top" -s d -l delay -d 'The time from one look to the next, as in 3s or 500ms' -r
complete -c berth -n "__fish_berth_using_subcommand top" -s s -l sort -d 'By what to sort, the greatest first' -r -f -a "cpu\t''
memory\t''
io\t''
processes\t''
name\t''"
complete -c berth -n "__fish_berth_using_subcommand top" -l count -d 'End after so many looks (default: without a terminal one, else none)' -r
complete -c berth -n "__fish_berth_using_subcommand top" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand top" -s r -l reverse -d 'The least first'
complete -c berth -n "__fish_berth_using_subcommand top" -s b -l batch -d 'Print a table for each look, one below the other, also at a terminal'
complete -c berth -n "__fish_berth_using_subcommand top" -l json -d 'Print JSON, for programs: an array on a line for each look'
complete -c berth -n "__fish_berth_using_subcommand top" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand copy" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand copy" -s s -l snapshot -d 'Keep the changes only, as an overlay upon the files of the source, which cannot be destroyed as long as the copy is there'
complete -c berth -n "__fish_berth_using_subcommand copy" -s e -l ephemeral -d 'The same, start it at once, and destroy it when it stops; prints its name'
complete -c berth -n "__fish_berth_using_subcommand copy" -l here -d 'With --ephemeral: start it in this login session\'s cgroup, with which it ends'
complete -c berth -n "__fish_berth_using_subcommand copy" -s a -l running -d 'Copy it though it runs: it stands still meanwhile'
complete -c berth -n "__fish_berth_using_subcommand copy" -s M -l keep-mac -d 'Keep the hardware addresses of its interfaces'
complete -c berth -n "__fish_berth_using_subcommand copy" -s K -l keep-name -d 'Keep its host name'
complete -c berth -n "__fish_berth_using_subcommand copy" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and not __fish_seen_subcommand_from create list ls restore delete help" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand snapshot; and not __fish_seen_subcommand_from create list ls restore delete help" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and not __fish_seen_subcommand_from create list ls restore delete help" -f -a "create" -d 'Keep what a container is now; prints the snapshot\'s name'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and not __fish_seen_subcommand_from create list ls restore delete help" -f -a "list" -d 'List a container\'s snapshots'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and not __fish_seen_subcommand_from create list ls restore delete help" -f -a "ls" -d 'List a container\'s snapshots'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and not __fish_seen_subcommand_from create list ls restore delete help" -f -a "restore" -d 'Make a container what it was at a snapshot, or make a new container of it'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and not __fish_seen_subcommand_from create list ls restore delete help" -f -a "delete" -d 'Remove a snapshot, or all'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and not __fish_seen_subcommand_from create list ls restore delete help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from create" -s c -l comment -d 'What is to be said of the snapshot' -r
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from create" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from list" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from list" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from ls" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from ls" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from restore" -l to -d 'Leave the container as it is, and make one of this name' -r
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from restore" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from restore" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from delete" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from delete" -l all -d 'Remove all'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "create" -d 'Keep what a container is now; prints the snapshot\'s name'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "list" -d 'List a container\'s snapshots'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "restore" -d 'Make a container what it was at a snapshot, or make a new container of it'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Remove a snapshot, or all'
complete -c berth -n "__fish_berth_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand rename" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand rename" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand cp" -s o -l owner -d 'Whose the files in the container become, by its own ids (default: its root\'s)' -r
complete -c berth -n "__fish_berth_using_subcommand cp" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand cp" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand destroy" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand destroy" -s f -l force -d 'Do not ask, and stop it first if it runs'
complete -c berth -n "__fish_berth_using_subcommand destroy" -s s -l snapshots -d 'Remove its snapshots along'
complete -c berth -n "__fish_berth_using_subcommand destroy" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand enable" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand enable" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand disable" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand disable" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -s g -l groups -d 'Take containers of these groups (lxc.group), separated by commas; an empty name means those without a group, which is the default' -r
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -s t -l timeout -d 'How long each container has to stop before it is killed (default: stop.timeout of its berth.toml, else 60 seconds); -1: as long as it takes' -r
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -l total -d 'Seconds that all containers together may take' -r
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -l parallel -d 'How many are started, rebooted or stopped at the same time at most (default: 16, for stops 256)' -r
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -s s -l shutdown -d 'Stop the containers instead, in reverse order'
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -s k -l kill -d 'Kill the containers instead, in reverse order'
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -s r -l reboot -d 'Have those reboot that run'
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -s L -l list -d 'Only list the containers that would be started, rebooted or stopped'
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -s a -l all -d 'Take containers of all groups'
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -s A -l ignore-auto -d 'Take also containers that are not enabled (lxc.start.auto)'
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -l descending -d 'The highest lxc.start.order first, and last at a stop, as LXC 1.0 and 1.1 had it'
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -f -a "status" -d 'Tell what came of the last start and of the last stop'
complete -c berth -n "__fish_berth_using_subcommand autostart; and not __fish_seen_subcommand_from status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand autostart; and __fish_seen_subcommand_from status" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand autostart; and __fish_seen_subcommand_from status" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand autostart; and __fish_seen_subcommand_from status" -l all-users -d 'Of all users, for root; each user\'s is read by a process of his own'
complete -c berth -n "__fish_berth_using_subcommand autostart; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand autostart; and __fish_seen_subcommand_from help" -f -a "status" -d 'Tell what came of the last start and of the last stop'
complete -c berth -n "__fish_berth_using_subcommand autostart; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand config; and not __fish_seen_subcommand_from get set lint migrate help" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand config; and not __fish_seen_subcommand_from get set lint migrate help" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand config; and not __fish_seen_subcommand_from get set lint migrate help" -f -a "get" -d 'Print what a configuration says, with everything that it includes: a line for each value; exits with 1 if there is none'
complete -c berth -n "__fish_berth_using_subcommand config; and not __fish_seen_subcommand_from get set lint migrate help" -f -a "set" -d 'Change a key and nothing else; refused if the container could not be started like that'
complete -c berth -n "__fish_berth_using_subcommand config; and not __fish_seen_subcommand_from get set lint migrate help" -f -a "lint" -d 'Tell everything that is wrong or suspicious; exits with 1 if anything is wrong, and with 0 if there are warnings only'
complete -c berth -n "__fish_berth_using_subcommand config; and not __fish_seen_subcommand_from get set lint migrate help" -f -a "migrate" -d 'Bring a configuration of an earlier LXC up to date, once you have seen what changes; exits with 1 if something is left to be done by hand'
complete -c berth -n "__fish_berth_using_subcommand config; and not __fish_seen_subcommand_from get set lint migrate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from get" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from get" -l origin -d 'Print the file and the line of each value before it'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from get" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from set" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from set" -l append -d 'Add the value to those that the key has'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from lint" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from lint" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from lint" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from migrate" -l from -d 'The LXC that the file is of: before 2.0 the highest lxc.start.order came first, so its sign is changed' -r -f -a "1.0\t''
1.1\t''
2.0\t''
2.1\t''
3.0\t''
4.0\t''
5.0\t''
6.0\t''"
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from migrate" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from migrate" -s y -l yes -d 'Do it without asking'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from migrate" -s n -l dry-run -d 'Only show what would change'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from migrate" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "get" -d 'Print what a configuration says, with everything that it includes: a line for each value; exits with 1 if there is none'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "set" -d 'Change a key and nothing else; refused if the container could not be started like that'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "lint" -d 'Tell everything that is wrong or suspicious; exits with 1 if anything is wrong, and with 0 if there are warnings only'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "migrate" -d 'Bring a configuration of an earlier LXC up to date, once you have seen what changes; exits with 1 if something is left to be done by hand'
complete -c berth -n "__fish_berth_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand grant" -l nics -d 'How many network interfaces the user\'s containers may have at once on the bridge' -r
complete -c berth -n "__fish_berth_using_subcommand grant" -l bridge -d 'Bridge of these network interfaces' -r
complete -c berth -n "__fish_berth_using_subcommand grant" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand grant" -l boot -d 'Also let the user\'s containers start at boot (linger)'
complete -c berth -n "__fish_berth_using_subcommand grant" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand grants" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand grants" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand grants" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand revoke" -l bridge -d 'Take back only the network interfaces on this bridge' -r
complete -c berth -n "__fish_berth_using_subcommand revoke" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand revoke" -l force -d 'Take the subordinate ids back although containers own files with them'
complete -c berth -n "__fish_berth_using_subcommand revoke" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand nic; and not __fish_seen_subcommand_from list ls verify gc check view help" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand nic; and not __fish_seen_subcommand_from list ls verify gc check view help" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand nic; and not __fish_seen_subcommand_from list ls verify gc check view help" -f -a "list" -d 'List yours, for root everybody\'s'
complete -c berth -n "__fish_berth_using_subcommand nic; and not __fish_seen_subcommand_from list ls verify gc check view help" -f -a "ls" -d 'List yours, for root everybody\'s'
complete -c berth -n "__fish_berth_using_subcommand nic; and not __fish_seen_subcommand_from list ls verify gc check view help" -f -a "verify" -d 'Tell what does not agree with what is granted; exits with 1 if anything does not'
complete -c berth -n "__fish_berth_using_subcommand nic; and not __fish_seen_subcommand_from list ls verify gc check view help" -f -a "gc" -d 'Remove those that no container uses any more (root only)'
complete -c berth -n "__fish_berth_using_subcommand nic; and not __fish_seen_subcommand_from list ls verify gc check view help" -f -a "check" -d 'Tell what is suspicious in the quota file; exits with 1 if anything is'
complete -c berth -n "__fish_berth_using_subcommand nic; and not __fish_seen_subcommand_from list ls verify gc check view help" -f -a "view" -d 'Write /run/lxc/nics anew (root only)'
complete -c berth -n "__fish_berth_using_subcommand nic; and not __fish_seen_subcommand_from list ls verify gc check view help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from list" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from list" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from ls" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from ls" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from verify" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from gc" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from gc" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from check" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from view" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from view" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "list" -d 'List yours, for root everybody\'s'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Tell what does not agree with what is granted; exits with 1 if anything does not'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "gc" -d 'Remove those that no container uses any more (root only)'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "check" -d 'Tell what is suspicious in the quota file; exits with 1 if anything is'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "view" -d 'Write /run/lxc/nics anew (root only)'
complete -c berth -n "__fish_berth_using_subcommand nic; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and not __fish_seen_subcommand_from exec show help" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand cgroup; and not __fish_seen_subcommand_from exec show help" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and not __fish_seen_subcommand_from exec show help" -f -a "exec" -d 'Run a command in your lasting cgroup, which outlives this session'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and not __fish_seen_subcommand_from exec show help" -f -a "show" -d 'Draw your delegated cgroups with owners, controllers, limits and processes'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and not __fish_seen_subcommand_from exec show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and __fish_seen_subcommand_from exec" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand cgroup; and __fish_seen_subcommand_from exec" -l session -d 'Run it in this login session\'s cgroup instead'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and __fish_seen_subcommand_from exec" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and __fish_seen_subcommand_from show" -s u -l user -d 'Show another user\'s (root only)' -r
complete -c berth -n "__fish_berth_using_subcommand cgroup; and __fish_seen_subcommand_from show" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand cgroup; and __fish_seen_subcommand_from show" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and __fish_seen_subcommand_from help" -f -a "exec" -d 'Run a command in your lasting cgroup, which outlives this session'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and __fish_seen_subcommand_from help" -f -a "show" -d 'Draw your delegated cgroups with owners, controllers, limits and processes'
complete -c berth -n "__fish_berth_using_subcommand cgroup; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand doctor" -s P -l lxcpath -d 'Where the containers are (default: ~/.local/share/lxc, for root /var/lib/lxc)' -r -F
complete -c berth -n "__fish_berth_using_subcommand doctor" -l json -d 'Print JSON, for programs'
complete -c berth -n "__fish_berth_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "create" -d 'Make a container'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "start" -d 'Start a container and return when it is ready'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "stop" -d 'Ask a container to stop, wait, then kill it'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "restart" -d 'Stop a container and start it again'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "freeze" -d 'Have all processes of a container stand still'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "unfreeze" -d 'Let a frozen container go on'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "wait" -d 'Wait until a container is in a state'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "events" -d 'Tell what happens to your containers, as it happens'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "logs" -d 'Show what a container\'s console printed, or what its monitor wrote down'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "publish" -d 'Let ports of the host lead into a container, now and at each start'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "unpublish" -d 'Take that back'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "attach" -d 'Open a root shell in a running container'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "exec" -d 'Run a command in a running container'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "console" -d 'Sit down at a terminal of a running container, or show what its console printed'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "ls" -d 'List your containers and what they are doing'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "info" -d 'Show everything about one container'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "top" -d 'Show what running containers use, as it changes'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "copy" -d 'Make a container from another one: all its files, or an overlay upon them'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "snapshot" -d 'Keep what a container is now, and go back to it'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "rename" -d 'Give a container another name'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "cp" -d 'Copy files into a container or out of it'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "destroy" -d 'Remove a container and all its files'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "enable" -d 'Start a container at boot from now on'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "disable" -d 'Do not start a container at boot any more'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "autostart" -d 'Start all enabled containers in their order, or stop them, or tell what came of it'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "config" -d 'Configurations of containers: read, change, judge, bring up to date'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "grant" -d 'Let a user run containers: subordinate ids and a quota of network interfaces (root only)'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "grants" -d 'List who may have how many network interfaces, and how many they have'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "revoke" -d 'Undo what grant did (root only)'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "nic" -d 'Network interfaces that users\' containers have on this host'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "cgroup" -d 'Your delegated cgroups: run commands in them, look at them'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "doctor" -d 'Tell what on this host keeps Berth from doing all that it can, and what mends it; exits with 1 if something is to be mended'
complete -c berth -n "__fish_berth_using_subcommand help; and not __fish_seen_subcommand_from create start stop restart freeze unfreeze wait events logs publish unpublish attach exec console ls info top copy snapshot rename cp destroy enable disable autostart config grant grants revoke nic cgroup doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from snapshot" -f -a "create" -d 'Keep what a container is now; prints the snapshot\'s name'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from snapshot" -f -a "list" -d 'List a container\'s snapshots'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from snapshot" -f -a "restore" -d 'Make a container what it was at a snapshot, or make a new container of it'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from snapshot" -f -a "delete" -d 'Remove a snapshot, or all'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from autostart" -f -a "status" -d 'Tell what came of the last start and of the last stop'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "get" -d 'Print what a configuration says, with everything that it includes: a line for each value; exits with 1 if there is none'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "set" -d 'Change a key and nothing else; refused if the container could not be started like that'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "lint" -d 'Tell everything that is wrong or suspicious; exits with 1 if anything is wrong, and with 0 if there are warnings only'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "migrate" -d 'Bring a configuration of an earlier LXC up to date, once you have seen what changes; exits with 1 if something is left to be done by hand'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "list" -d 'List yours, for root everybody\'s'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "verify" -d 'Tell what does not agree with what is granted; exits with 1 if anything does not'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "gc" -d 'Remove those that no container uses any more (root only)'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "check" -d 'Tell what is suspicious in the quota file; exits with 1 if anything is'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from nic" -f -a "view" -d 'Write /run/lxc/nics anew (root only)'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from cgroup" -f -a "exec" -d 'Run a command in your lasting cgroup, which outlives this session'
complete -c berth -n "__fish_berth_using_subcommand help; and __fish_seen_subcommand_from cgroup" -f -a "show" -d 'Draw your delegated cgroups with owners, controllers, limits and processes'
