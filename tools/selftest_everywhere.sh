#!/bin/sh
# selftest_everywhere.sh PROGRAM - `cnnscope selftest` on this CPU and, where qemu-user and the builds
# are there, on CPUs that this is not. One line each; exit code 1 where a hash differs.
set -u
program=$1
result=0

check() { # check WHAT NEEDED-PROGRAM NEEDED-FILE COMMAND...
    what=$1 tool=$2 file=$3
    shift 3
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: $what: $tool is not installed (make deps-aarch64)"
    elif [ ! -e "$file" ]; then
        echo "skipped: $what: $file was not built (make static aarch64)"
    elif output=$("$@"); then
        echo "equal: $what: $(echo "$output" | sed -n 's/.*default: //p')"
    else
        echo "DIFFERS: $what"
        echo "$output"
        result=1
    fi
}

check "this CPU" true "$program" "$program" selftest --quick
check "static, this CPU" true build-static/cnnscope build-static/cnnscope selftest --quick
check "Nehalem (no AVX, no FMA)" qemu-x86_64 build-static/cnnscope \
    qemu-x86_64 -cpu Nehalem build-static/cnnscope selftest --quick
check "qemu64 (SSE2 only)" qemu-x86_64 build-static/cnnscope \
    qemu-x86_64 -cpu qemu64 build-static/cnnscope selftest --quick
check "qemu max (AVX2 and FMA)" qemu-x86_64 build-static/cnnscope \
    qemu-x86_64 -cpu max build-static/cnnscope selftest --quick
check "aarch64" qemu-aarch64 build-aarch64/cnnscope qemu-aarch64 build-aarch64/cnnscope selftest --quick
exit $result
