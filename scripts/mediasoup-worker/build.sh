#!/bin/sh
# Builds mediasoup-worker from the sources inside the mediasoup npm package, against Debian's libraries, for machines
# that can reach the npm registry and Debian's packages but not GitHub, PyPI or Meson's WrapDB.
# Usage: build.sh PATH_TO_node_modules/mediasoup OUTPUT_FILE      (verified with mediasoup 3.27.1 on Debian 12, 13 and 14)
# Needs: meson ninja-build g++ pkg-config dpkg-dev libuv1-dev libssl-dev libsrtp2-dev libflatbuffers-dev flatbuffers-compiler
set -eu
package=$1 output=$2 here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
cp -r "$package/worker/." "$work"
rm -rf "$work/subprojects"
cp -r "$here/subprojects" "$work/subprojects"
# Debian 12 ships Meson 1.0.1; nothing in the build needs 1.1.
sed -i "s/meson_version: '>= 1.1.0'/meson_version: '>= 1.0.0'/" "$work/meson.build"
# With a KTLS-enabled OpenSSL, such as Debian's, the BIO callback must return the result of control calls. Otherwise libssl
# assumes kernel TLS, allocates no write buffer, and the first DTLS handshake ends in a segmentation fault.
sed -i 's/(operationType == BIO_CB_RETURN) ? static_cast<long>(ret) : 1/((operationType \& BIO_CB_RETURN) != 0) ? static_cast<long>(ret) : 1/' \
  "$work/src/RTC/DtlsTransport.cpp"
grep -q 'operationType & BIO_CB_RETURN' "$work/src/RTC/DtlsTransport.cpp"
# libuv's timers count from the start of an event-loop tick. In a long tick, when many browsers connect at once, the timer of a handshake fires
# before OpenSSL has anything to retransmit. The original code does not set it again, so a handshake that has lost a packet never completes.
sed -i 's/if (ret == 1)/uv_timeval_t left{ 0, 0 };\n\t\tif (ret == 0 \&\& DTLSv1_get_timeout(this->ssl, static_cast<void*>(\&left)) == 1)\n\t\t{\n\t\t\tthis->timer->Start((left.tv_sec * 1000) + (left.tv_usec \/ 1000) + 1);\n\t\t}\n\n\t\tif (ret == 1)/' \
  "$work/src/RTC/DtlsTransport.cpp"
grep -q 'ret == 0 && DTLSv1_get_timeout' "$work/src/RTC/DtlsTransport.cpp"
mkdir "$work/srtp"
if sh "$here/build-srtp.sh" "$work/srtp"; then
  export PKG_CONFIG_PATH="$work/srtp/lib/pkgconfig"
else
  echo "libsrtp2 could not be built with OpenSSL; Debian's library is used, which takes more time per packet"
fi
meson setup --buildtype release -Db_ndebug=true -Dms_use_builtin_bwe=true "$work/build" "$work"
ninja -C "$work/build" mediasoup-worker
strip "$work/build/mediasoup-worker"
mkdir -p "$(dirname "$output")"
mv "$work/build/mediasoup-worker" "$output"
