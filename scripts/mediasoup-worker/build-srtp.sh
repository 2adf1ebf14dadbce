#!/bin/sh
# Builds libsrtp2 with OpenSSL, to be linked into the worker: Debian's library uses NSS, which costs a worker an eighth of its CPU time.
# The source is Debian's, with its patches, for the release of this machine. It writes only to its folder.
# Usage: build-srtp.sh EMPTY_FOLDER      leaves lib/libsrtp2.a and lib/pkgconfig in it; fails if the source cannot be fetched
# Needs: dpkg-dev meson ninja-build gcc pkg-config libssl-dev
set -eu
cd "$1"
prefix=$(pwd)
mkdir -p apt/lists/partial apt/cache/archives/partial source
key=
for file in /usr/share/keyrings/debian-archive-keyring.pgp /usr/share/keyrings/debian-archive-keyring.gpg; do
  [ -e "$file" ] && key="[signed-by=$file]"
done
# Most machines have no deb-src entries. The sources are in the same repositories as the packages.
apt-get indextargets --format "deb-src $key \$(REPO_URI) \$(CODENAME) main" 'Created-By: Packages' 'Component: main' 'Origin: Debian' | sort -u > apt/sources.list
[ -s apt/sources.list ]
apt() {
  apt-get -qq -o Dir::Etc::SourceList="$prefix/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$prefix/apt/lists" \
    -o Dir::Cache="$prefix/apt/cache" -o Acquire::Retries=1 -o Acquire::http::Timeout=30 -o APT::Sandbox::User="$(id -un)" "$@"
}
apt update
cd source
apt source libsrtp2
cd libsrtp2-*/
meson setup --buildtype release --default-library static --prefix "$prefix" --libdir lib -Dcrypto-library=openssl -Dtests=disabled build
ninja -C build install
