# syntax=docker/dockerfile:1
# The Debian release is part of the tag: a worker that is built here is linked with the libraries of that release.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# With MEDIASOUP_WORKER_BIN set, mediasoup's postinstall script does nothing. The next step provides the worker.
RUN MEDIASOUP_WORKER_BIN=later npm ci --omit=dev --no-audit --no-fund
COPY scripts scripts
COPY native native
# Fetches the prebuilt worker, or builds it (about 5 minutes, only after a new version of mediasoup), and builds the audio encoder.
RUN XDG_CACHE_HOME=/cache node scripts/setup.mjs --for image \
  && find /cache/webrtc-transponder -name 'mediasoup-worker-*' ! -name '*.proved' -exec install -D {} /built/mediasoup-worker \; \
  && find /cache/webrtc-transponder -name 'opus-to-aac-*' -exec install -D {} /built/opus-to-aac \;

FROM node:24-bookworm-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends ffmpeg libuv1 libssl3 libsrtp2-1 \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# Published ports reach a container on its network interface, not on loopback, so the gateway listens on every address. It then requires
# REST_API_KEY=… or ALLOW_ANONYMOUS=true, and says so if neither is set. IP: the address that browsers send media to, here those on the same machine.
ENV NODE_ENV=production \
  MEDIASOUP_WORKER_BIN=/usr/local/bin/mediasoup-worker \
  OPUS_TO_AAC_BIN=/usr/local/bin/opus-to-aac \
  LOG_FORMAT=json \
  LISTEN_IP=0.0.0.0 \
  IP_LOCAL=0.0.0.0 \
  IP=127.0.0.1
COPY --from=build /built /usr/local/bin
COPY --from=build /app/node_modules node_modules
# Tests the worker again, with the libraries of this image.
RUN --mount=type=bind,source=scripts,target=scripts node scripts/setup/prove-worker.mjs
COPY --chmod=755 scripts/docker/container.sh /usr/local/bin/container
COPY package.json LICENSE ./
COPY config config
COPY media media
COPY src src
USER node
# WebSocket, REST and page, WebRTC media (rtc_workers=N: N ports from 10000 on). TLS listeners, if configured: 8443, 8444.
EXPOSE 8080 8081 10000/udp 10000/tcp
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s --retries=3 CMD ["container", "health"]
CMD ["container", "start"]
