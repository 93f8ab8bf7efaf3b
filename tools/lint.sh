#!/bin/bash
# Checks what a script can check of our rules, then formatting, cppcheck and clang-tidy. `make lint`
# runs it with the library as argument (its objects show whether globals can change).
#   tools/lint.sh LIBRARY [rules]      "rules" alone: without the external tools
cd "$(dirname "$0")/.." || exit 1
library=$1
failures=0

report() { # title, findings (empty: none)
    if [ -n "$2" ]; then
        echo "lint: $1"
        printf '%s\n' "$2" | sed 's/^/    /'
        failures=$((failures + 1))
    fi
}

folders="engine layers cam weights_tools audit cli tests examples bench"
# shellcheck disable=SC2086
mapfile -t sources < <(find $folders -name '*.[ch]' 2>/dev/null | sort)
mapfile -t code < <(printf '%s\n' "${sources[@]}" | grep '\.c$')
mapfile -t lib < <(printf '%s\n' "${sources[@]}" | grep -E '^(engine|layers|cam|weights_tools|audit)/')

# Rules 1 and 2: widths, lengths, characters.
report "lines of more than 100 columns" \
    "$(LC_ALL=C.UTF-8 grep -nE '^.{101,}$' "${sources[@]}")"
report "tabs or white space at the end of a line" "$(grep -nP '\t|[ \r]+$' "${sources[@]}")"
report "files of more than 500 lines" "$(wc -l "${sources[@]}" | awk '$1 > 500 && $2 != "total"')"
report "functions of more than 60 lines (kernels: 120)" "$(awk '
    FNR == 1 { start = 0; limit = FILENAME ~ /layers\/kernels\// ? 120 : 60 }
    /^[^ #}\/].*\{$/ && !/^(static |const |extern )*(struct|union|enum|typedef)/ && !/=[^=]*\{$/ { start = FNR }
    /^ .*\) \{$/ && start == 0 && previous ~ /^[^ #}\/]/ { start = FNR }
    /^\}/ { if (start && FNR - start - 1 > limit) print FILENAME ":" start ": " FNR - start - 1 " lines"; start = 0 }
    { previous = $0 }' "${code[@]}")"

# Rule 3: names.
report "file names that occur twice" "$(printf '%s\n' "${sources[@]}" | sed 's|.*/||' | sort | uniq -d)"
public="engine/cnnscope.h engine/cnnscope_types.h engine/cnnscope_support.h engine/cnnscope_plan.h engine/cnnscope_training.h engine/cnnscope_nodes.h audit/cnnscope_audit.h cam/cnnscope_cam.h cam/cnnscope_measures.h cam/cnnscope_diagnose.h weights_tools/cnnscope_convert.h"
# shellcheck disable=SC2086
report "public functions and types without the prefix cs_" \
    "$(grep -nE '^[a-z][A-Za-z0-9_ ]*[ *]([a-z_0-9]+)\(' $public | grep -vE '[ *]cs_[a-z0-9_]+\(' | grep -vE ':(static inline|typedef)')"

# Rule 9: the library does not print, exit, read the environment or keep mutable globals.
report "printing, exiting or reading the environment in the library" "$(awk '
    { bare = $0; gsub(/"([^"\\]|\\.)*"/, "", bare); sub(/\/\*.*/, "", bare); sub(/\/\/.*/, "", bare) }
    bare !~ /^ \*/ && bare ~ /(^|[^A-Za-z0-9_])((printf|puts|putchar|perror|vprintf|exit|_exit|abort|system|popen) *\(|stdout|stderr)/ &&
        bare !~ /__attribute__/ { print FILENAME ":" FNR ": " $0 }' "${lib[@]}" | grep -v '^engine/cnnscope\.h')"
report "getenv outside engine/cpu.c" \
    "$(grep -nE '\b(secure_)?getenv\b' "${lib[@]}" | grep -v '^engine/cpu\.c:')"
if [ -f "$library" ]; then # (stb keeps one; its file is image_stb.c alone)
    report "mutable globals in the library" "$(objdump -t "$library" 2>/dev/null |
        awk '/:     file format/ { object = $1 } $3 == "O" && object !~ /^image_stb\.o/ && $4 ~ /^\.(data|bss|tdata|tbss)(\.|$)/ && $4 !~ /\.rel\.ro/ { print object, $NF }')"
fi

# Rule 15: layers and kernels allocate nothing and know no threads. Who may use which library.
report "memory or threads in layers/" \
    "$(grep -nE '\b(malloc|calloc|realloc|aligned_alloc|free|alloca|pthread_[a-z_]+|thrd_[a-z_]+)\b *\(' layers/*.[ch] layers/kernels/*.[ch])"
report "stb outside cam/'s image and font files" \
    "$(grep -lE '#include *[<"]stb' "${sources[@]}" | grep -vE '^cam/(image|font)[a-z_]*\.c$')"
report "cJSON outside manifest and JSON files" \
    "$(grep -lE '#include *<cjson' "${sources[@]}" | grep -vE '/[a-z_]*(manifest|json|report|safetensors)[a-z_]*\.[ch]$')"
report "OpenBLAS outside layers/gemm.c (and its thread setting in layers/registry.c)" \
    "$(grep -lE '#include *<cblas' "${sources[@]}" | grep -vE '^layers/(gemm|registry)\.c$')"

# Rule 20: nothing left lying around. ARCHITECTURE.md names every source file.
report "TODO, FIXME, XXX, #if 0" "$(grep -nE '\b(TODO|FIXME|XXX)\b|^ *# *if 0' "${sources[@]}" Makefile tools/*.sh | grep -v '^tools/lint.sh')"
report "paths of one machine" "$(grep -nE '(^|[^A-Za-z0-9_.])/(work|root|home)/' "${sources[@]}" Makefile ./*.md docs/*.md)"
report "files that ARCHITECTURE.md does not name" "$(for f in "${sources[@]}"; do
    name=$(basename "$f"); stem=${name%.*}
    grep -qE "\b$stem\b" ARCHITECTURE.md || echo "$f"; done)"
report "suites that tests/suites.h does not list" "$(grep -ohE '^Suite \*suite_[a-z0-9_]+\(void\) \{' tests/*.c |
    sed -E 's/.*suite_([a-z0-9_]+)\(.*/\1/' | while read -r s; do grep -q "^SUITE($s)\$" tests/suites.h || echo "$s"; done)"

includes="-Iengine -Ilayers -Ilayers/kernels -Icam -Iweights_tools -Iaudit -Icli -Itests -I$(dirname "$library")/include/generated"
# shellcheck disable=SC2317 # called through xargs
tidy_one() { # one source file: clang-tidy's findings
    local flags="-std=c11 -D_GNU_SOURCE $includes -include tools/analyzer_hints.h"
    case $1 in
        engine/status.c | weights_tools/source_file.c) flags="-std=c11 -D_GNU_SOURCE $includes" ;;
        layers/registry.c) ;;
        layers/*) flags="$flags -DREAL=float -DREAL_IS_FLOAT=1 -DCS_HAVE_BLAS=1 $(pkg-config --cflags openblas)" ;;
        weights_tools/*) flags="$flags -DHINT_SOURCE" ;;
    esac
    # shellcheck disable=SC2086
    clang-tidy --quiet "$1" -- $flags 2>/dev/null | grep -E '(warning|error):'
}

if [ "$2" != rules ]; then
    report "clang-format (make format mends it)" "$(clang-format --dry-run "${sources[@]}" 2>&1 | grep -E 'warning:' |
        sed -E 's/: warning:.*//' | cut -d: -f1 | sort | uniq -c)"
    # shellcheck disable=SC2086
    report "cppcheck" "$(cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
        --suppress=missingIncludeSystem --suppress=uninitvar:layers/* --suppress=comparePointers:cli/* -D_GNU_SOURCE -D__BYTE_ORDER__=1 -D__ORDER_LITTLE_ENDIAN__=1 -DREAL=float -DREAL_IS_FLOAT=1 -D__x86_64__ \
        $includes engine layers cam weights_tools audit cli 2>&1)"
    export -f tidy_one
    export includes
    report "clang-tidy" "$(printf '%s\n' "${code[@]}" | grep -v '^tests/' | xargs -P 2 -I{} bash -c 'tidy_one {}' | sort -u)"
    if command -v shellcheck >/dev/null; then
        report "shellcheck" "$(shellcheck -S warning tools/*.sh .ci/run 2>&1)"
    fi
fi

[ "$failures" = 0 ] && echo "lint: clean (${#sources[@]} files)"
exit $((failures > 0))
