#!/bin/sh
# make_dist.sh VERSION THIRD_PARTY - writes build-dist/cnnscope-VERSION.tar.gz: the tree of the last
# commit and the libraries' sources. The same commit and sources give the same bytes.
set -eu
version=$1 third_party=$2
name=cnnscope-$version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git diff --quiet HEAD || echo "make dist: takes the last commit, without the changes that are not committed" >&2
date=$(git log -1 --format=%ct)
git archive --prefix="$name/" HEAD | tar -x -C "$work"
[ -e "$work/$name/third_party" ] || cp -r "$third_party" "$work/$name/third_party"
mkdir -p build-dist
tar -c --sort=name --mtime="@$date" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw -C "$work" "$name" |
    gzip -9n > "build-dist/$name.tar.gz"
ls -l "build-dist/$name.tar.gz"
