# Completion of berth in bash: berth itself knows what may come next.

_berth() {
    local word line=$COMP_LINE value about also=
    local -a words=()
    # bash takes a colon and an equals sign for words of their own; here a word ends at a blank.
    local -i index
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if ((index > 0)) && [[ $line != [[:blank:]]* ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        line=${line#*"$word"}
    done
    # What bash leaves alone when it puts a word in.
    local kept=${words[-1]}
    kept=${kept%"${kept##*[=:]}"}

    COMPREPLY=()
    while IFS=$'\t' read -r value about; do
        case $value in
            :*) also=${value#:} ;;
            *) COMPREPLY+=("${value#"$kept"}") ;;
        esac
    # That of the search path: a program that lies somewhere is not run because of a TAB.
    done < <(command berth complete -- "${words[@]}" 2>/dev/null)

    # Files as readline completes them, with their quotes, where there is no other word.
    word=${words[-1]#"$kept"}
    case $also in
        files)
            if ((${#COMPREPLY[@]} == 0)); then
                compopt -o default 2>/dev/null
            else
                while IFS= read -r value; do
                    COMPREPLY+=("$value")
                    compopt -o filenames 2>/dev/null
                done < <(compgen -f -- "$word")
            fi
            ;;
        directories) compopt -o default -o dirnames 2>/dev/null ;;
        users)
            while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -u -- "$word")
            ;;
    esac
    # A container's path comes behind its colon.
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[:=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

complete -F _berth berth
