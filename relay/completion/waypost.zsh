#compdef waypost
# zsh completion for waypost. The program knows what can be typed next.

_waypost() {
    local line value
    local -a typed found plain
    typed=("${(@Q)words[2,CURRENT-1]}")
    for line in "${(@f)$("${(Q)words[1]}" completion words -- "${typed[@]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
        value=${line%%$'\t'*}
        if [[ $line == :files ]]; then
            [[ $PREFIX == -*=* ]] && compset -P '*='
            _files
            return
        elif [[ $line == *$'\t'* ]]; then
            found+=("${value//:/\\:}:${line#*$'\t'}")
        elif [[ -n $line ]]; then
            plain+=("$value")
        fi
    done
    (( $#found )) && _describe 'waypost' found
    (( $#plain )) && compadd -- "${plain[@]}"
    (( $#found + $#plain ))
}

# both from a folder of functions and from eval "$(waypost completion zsh)"
if [[ ${funcstack[1]} == _waypost ]]; then
    _waypost "$@"
else
    compdef _waypost waypost
fi
