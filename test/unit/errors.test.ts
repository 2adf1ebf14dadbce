import { readFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { ERROR_KINDS, GatewayError, toGatewayError, type ErrorCode } from '../../src/errors.ts';

t.test('docs/errors.md explains every code as the table has it, and no other', async (t) => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/errors.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `(\w+)` \| (\d+) \| (\w+) \| (yes|no) \| (.+?) \| (.+?) \|$/gm)].map(
    ([, code, status, scope, retryable]) => ({
      code,
      httpStatus: Number(status),
      scope,
      retryable: retryable === 'yes',
    }),
  );
  t.strictSame(
    rows,
    Object.entries(ERROR_KINDS).map(([code, { httpStatus, scope, retryable }]) => ({
      code,
      httpStatus,
      scope,
      retryable,
    })),
  );
});

t.test('statuses exist', async (t) => {
  for (const [code, { httpStatus }] of Object.entries(ERROR_KINDS)) t.ok(STATUS_CODES[httpStatus], code);
});

t.test('an error knows what its code says', async (t) => {
  const cause = new Error('inner');
  const error = new GatewayError('LIMIT_REACHED', 'Try later.', { cause });
  t.match(error, {
    name: 'GatewayError',
    code: 'LIMIT_REACHED',
    httpStatus: 503,
    retryable: true,
    scope: 'request',
    message: 'Try later.',
    cause,
  });
});

t.test('anything thrown becomes one', async (t) => {
  const error = new GatewayError('STREAM_NOT_FOUND', 'x');
  t.equal(toGatewayError(error, 'INTERNAL'), error);
  for (const [thrown, fallback, code, message] of [
    [new TypeError('boom'), undefined, 'INTERNAL', 'boom'],
    [new Error('gone'), 'DESTINATION_LOST', 'DESTINATION_LOST', 'gone'],
    ['text', undefined, 'INTERNAL', 'text'],
    [undefined, undefined, 'INTERNAL', 'undefined'],
  ] as [unknown, ErrorCode | undefined, string, string][])
    t.match(toGatewayError(thrown, fallback), { code, message, cause: thrown });
});
