#!/bin/bash
# check_install.sh ROOT PREFIX CC - tries what `make install` left below ROOT: the program, a program
# built with pkg-config's answers, the completion, the man page.
set -eu
root=$1 prefix=$2 cc=$3
at=$root$prefix
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$at/bin/cnnscope" selftest --quick --quiet
export PKG_CONFIG_PATH=$at/lib/pkgconfig
version=$("$at/bin/cnnscope" --version)
[ "$version" = "cnnscope $(pkg-config --modversion cnnscope)" ]
# The installed headers and library alone; -Wpedantic because others compile with it.
read -ra flags < <(pkg-config --define-variable=prefix="$at" --cflags --libs --static cnnscope)
for example in examples/*.c; do
    "$cc" -std=c11 -Wall -Wpedantic -Werror "$example" -o "$work/example" "${flags[@]}"
done
[ -x "$work/example" ]

source "$at/share/bash-completion/completions/cnnscope"
complete_words() { # what is offered for the last word of a command line
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _cnnscope "$at/bin/cnnscope" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[*]}"
}
[ "$(complete_words cnnscope expl)" = explain ]
[ "$(complete_words cnnscope selftest --qui)" = "--quick --quiet" ]
[ "$(complete_words cnnscope predict --dtype f)" = "f32 f64" ]

man_page=$at/share/man/man1/cnnscope.1
for command in $("$at/bin/cnnscope" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p'); do
    grep -q "^.B $command\$" "$man_page" || { echo "the man page lacks $command" >&2; exit 1; }
done
if command -v man >/dev/null; then
    warnings=$(LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -l "$man_page" 2>&1 >/dev/null)
    [ -z "$warnings" ] || { echo "$warnings" >&2; exit 1; }
fi
echo "installed $version: program, pkg-config, completion and man page work"
