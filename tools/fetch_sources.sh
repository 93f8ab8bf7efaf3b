#!/bin/sh
# fetch_sources.sh DIR - the sources of the libraries that cnnscope needs, from Debian's source
# packages (with Debian's fixes), into the new folder DIR: what a static or a cross build compiles.
# Needs apt and dpkg-dev; asks the mirrors that this machine's apt is configured with, and changes
# nothing of that configuration. apt checks the archive's signature.
set -eu
to=${1:?usage: fetch_sources.sh DIR}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v dpkg-source >/dev/null || { echo "fetch_sources: needs dpkg-dev (make deps-dist)" >&2; exit 1; }

mkdir -p "$work/all" "$work/release" "$work/lists/partial" "$work/source" "$work/out"
apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 'Origin: Debian' | sort -u |
    while read -r uri suite; do
        printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$uri" "$suite" "$keyring" \
            > "$work/all/$suite.sources"
    done
for file in "$work"/all/*.sources; do # the suite that has no -security or -updates behind its name
    case ${file##*/} in *-*) ;; *) cp "$file" "$work/release" ;; esac
done
[ -n "$(ls "$work/release")" ] || { echo "fetch_sources: apt knows no Debian archive; run apt-get update" >&2; exit 1; }

apt() { # apt SOURCES ...: what it says goes to the log
    sources=$1
    shift
    apt-get -q -o APT::Sandbox::User=root -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/$sources" \
        -o Dir::State::lists="$work/lists" "$@" >>"$work/log" 2>&1
}
echo "fetching the sources of cJSON, stb, libmd and zlib from Debian into $to"
apt all update || { cat "$work/log" >&2; exit 1; }
cd "$work/source"
for package in cjson libstb libmd zlib; do # a mirror may list an update whose files it no longer has
    apt all source "$package" || apt release source "$package" || { cat "$work/log" >&2; exit 1; }
done
cd - >/dev/null

# What is compiled, and what says whose it is.
take() { # take PACKAGE FILE...: from its unpacked folder into out/PACKAGE
    package=$1
    shift
    mkdir -p "$work/out/$package"
    (cd "$work"/source/"$package"-*/ && cp "$@" debian/copyright "$work/out/$package/")
}
take cjson cJSON.c cJSON.h LICENSE
take libstb stb_image.h stb_image_write.h stb_truetype.h
take libmd src/sha2.c src/sha256hl.c src/local-link.h include/sha2.h COPYING
take zlib adler32.c compress.c crc32.c crc32.h deflate.c deflate.h inffast.c inffast.h inffixed.h inflate.c \
    inflate.h inftrees.c inftrees.h trees.c trees.h uncompr.c zconf.h zlib.h zutil.c zutil.h gzguts.h LICENSE
{
    echo "Files of Debian source packages, with Debian's patches applied; the licenses stand beside them."
    echo
    (cd "$work/source" && sha256sum ./*.dsc | sed 's|\./||')
} > "$work/out/README"
rm -rf "$to"
mkdir -p "$(dirname "$to")"
mv "$work/out" "$to"
