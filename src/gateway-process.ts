import { isIPv6 } from 'node:net';
import { parseArgs } from 'node:util';
import { portsRefusedByBrowsers } from './config/browser-ports.ts';
import { rtcPorts, SECRET_SETTINGS, type Settings } from './config/schema.ts';
import { GatewayError } from './errors.ts';
import { Gateway } from './gateway.ts';
import { createLogger } from './observe/logger.ts';
import { environmentName, loadSettings } from './config/settings-file.ts';

/** The process: settings, signals, exit codes (0: ended as asked, 1: failed, 2: called wrongly or settings that are not valid). */

const HELP = `WebRTC Transponder: republishes WebRTC streams to RTMP(S) servers.

Usage: npm start -- [--config FILE]

  --config FILE   settings (default: config/gateway.properties, or GATEWAY_CONFIG)
  --help          this text

Every setting can be overridden by an environment variable: upper case, dots as underscores (HTTP_PORT=8081).
`;

/** Milliseconds after which closing in good order is given up. */
const CLOSE_TIMEOUT_MS = 10_000;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const { settings, ignoredKeys } = loadSettings({
    file: values.config ?? process.env['GATEWAY_CONFIG'] ?? 'config/gateway.properties',
    env: process.env,
  });
  // What the gateway starts inherits its environment, and needs none of these.
  for (const key of SECRET_SETTINGS) delete process.env[environmentName(key)];
  const logger = createLogger(settings);
  if (ignoredKeys.length > 0)
    logger.warn({ keys: ignoredKeys }, 'ignored keys of the settings file that mean nothing to this gateway');
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught exception');
    process.exit(1);
  });
  let gateway: Gateway | undefined = undefined;
  let closing = false;
  const close = (signal: NodeJS.Signals): void => {
    if (closing) return;
    closing = true;
    logger.info({ signal }, 'closing');
    // What has been started so far ends with this process.
    if (!gateway) process.exit(0);
    setTimeout(() => {
      logger.error('closing took too long');
      process.exit(1);
    }, CLOSE_TIMEOUT_MS).unref();
    gateway.close().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ err: error }, 'closing failed');
        process.exit(1);
      },
    );
  };
  // Before the start: mediasoup listens to them too, and one that only it has heard would leave a gateway without workers. SIGHUP: a terminal that is closed.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, close);

  gateway = await Gateway.create(settings, logger);
  const { http, ws, rtmpUrl } = gateway.addresses;
  logger.info(
    { http: http.http, ws, rtc: rtcPorts(settings), ...(rtmpUrl && { embeddedServer: rtmpUrl }) },
    'gateway started',
  );
  for (const key of portsRefusedByBrowsers(settings))
    logger.warn({ [key]: settings[key] }, `browsers refuse to connect to this port; set ${key} to another`);
  if (settings.log_format === 'pretty') process.stdout.write(banner(settings, http.http, ws, rtmpUrl));
}

function banner(
  { listen_ip: host, rest_api_key: key }: Settings,
  httpPort: number,
  wsPort: number,
  rtmpUrl: string | undefined,
): string {
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : isIPv6(host) ? `[${host}]` : host;
  const base = `http://${shown}:${httpPort}`;
  return `
  WebRTC Transponder is running.

  Page       ${base}/            press Publish, then Start push
  WebSocket  ws://${shown}:${wsPort}              for the WCS Web SDK
  REST       ${base}/rest-api
${rtmpUrl ? `  RTMP       ${rtmpUrl}      embedded server, to push to and watch\n` : ''}
  With a stream named "test" published on the page, this starts a push:

  curl -s ${base}/rest-api/push/startup -H 'Content-Type: application/json'${key && " -H 'Authorization: Bearer KEY'"} \\
    -d '{"streamName": "test", "rtmpUrl": "${rtmpUrl ?? 'rtmp://HOST/APPLICATION'}"}'

  Ctrl-C ends everything.

`;
}

main().catch((error: unknown) => {
  if (error instanceof GatewayError) process.stderr.write(`${error.message}\n`);
  else if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'))
    process.stderr.write(`${error.message}\n\n${HELP}`);
  else process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  const calledWrongly =
    error instanceof GatewayError ? error.code === 'SETTINGS_INVALID' : error instanceof TypeError && 'code' in error;
  process.exit(calledWrongly ? 2 : 1);
});
