import { parseArgs } from 'node:util';
import { loadSettings } from '../config/settings-file.ts';
import { GatewayError } from '../errors.ts';
import { Secret } from '../net/secret.ts';
import { issueToken } from './issue-token.ts';
import { JwtClaimsSchema } from './jwt-claims.ts';
import { wallClockMs } from '../runtime/wall-clock.ts';

/** Prints a token that is signed with `jwt_secret` of the settings. Exit codes: 0, or 2 for wrong arguments or settings. */

const HELP = `Prints a token for a gateway, signed with jwt_secret of its settings.

Usage: npm run token -- --stream NAME --act ACTIONS [--room SCOPE=RIGHTS] [--ttl TIME] [--sub ID]
                        [--destination HOST] [--max-duration TIME] [--config FILE]

  --stream NAME         a stream name, with * for any characters; may be repeated
  --act ACTIONS         comma-separated: publish, play, push, call, control, read, admin, join
  --ttl TIME            until the token expires: 90s, 30m, 12h, 7d (default: 1h)
  --sub ID              the name of the client in logs (default: token)
  --room SCOPE=RIGHTS   a room that may be joined, with * for any characters, and comma-separated rights in it: read, write, send;
                        may be repeated (default: all rooms and rights, given the action join)
  --destination HOST    a host that pushes may go to, such as *.twitch.tv; may be repeated (default: all)
  --max-duration TIME   how long publishing may last, from its first use
  --config FILE         settings (default: config/gateway.properties, or GATEWAY_CONFIG)
`;

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

function secondsOf(option: string, text: string): number {
  const [, amount, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const seconds = Number(amount) * (SECONDS[unit ?? ''] ?? 0);
  if (seconds > 0) return seconds;
  throw new GatewayError('INVALID_REQUEST', `--${option} must be a time such as 90s, 30m, 12h or 7d.`);
}

/** `live/lobby=read,send`. The last `=` separates, because the path may contain others. */
function roomOf(text: string): readonly [scope: string, rights: string[]] {
  const [, scope, rights] = /^(.+)=([^=]*)$/.exec(text) ?? [];
  if (scope === undefined || rights === undefined)
    throw new GatewayError('INVALID_REQUEST', '--room must be a scope and rights, such as live/lobby=read,send.');
  return [scope, rights.split(',').map((right) => right.trim())];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      stream: { type: 'string', multiple: true },
      act: { type: 'string' },
      ttl: { type: 'string', default: '1h' },
      sub: { type: 'string', default: 'token' },
      room: { type: 'string', multiple: true },
      destination: { type: 'string', multiple: true },
      'max-duration': { type: 'string' },
      config: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const file = values.config ?? process.env['GATEWAY_CONFIG'] ?? 'config/gateway.properties';
  const { settings } = loadSettings({ file, env: process.env });
  if (settings.jwt_secret === '')
    throw new GatewayError('SETTINGS_INVALID', `jwt_secret is not set in ${file} (openssl rand -base64 48).`);
  const duration = values['max-duration'];
  const claims = JwtClaimsSchema.safeParse({
    sub: values.sub,
    exp: Math.floor(wallClockMs() / 1000) + secondsOf('ttl', values.ttl),
    act: values.act?.split(',').map((action) => action.trim()),
    streams: values.stream,
    rooms: values.room && Object.fromEntries(values.room.map(roomOf)),
    destinations: values.destination,
    maxDuration: duration === undefined ? undefined : secondsOf('max-duration', duration),
  });
  if (!claims.success || !values.act || !(values.stream ?? values.room))
    throw new GatewayError(
      'INVALID_REQUEST',
      '--act and --stream or --room are required; --act is a list of publish, play, push, control, read, admin ' +
        'and join; rights of --room are read, write and send. See --help.',
    );
  const { jwt_issuer: issuer, jwt_audience: audience } = settings;
  process.stdout.write(`${await issueToken(claims.data, new Secret(settings.jwt_secret), { issuer, audience })}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 2;
}
