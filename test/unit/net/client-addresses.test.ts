import type { IncomingMessage } from 'node:http';
import t from 'tap';
import { ClientAddresses } from '../../../src/net/client-addresses.ts';

const request = (remoteAddress: string, forwarded?: string): IncomingMessage =>
  ({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } }) as unknown as IncomingMessage;

t.test('X-Forwarded-For counts only when a trusted proxy sent it', async (t) => {
  const open = new ClientAddresses([]);
  t.equal(open.isProxy('127.0.0.1'), false);
  t.equal(open.of(request('127.0.0.1', '192.0.2.1')), '127.0.0.1');
  const behind = new ClientAddresses(['127.0.0.1', '10.0.0.0/8', '2001:db8::/64']);
  for (const [remote, forwarded, client] of [
    ['192.0.2.9', '192.0.2.1', '192.0.2.9'],
    ['127.0.0.1', undefined, '127.0.0.1'],
    ['127.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['::ffff:127.0.0.1', '192.0.2.1', '192.0.2.1'],
    ['127.0.0.1', '8.8.8.8, 192.0.2.1', '192.0.2.1'],
    ['127.0.0.1', '8.8.8.8, 192.0.2.1, 10.1.2.3', '192.0.2.1'],
    ['2001:db8::1', '2001:db8:1::7', '2001:db8:1::7'],
    ['127.0.0.1', 'unknown', '127.0.0.1'],
    ['127.0.0.1', '192.0.2.1, <script>', '127.0.0.1'],
    ['127.0.0.1', ',,,', '127.0.0.1'],
  ] as const)
    t.equal(behind.of(request(remote, forwarded)), client, `${remote} for ${forwarded}`);
  t.ok(behind.isProxy('::ffff:10.1.1.1'));
  t.notOk(behind.isProxy(''));
});
