# Completion of berth in fish: berth itself knows what may come next; that of the search path, since a
# program that lies somewhere is not to be run because of a TAB.

function __berth_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l word (commandline --current-token --cut-at-cursor)
    for line in (command berth complete -- $words "$word" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path "$word"
            case ':directories'
                __fish_complete_directories "$word"
            case ':users'
                __fish_complete_users
            case '*'
                echo $line
        end
    end
end

complete --command berth --no-files --arguments '(__berth_complete)'
