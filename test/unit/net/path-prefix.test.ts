import t from 'tap';
import { PathPrefixes, readPathPrefix } from '../../../src/net/path-prefix.ts';

t.test('path prefixes', async (t) => {
  for (const [text, prefix] of [
    ['', ''],
    ['/', ''],
    ['/gw', '/gw'],
    ['/gw/', '/gw'],
    ['/a.b/c-d_e~1', '/a.b/c-d_e~1'],
    ['/outer, /inner/', '/outer/inner'],
  ] as const)
    t.equal(readPathPrefix(text), prefix, text);
  for (const text of [
    'gw',
    '//evil.example',
    '/gw//x',
    '/..',
    '/gw/../x',
    '/./x',
    'https://evil.example',
    '/\\evil',
    '/a b',
    '/a%2fb',
    '/a?b',
    '/a\r\nSet-Cookie: x',
    `/${'x'.repeat(300)}`,
  ])
    t.equal(readPathPrefix(text), undefined, JSON.stringify(text));
});

t.test('only of trusted proxies, and otherwise the setting', async (t) => {
  const ask = (header: string | undefined, from: string, path_prefix = '', trust_proxy = ['10.0.0.0/8']): string =>
    new PathPrefixes({ path_prefix, trust_proxy }).of({
      headers: header === undefined ? {} : { 'x-forwarded-prefix': header },
      socket: { remoteAddress: from } as never,
    });
  t.equal(ask('/gw', '10.0.0.1'), '/gw');
  t.equal(ask('/gw', '192.0.2.1'), '', 'of others it is ignored');
  t.equal(ask('/gw', '10.0.0.1', '', []), '', 'nobody is trusted');
  t.equal(ask('/gw', '10.0.0.1', '/own'), '/gw');
  t.equal(ask('/', '10.0.0.1', '/own'), '', 'the proxy says that there is none');
  t.equal(ask('//evil.example', '10.0.0.1', '/own'), '/own', 'what cannot be used is ignored');
  t.equal(ask(undefined, '10.0.0.1', '/own'), '/own');
  t.equal(ask('/gw', '192.0.2.1', '/own'), '/own');
});
