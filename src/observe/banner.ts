import { isIPv6 } from 'node:net';
import { hasAccessProvider, type ACCESS_PROVIDERS } from '../config/access-providers.ts';
import type { Settings } from '../config/schema.ts';

/** Ports that were bound, and the URL of the embedded RTMP server. */
interface Addresses {
  readonly http: { readonly http: number; readonly https?: number };
  readonly ws: number;
  readonly wss?: number;
  readonly rtmpUrl?: string;
}

/** What is printed after the start with `log_format=pretty`: where the gateway can be reached, and a first command. */
export function banner(
  settings: Pick<Settings, 'listen_ip' | (typeof ACCESS_PROVIDERS)[number]>,
  { http, ws, wss, rtmpUrl }: Addresses,
): string {
  const { listen_ip: host } = settings;
  const key = hasAccessProvider(settings);
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : isIPv6(host) ? `[${host}]` : host;
  const base = http.https === undefined ? `http://${shown}:${http.http}` : `https://${shown}:${http.https}`;
  const socket = wss === undefined ? `ws://${shown}:${ws}` : `wss://${shown}:${wss}`;
  return `
  WebRTC Transponder is running.

  Page       ${base}/            all streams; publish your camera under Publish
  WebSocket  ${socket}              for the WCS Web SDK
  REST       ${base}/rest-api
${rtmpUrl ? `  RTMP       ${rtmpUrl}      embedded server, to push to and watch\n` : ''}
  With a stream named "test" published on the page, this starts a push:

  curl -s ${base}/rest-api/push/startup -H 'Content-Type: application/json'${key ? " -H 'Authorization: Bearer KEY'" : ''} \\
    -d '{"streamName": "test", "rtmpUrl": "${rtmpUrl ?? 'rtmp://HOST/APPLICATION'}"}'

  Press Ctrl-C to stop.

`;
}
