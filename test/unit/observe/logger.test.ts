import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import { createLogger, redactRtmpUrls, type Logger } from '../../../src/observe/logger.ts';
import { Secret } from '../../../src/net/secret.ts';

/** What `write` logs, as text. */
function logged(log_format: 'json' | 'pretty', write: (logger: Logger) => void): string {
  let text = '';
  write(createLogger({ log_level: 'trace', log_format }, { destination: { write: (line) => (text += line) } }));
  return text;
}

t.test('RTMP URLs lose userinfo, query and all but the first segment', async (t) => {
  for (const [url, expected] of [
    ['rtmp://h/live', 'rtmp://h/live'],
    ['rtmp://h', 'rtmp://h'],
    ['rtmp://user:geheim@h:1936/live/geheim?geheim=1', 'rtmp://h:1936/live/***'],
    ['rtmp://user@h/live', 'rtmp://h/live'],
    ['RTMPS://h:443/rtmp/FB-1-0-geheim?a=1', 'RTMPS://h:443/rtmp/***'],
    ['rtmp://h?geheim', 'rtmp://h/***'],
    ["rtmp://h/live/a'geheim", 'rtmp://h/live/***'],
    [
      'Opening rtmp://h/live/geheim for writing, then rtmp://i/app/geheim.',
      'Opening rtmp://h/live/*** for writing, then rtmp://i/app/***',
    ],
    ['rtmp://h/live/***', 'rtmp://h/live/***'],
    ['no url', 'no url'],
  ] as const) {
    t.equal(redactRtmpUrls(url), expected);
    t.equal(redactRtmpUrls(expected), expected, 'the second time changes nothing');
  }
});

t.test('no secret reaches the log, in either format', async (t) => {
  const url = 'rtmp://geheim:"geheim@h/live/a"\\geheim?x=geheim';
  for (const format of ['json', 'pretty'] as const) {
    const text = logged(format, (logger) => {
      for (const field of [
        'rtmpUrl',
        'authToken',
        'token',
        'password',
        'authorization',
        'sdp',
        'streamKey',
        'apiKey',
        'rest_api_key',
        'rest_api_read_key',
        'jwt_secret',
        'auth_url',
        'x-api-key',
      ])
        logger.info({ [field]: 'geheim', a: { [field]: 'geheim', b: { [field]: 'geheim' } } }, 'fields');
      logger.info({ secret: new Secret('geheim') }, `${String(new Secret('geheim'))} ${url}`);
      logger.info({ line: `[rtmp @ 0x1] Server error at ${url}\nnext` }, 'ffmpeg');
      logger.error({ err: new GatewayError('PUSHER_FAILED', `ffmpeg: ${url}`, { cause: new Error(url) }) }, 'failed');
      logger.child({ destination: url }).warn('child');
    });
    t.notMatch(text, 'geheim', text);
    t.match(text, /rtmp:\/\/h\/live\/\*\*\*/);
  }
});

t.test('JSON: one object per line', async (t) => {
  const lines = logged('json', (logger) => {
    logger.info({ stream: 'cam' }, 'published');
    logger.warn('text');
  })
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(lines, [
    { level: 'info', time: /^\d{4}-\d\d-\d\dT.*Z$/, stream: 'cam', msg: 'published' },
    { level: 'warn', msg: 'text' },
  ]);
});

t.test('pretty: one line per event, which text from outside cannot forge', async (t) => {
  const text = logged('pretty', (logger) => {
    logger.info({ stream: 'my cam', n: 5, list: [1] }, 'published');
    logger.info({ stream: 'a\nERROR forged\u001b[2J' }, 'text\r\nERROR forged');
    logger.error({ err: new Error('boom') }, 'failed');
    logger.warn({ err: new Error('boom') }, 'expected');
  });
  const lines = text.split('\n');
  t.match(lines[0], /^\d\d:\d\d:\d\d\.\d{3} INFO {2}published stream="my cam" n=5 list=\[1\]$/);
  t.match(lines[1], /INFO {2}text\\r\\nERROR forged stream="a\\nERROR forged\\u001b\[2J"$/);
  t.match(lines[2], /ERROR failed error=boom$/);
  t.match(lines[3], /^ {4}Error: boom/, 'a stack for errors');
  t.match(lines.at(-2), /WARN {2}expected error=boom$/, 'none for warnings');
});

t.test('levels', async (t) => {
  let text = '';
  const logger = createLogger(
    { log_level: 'warn', log_format: 'json' },
    { destination: { write: (line) => (text += line) } },
  );
  logger.info('quiet');
  logger.warn('loud');
  t.match(text, /loud/);
  t.notMatch(text, /quiet/);
});
