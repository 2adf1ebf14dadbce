import { parseArgs } from 'node:util';
import type { Gateway as RunningGateway } from './gateway.ts';
import type { Manager as RunningManager } from './manager.ts';
import { isYoungGenerationLimited, limitYoungGeneration, unlimitYoungGeneration } from './runtime/young-generation.ts';
import { backgroundFailures, inBackground } from './runtime/in-background.ts';

// Before other modules are loaded, hence the dynamic imports below.
const triesFastPaths = process.env['FAST_PATHS'] !== 'false';
if (triesFastPaths) limitYoungGeneration();

const { banner } = await import('./observe/banner.ts');
const { portsRefusedByBrowsers } = await import('./config/browser-ports.ts');
const { rtcPorts, SECRET_SETTINGS } = await import('./config/schema.ts');
const { environmentName, loadSettings } = await import('./config/settings-file.ts');
const { settingsWarnings } = await import('./config/warnings.ts');
const { GatewayError } = await import('./errors.ts');
const { createLogger } = await import('./observe/logger.ts');
const { endProcess } = await import('./runtime/end-process.ts');
const { FastPaths } = await import('./runtime/fast-paths.ts');

/**
 * The process: settings, signals, exit codes (0: ended by a signal, 1: failed, 2: wrong arguments or invalid settings).
 */

const HELP = `WebRTC Transponder: republishes WebRTC streams to RTMP(S) servers.

Usage: npm start -- [--config FILE] [--role ROLE]

  --config FILE   settings (default: config/gateway.properties, or GATEWAY_CONFIG)
  --role ROLE     node, manager or both: the setting role
  --check         check the settings and end: exit code 0, or 2 and every mistake
  --help          this text

Every setting can be overridden by an environment variable: upper case, dots as underscores (HTTP_PORT=8081).
`;

/** Milliseconds until closing is given up. With the end of the process it takes less than 10 s. */
const CLOSE_TIMEOUT_MS = 9000;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      config: { type: 'string' },
      role: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
      check: { type: 'boolean' },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const file = values.config ?? process.env['GATEWAY_CONFIG'] ?? 'config/gateway.properties';
  const { settings, sources, ignoredKeys } = loadSettings({
    file,
    env: values.role === undefined ? process.env : { ...process.env, ROLE: values.role },
  });
  if (values.check) {
    if (ignoredKeys.length > 0) process.stdout.write(`Ignored, without a meaning here: ${ignoredKeys.join(', ')}\n`);
    for (const warning of settingsWarnings(settings)) process.stdout.write(`${warning}\n`);
    process.stdout.write(`${file}: the settings are valid.\n`);
    return;
  }
  // Child processes inherit the environment and need none of these.
  for (const key of SECRET_SETTINGS) delete process.env[environmentName(key)];
  const logger = createLogger(settings);
  if (ignoredKeys.length > 0)
    logger.warn({ keys: ignoredKeys }, 'ignored keys of the settings file that mean nothing to this gateway');
  for (const warning of settingsWarnings(settings)) logger.warn(warning);
  const end = (code: number): Promise<never> =>
    endProcess(code, (blocked) => logger.error({ blocked }, 'a system call does not return: killing this process'));
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught exception');
    inBackground(end(1));
  });
  backgroundFailures.on('failure', (error) => logger.error({ err: error }, 'an operation failed unexpectedly'));

  const fastPaths = new FastPaths({ enabled: settings.fast_paths, logger });
  if (!settings.fast_paths) unlimitYoungGeneration();
  else if (isYoungGenerationLimited()) fastPaths.activate('young_generation');
  else fastPaths.fallBack('young_generation', 'the V8 flag has no effect');

  let gateway: RunningGateway | undefined = undefined;
  let manager: RunningManager | undefined = undefined;
  let closing = false;
  let drainedBySignal = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGTERM' && settings.drain_timeout_s > 0 && gateway && !drainedBySignal) {
      drainedBySignal = true;
      gateway.drain();
    } else close(signal);
  };
  const close = (cause: NodeJS.Signals | 'drained'): void => {
    if (closing) return;
    closing = true;
    logger.info(cause === 'drained' ? {} : { signal: cause }, 'closing');
    // Child processes that have been started so far end with this one.
    if (!gateway && !manager) return void end(0);
    setTimeout(() => {
      logger.error('closing took too long');
      inBackground(end(1));
    }, CLOSE_TIMEOUT_MS).unref();
    // Pages that are connected to the manager learn from the node why their streams end.
    Promise.all([gateway?.close()])
      .then(() => manager?.close())
      .then(
        () => end(0),
        (error: unknown) => {
          logger.error({ err: error }, 'closing failed');
          return end(1);
        },
      );
  };
  // Before the start, so that a signal during it ends the process too. SIGHUP: the terminal was closed.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);

  if (settings.role === 'manager') {
    manager = await startManager(settings, logger);
    return;
  }
  // With its native modules, which a manager does not need.
  const { Gateway } = await import('./gateway.ts');
  gateway = await Gateway.create(settings, logger, fastPaths, sources);
  if (settings.role === 'both') manager = await startManager(settings, logger);
  inBackground(gateway.drained.then(() => close('drained')));
  const { http, ws, wss, rtmpUrl } = gateway.addresses;
  logger.info(
    {
      ...http,
      ws,
      ...(wss !== undefined && { wss }),
      rtc: rtcPorts(settings),
      fastPaths: settings.fast_paths ? fastPaths.active.join() : 'off',
      ...(rtmpUrl && { embeddedServer: rtmpUrl }),
    },
    'gateway started',
  );
  for (const key of portsRefusedByBrowsers(settings))
    logger.warn({ [key]: settings[key] }, `browsers refuse to connect to this port; set ${key} to another`);
  if (settings.log_format === 'pretty') process.stdout.write(banner(settings, gateway.addresses));
}

async function startManager(...options: Parameters<typeof RunningManager.create>): Promise<RunningManager> {
  const { Manager } = await import('./manager.ts');
  const manager = await Manager.create(...options);
  options[1].info(manager.addresses, 'manager started');
  return manager;
}

await main().catch((error: unknown) => {
  if (error instanceof GatewayError) process.stderr.write(`${error.message}\n`);
  else if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'))
    process.stderr.write(`${error.message}\n\n${HELP}`);
  else process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  const calledWrongly =
    error instanceof GatewayError ? error.code === 'SETTINGS_INVALID' : error instanceof TypeError && 'code' in error;
  return endProcess(calledWrongly ? 2 : 1, () => {});
});
