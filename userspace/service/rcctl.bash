# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for rcctl: rcctl itself knows its verbs and asks the agent for names (at most 200 ms).
_rcctl() {
    local line IFS=$'\n'
    printf -v line '%s\n' "${COMP_WORDS[@]:1:COMP_CWORD}"
    COMPREPLY=($(rcctl __complete -- "$line" 2>/dev/null))
    if [ "${COMPREPLY[0]}" = "<path>" ]; then
        COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
        compopt -o filenames
    fi
}
complete -F _rcctl rcctl
