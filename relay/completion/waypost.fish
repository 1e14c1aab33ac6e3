# fish completion for waypost. The program knows what can be typed next.

function __waypost_words
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -l program $typed[1]
    set -e typed[1]
    for line in ($program completion words -- $typed $current 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path (string replace -r '^--[a-z-]+=' '' -- $current)
        else
            echo $line
        end
    end
end

complete -c waypost -f -a '(__waypost_words)'
