import { inspect } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import { parseDestination, redirect, type Destination } from '../../../src/net/destination.ts';
import { Secret } from '../../../src/net/secret.ts';
import { processorMs } from '../../helpers/processor-ms.ts';

const parse = (url: string, rules: { prefix?: string; fullUrl?: boolean; name?: string } = {}) =>
  parseDestination(url, rules.name ?? 'stream1', {
    streamNamePrefix: rules.prefix ?? 'rtmp_',
    fullUrl: rules.fullUrl ?? false,
  });

/** What is sent over the wire. */
const wire = ({ scheme, host, port, app, streamName, tcUrl }: Destination) => ({
  scheme,
  host,
  port,
  app: app.reveal(),
  streamName: streamName.reveal(),
  tcUrl: tcUrl.reveal(),
});

t.test('prefix and name below the application', async (t) => {
  t.strictSame(wire(parse('rtmp://localhost:1935/live')), {
    scheme: 'rtmp',
    host: 'localhost',
    port: 1935,
    app: 'live',
    streamName: 'rtmp_stream1',
    tcUrl: 'rtmp://localhost:1935/live',
  });
  t.equal(parse('rtmp://h/live', { prefix: '' }).streamName.reveal(), 'stream1');
  t.equal(parse('rtmp://h/app/instance').app.reveal(), 'app/instance');
  t.equal(parse('rtmp://h/live/').app.reveal(), 'live', 'a slash at the end is punctuation');
  t.equal(
    parse('rtmp://rtmp.server.com:1935/').app.reveal(),
    '',
    'the root, as in the documentation of rtmp_push_auto_start_url',
  );
  t.equal(parse('RTMP://h/live').scheme, 'rtmp');
});

t.test("query parameters stay in the application: the seed's capture", async (t) => {
  const destination = parse('rtmp://myrtmpserver.com:1935/live/?user=u&pass=p');
  t.equal(destination.app.reveal(), 'live/?user=u&pass=p');
  t.equal(destination.streamName.reveal(), 'rtmp_stream1');
  t.equal(destination.tcUrl.reveal(), 'rtmp://myrtmpserver.com:1935/live/?user=u&pass=p');
  t.equal(
    parse('rtmp://h:1935/app_name/app_instance/?user=user1&pass=pass1').app.reveal(),
    'app_name/app_instance/?user=user1&pass=pass1',
  );
  t.equal(parse('rtmp://h/live?a=/b/').app.reveal(), 'live?a=/b/');
});

t.test('the full URL: last segment with its query, no prefix', async (t) => {
  const full = (url: string) => wire(parse(url, { fullUrl: true }));
  t.match(full('rtmp://rtmp.flashphoner.com:1935/live/test'), {
    app: 'live',
    streamName: 'test',
    tcUrl: 'rtmp://rtmp.flashphoner.com:1935/live',
  });
  t.match(full('rtmp://h/app_name/app_instance/stream_name'), {
    app: 'app_name/app_instance',
    streamName: 'stream_name',
  });
  t.match(full('rtmps://live-api-s.facebook.com:443/rtmp/FB-123-0-Abc?ds=1&s_l=1&a=XYZ'), {
    port: 443,
    app: 'rtmp',
    streamName: 'FB-123-0-Abc?ds=1&s_l=1&a=XYZ',
  });
  t.match(
    full('rtmps://a.rtmps.youtube.com/live2/a%2Bb+c~=.;,@#x?backup=1&k=%20/y?z'),
    { port: 443, app: 'live2', streamName: 'a%2Bb+c~=.;,@#x?backup=1&k=%20/y?z' },
    'byte for byte',
  );
  t.match(
    full('rtmps://b.rtmps.youtube.com:443/live2?backup=1/KEY'),
    { app: 'live2?backup=1', streamName: 'KEY', tcUrl: 'rtmps://b.rtmps.youtube.com:443/live2?backup=1' },
    'a query of the application',
  );
  for (const url of [
    'rtmp://h/stream',
    'rtmp://h/',
    'rtmp://h//stream',
    'rtmp://h/app/',
    'rtmp://h/?a/b',
    'rtmp://h/app?a=b',
    'rtmp://h/app?a=b/',
    'rtmp://h//app?a/b',
  ])
    t.throws(() => full(url), { code: 'INVALID_RTMP_URL', message: /names no stream/ }, url);
});

t.test('user and password are percent-decoded', async (t) => {
  const reveal = (url: string) => {
    const { user, password } = parse(url);
    return [user?.reveal(), password?.reveal()];
  };
  t.strictSame(reveal('rtmp://name:password@server:1935/live'), ['name', 'password']);
  t.strictSame(reveal('rtmp://u%40corp:p%3A%2f%25%20%C3%A9@h/live'), ['u@corp', 'p:/% é']);
  t.strictSame(reveal('rtmp://u:a:b@h/live'), ['u', 'a:b']);
  t.strictSame(reveal('rtmp://u@h/live'), ['u', '']);
  t.strictSame(reveal('rtmp://@h/live'), [undefined, undefined]);
  t.strictSame(reveal('rtmp://h/live'), [undefined, undefined]);
  t.notMatch(parse('rtmp://name:password@server/live').tcUrl.reveal(), 'password', 'never in tcUrl');
});

t.test('hosts and ports', async (t) => {
  t.match(wire(parse('rtmp://[2001:db8::1]:1936/live')), {
    host: '2001:db8::1',
    port: 1936,
    tcUrl: 'rtmp://[2001:db8::1]:1936/live',
  });
  t.equal(parse('rtmp://[::1]/live').redacted, 'rtmp://[::1]/live');
  t.equal(parse('rtmps://h/live').port, 443);
  t.equal(parse('rtmp://münchen.example/live').host, 'münchen.example');
  t.equal(parse('rtmp://a_b-c.example./live').host, 'a_b-c.example.');
});

t.test('invalid URLs are refused, without repeating them', async (t) => {
  const cases: [string, RegExp][] = [
    ['geheim', /is not a URL/],
    ['', /is not a URL/],
    ['//geheim/live', /is not a URL/],
    ['http://geheim/live', /scheme that is not supported/],
    ['srt://geheim/live', /scheme/],
    ['javascript://geheim/live', /scheme/],
    ['rtmp:///live', /no host/],
    ['rtmp://:1935/live', /no host/],
    ['rtmp://h:geheim/live', /port that is not a number/],
    ['rtmp://h:/live', /port that is not a number/],
    ['rtmp://h:0/live', /port outside/],
    ['rtmp://h:65536/live', /port outside/],
    ['rtmp://h:-1/live', /port that is not a number/],
    ['rtmp://h', /names no application/],
    ['rtmp://h?key=geheim', /names no application/],
    ['rtmp://[:::]/live', /host that is neither/],
    ['rtmp://[127.0.0.1]/live', /host that is neither/],
    ['rtmp://[fe80::1%25eth0]/live', /host that is neither/],
    ['rtmp://-x/live', /host that is neither/],
    ["rtmp://a'b/live", /host that is neither/],
    ['rtmp://a%20b/live', /host that is neither/],
    ['rtmp://u:p@geheim@h/live', /is not a URL|port/],
    ['rtmp://u:%zzgeheim@h/live', /not percent-encoded correctly/],
    ['rtmp://u:geheim%0a@h/live', /control characters in its user or password/],
    ['rtmp://h/live geheim', /white space or control/],
    ['rtmp://h/live\ngeheim', /white space or control/],
    ['rtmp://h/live\u0000', /white space or control/],
  ];
  for (const [url, message] of cases) {
    t.throws(() => parse(url), { code: 'INVALID_RTMP_URL', httpStatus: 400, message });
    try {
      parse(url);
    } catch (error) {
      t.notMatch(inspect(error), 'geheim', JSON.stringify(url));
    }
  }
});

t.test('the redacted URL has scheme, host, port and the first segment of the application', async (t) => {
  for (const [url, fullUrl, expected] of [
    ['rtmp://h/live', false, 'rtmp://h/live'],
    ['rtmp://h:1935/live', false, 'rtmp://h/live'],
    ['rtmp://u:p@h:1936/live?x=1', false, 'rtmp://h:1936/live/***'],
    ['rtmps://a.rtmps.youtube.com/live2/KEY', false, 'rtmps://a.rtmps.youtube.com/live2/***'],
    ['rtmps://a.rtmps.youtube.com/live2/KEY', true, 'rtmps://a.rtmps.youtube.com/live2/***'],
    ['rtmp://h/live;KEY', false, 'rtmp://h/live/***'],
    ['rtmp://h/', false, 'rtmp://h/'],
    ['rtmp://h/?KEY', false, 'rtmp://h/***'],
    ['rtmp://h//KEY', false, 'rtmp://h/***'],
  ] as const)
    t.equal(parse(url, { fullUrl }).redacted, expected);
});

t.test('secrets are not printed', async (t) => {
  const secret = new Secret('geheim');
  for (const text of [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ secret }, { showHidden: true, depth: 9 }),
    Object.values(secret).join(),
    JSON.stringify(structuredClone({ ...secret })),
  ])
    t.notMatch(text, 'geheim');
  t.equal(secret.reveal(), 'geheim');
  const destination = parse('rtmp://geheim:geheim@h/app/geheim?geheim=geheim', { fullUrl: true });
  for (const text of [
    JSON.stringify(destination),
    inspect(destination, { showHidden: true, depth: 9 }),
    destination.redacted,
    String(destination),
  ])
    t.notMatch(text, 'geheim');
  t.equal(destination.url.reveal(), 'rtmp://geheim:geheim@h/app/geheim?geheim=geheim');
});

t.test('any URL is either parsed, with its secrets hidden, or INVALID_RTMP_URL', async (t) => {
  const word = fc.string({ unit: fc.constantFrom(...'aA9._-~%/?#@:[]&= \n\u0000é'), maxLength: 12 });
  fc.assert(
    fc.property(
      fc.tuple(word, word, word, word).map(([a, b, c, d]) => `rtmp://${a}@${b}:1${c}/${d}`),
      fc.boolean(),
      (url, fullUrl) => {
        try {
          const { redacted, app, streamName } = parse(url, { fullUrl });
          return (
            redacted.length <= url.length + 4 &&
            !redacted.includes('?') &&
            !redacted.includes('@') &&
            app.reveal().length + streamName.reveal().length <= url.length + 'rtmp_stream1'.length
          );
        } catch (error) {
          return error instanceof GatewayError && error.code === 'INVALID_RTMP_URL';
        }
      },
    ),
    { numRuns: 3000 },
  );
  for (const url of [
    `rtmp://${'a.'.repeat(2000)}!/x`,
    `rtmp://h/${'/'.repeat(4000)}x`,
    `rtmp://${'@'.repeat(4000)}`,
    `rtmp://${'a'.repeat(4000)}`,
  ]) {
    const tookMs = processorMs(() => {
      try {
        parse(url);
      } catch {
        /* only its time counts */
      }
    });
    t.ok(tookMs < 500, `${url.slice(0, 12)}: ${tookMs} ms`);
  }
});

t.test('a server sends its publisher elsewhere: every kind of reference', async (t) => {
  const from = parseDestination('rtmp://u:p@a.example.com:1936/app/instance/KEY?x=1', 'show', {
    streamNamePrefix: '',
    fullUrl: true,
  });
  for (const [tcUrl, expected] of [
    ['rtmp://b.example.com/live?t=%2f', 'rtmp://b.example.com:1935/live?t=%2f'],
    ['rtmps://b.example.com/live', 'rtmps://b.example.com:443/live'],
    ['//192.0.2.1:1940/live', 'rtmp://192.0.2.1:1940/live'],
    ['//[2001:db8::1]/live', 'rtmp://[2001:db8::1]:1935/live'],
    ['/other', 'rtmp://a.example.com:1936/other'],
    ['other', 'rtmp://a.example.com:1936/app/other'],
    ['../other/./x', 'rtmp://a.example.com:1936/other/x'],
    ['?t=1', 'rtmp://a.example.com:1936/app/instance?t=1'],
  ] as const) {
    const to = redirect(from, tcUrl);
    t.equal(to.tcUrl.reveal(), expected, tcUrl);
    t.strictSame(
      [to.streamName, to.user, to.password, to.url].map((secret) => secret!.reveal()),
      [from.streamName, from.user, from.password, from.url].map((secret) => secret!.reveal()),
      'the same stream, for the same user',
    );
  }
  const secure = parseDestination('rtmps://a.example.com/app/KEY', 'show', { streamNamePrefix: '', fullUrl: true });
  t.equal(redirect(secure, '/b').tcUrl.reveal(), 'rtmps://a.example.com:443/b');
  t.throws(() => redirect(secure, 'rtmp://a.example.com/b'), { code: 'DESTINATION_FORBIDDEN' });
  for (const tcUrl of [
    'http://a/b',
    'rtmp://',
    'javascript:x',
    'rtmp://a b/c',
    '//',
    '/\u0000',
    `/${'x'.repeat(5000)}`,
  ])
    t.throws(() => redirect(from, tcUrl), { code: 'INVALID_RTMP_URL', message: /^tcUrl/ }, tcUrl.slice(0, 20));
});

t.test('whatever a server sends as tcUrl leads to a place for the same stream, or is refused', async (t) => {
  const from = parseDestination('rtmp://a.example.com/app/KEY', 'show', { streamNamePrefix: '', fullUrl: true });
  const part = fc.constantFrom(
    'rtmp:',
    'rtmps:',
    '//',
    '/',
    '..',
    '?',
    '#',
    '@',
    ':',
    '[::1]',
    'b.example',
    '%00',
    'x',
  );
  const anything = fc.oneof(
    fc.string(),
    fc.array(part).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(anything, (tcUrl) => {
      try {
        const to = redirect(from, tcUrl);
        return to.streamName.reveal() === 'KEY' && /^rtmps?:\/\/[^/]+\//.test(to.tcUrl.reveal());
      } catch (error) {
        return error instanceof GatewayError && error.code === 'INVALID_RTMP_URL';
      }
    }),
  );
  t.pass('no other error');
});
