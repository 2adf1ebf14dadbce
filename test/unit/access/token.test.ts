import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { Secret } from '../../../src/net/secret.ts';
import { silentLogger } from '../../../src/observe/logger.ts';

const MAIN = join(import.meta.dirname, '../../../src/access/token-main.ts');
const SETTINGS = { jwt_secret: 'geheim-geheim-geheim-geheim-geheim-', jwt_issuer: 'me', jwt_audience: 'gateway' };

t.test('npm run token prints a token that the gateway accepts', async (t) => {
  const folder = t.testdir({
    'with.properties': Object.entries(SETTINGS)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
    'without.properties': '',
  });
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [MAIN, ...args]).catch(
      (error: unknown) => error as { code: number; stdout: string; stderr: string },
    );
  const config = ['--config', join(folder, 'with.properties')];
  const { stdout } = await run(
    ...['--stream', 'cam1', '--stream', 'studio-*', '--act', 'publish,push', '--ttl', '2h', '--max-duration', '30m'],
    ...['--destination', '*.twitch.tv', '--sub', 'alice', ...config],
  );
  const authorizer = createAuthorizer(SettingsSchema.parse(SETTINGS), silentLogger);
  const principal = await authorizer.identify({ door: 'wcs', ip: '::1', token: new Secret(stdout.trim()) });
  t.match(principal, {
    id: 'jwt:alice',
    actions: new Set(['publish', 'push']),
    streams: ['cam1', 'studio-*'],
    destinations: ['*.twitch.tv'],
    maxDurationS: 1800,
  });
  t.equal(principal.rooms, undefined);
  const member = await run(
    ...['--room', 'live/lobby=read', '--room', 'live/class-*=read, send', '--act', 'join', ...config],
  );
  t.match(await authorizer.identify({ door: 'rooms', ip: '::1', token: new Secret(member.stdout.trim()) }), {
    actions: new Set(['join']),
    streams: [],
    rooms: new Map([
      ['live/lobby', ['read']],
      ['live/class-*', ['read', 'send']],
    ]),
  });
  t.ok(Math.abs(principal.expiresAt! - Date.now() - 7_200_000) < 60_000);

  for (const [args, message] of [
    [['--act', 'publish', ...config], /--act and --stream or --room are required/],
    [['--stream', 'cam1', ...config], /--act and --stream or --room are required/],
    [['--room', 'live', '--act', 'join', ...config], /--room must be a scope and rights/],
    [['--room', 'live=fly', '--act', 'join', ...config], /rights of --room are read, write and send/],
    [['--stream', 'cam1', '--act', 'fly', ...config], /list of publish/],
    [['--stream', 'cam1', '--act', 'play', '--ttl', '1 hour', ...config], /--ttl must be a time/],
    [['--stream', 'cam1', '--act', 'play', '--config', join(folder, 'without.properties')], /jwt_secret is not set/],
    [['--streams', 'cam1'], /--streams/],
  ] as const) {
    const failed = await run(...args);
    t.match(failed, { code: 2, stdout: '', stderr: message }, args.join(' '));
    t.notMatch(failed.stderr, 'geheim');
  }
});
