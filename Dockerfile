# syntax=docker/dockerfile:1
# Debian 12 by name: mediasoup's worker, where it is built here, is linked against that release's libraries.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# With MEDIASOUP_WORKER_BIN set, mediasoup's own postinstall leaves the worker to the next step.
RUN MEDIASOUP_WORKER_BIN=later npm ci --omit=dev --no-audit --no-fund
COPY scripts scripts
COPY native native
# Fetches the prebuilt worker, or builds it (about 5 minutes, and only when mediasoup's version changes), and builds the audio encoder.
RUN XDG_CACHE_HOME=/cache node scripts/setup.mjs --for image \
  && find /cache/webrtc-transponder -name 'mediasoup-worker-*' ! -name '*.proved' -exec install -D {} /built/mediasoup-worker \; \
  && find /cache/webrtc-transponder -name 'opus-to-aac-*' -exec install -D {} /built/opus-to-aac \;

FROM node:24-bookworm-slim
RUN apt-get update \
  && apt-get install -y --no-install-recommends ffmpeg libuv1 libssl3 libsrtp2-1 \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
ENV NODE_ENV=production \
  MEDIASOUP_WORKER_BIN=/usr/local/bin/mediasoup-worker \
  OPUS_TO_AAC_BIN=/usr/local/bin/opus-to-aac \
  LOG_FORMAT=json
COPY --from=build /built /usr/local/bin
COPY --from=build /app/node_modules node_modules
# Proved again where it will run, with that image's libraries.
RUN --mount=type=bind,source=scripts,target=scripts node scripts/setup/prove-worker.mjs
COPY package.json LICENSE ./
COPY config config
COPY media media
COPY src src
USER node
# WebSocket, REST and page, WebRTC media (rtc_workers=N: N ports from 10000 on). TLS listeners, where configured: 8443, 8444.
EXPOSE 8080 8081 10000/udp 10000/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.HTTP_PORT || 8081}/health`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/main.ts"]
