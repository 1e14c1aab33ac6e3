# bash completion for waypost. The program knows what can be typed next.

_waypost() {
    local word line value cut words=() joins=
    # bash takes words apart at : and =, as in pickup:branch; they are put together again
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ ${#words[@]} -gt 0 && ( -n $joins || $word == [:=]* ) ]]; then
            words[${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
        [[ $word == *[:=] ]] && joins=1 || joins=
    done
    [[ ${#words[@]} -gt 0 ]] || words=("")
    word=${words[${#words[@]}-1]}
    # what bash took apart it also puts in front of the reply
    cut=
    [[ $word == *[:=]* ]] && cut=${word%"${word##*[:=]}"}
    COMPREPLY=()
    while IFS= read -r line; do
        value=${line%%$'\t'*}
        if [[ $line == :files ]]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r value; do
                COMPREPLY+=("$value")
            done < <(compgen -f -- "${word#"$cut"}")
        else
            value=${value#"$cut"}
            [[ $value == *[!A-Za-z0-9_.:/@%+,=-]* ]] && printf -v value %q "$value"
            COMPREPLY+=("$value")
        fi
    done < <("$1" completion words -- "${words[@]}" 2>/dev/null)
}

complete -F _waypost waypost
