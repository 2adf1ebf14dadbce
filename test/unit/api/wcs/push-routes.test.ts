import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { GatewayError, type ErrorCode } from '../../../../src/errors.ts';
import { PlatformViewSchema } from '../../../../src/api/openapi/platform-answers.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { createHttpApp } from '../../../helpers/http-app.ts';

const OFFICIAL_CLIENT = createRequire(import.meta.url).resolve('@flashphoner/websdk/flashphoner-rest-api.js');

const { app, http, control } = await createHttpApp();
t.teardown(() => app.close());
t.beforeEach(() => {
  control.calls.length = 0;
  control.views.clear();
});

const START = { streamName: 'cam', rtmpUrl: 'rtmp://example.com/live/?user=u&pass=geheim' };
const post = (method: string, payload: unknown = {}) =>
  http.inject({ method: 'POST', url: `/rest-api/push/${method}`, payload: payload as object });
const postText = (method: string, payload: string, contentType = 'application/json') =>
  http.inject({ method: 'POST', url: `/rest-api/push/${method}`, payload, headers: { 'content-type': contentType } });

type Answer = Awaited<ReturnType<typeof post>>;
function isError(t: Test, answer: Answer, status: number, code: ErrorCode, message?: RegExp, path?: string): void {
  t.equal(answer.statusCode, status, answer.body);
  const body = answer.json<Record<string, unknown>>();
  t.strictSame(Object.keys(body).sort(), ['error', 'exception', 'message', 'path', 'reason', 'status', 'timestamp']);
  t.equal(body['status'], status);
  t.equal(body['exception'], code);
  t.type(body['timestamp'], 'number');
  t.match(answer.headers['content-type'], /^application\/json/);
  if (message) t.match(body['message'], message);
  if (path) t.equal(body['path'], path);
  t.notMatch(answer.body, /\.ts:|node_modules|geheim/, 'neither a stack nor a secret');
}

t.test('startup answers with one transponder and the URL as it was sent', async (t) => {
  const answer = await post('startup', START);
  t.equal(answer.statusCode, 200);
  const view = answer.json();
  t.match(view, {
    mediaSessionId: String,
    streamName: 'rtmp_cam',
    rtmpUrl: START.rtmpUrl,
    width: 0,
    height: 0,
    muted: false,
    soundEnabled: false,
    options: {},
    status: 'connecting',
  });
  t.strictSame(control.calls, [['start', START]]);
});

t.test('startup accepts every documented field', async (t) => {
  const request = {
    ...START,
    width: 1280,
    height: 720,
    fps: 30,
    keyFrameInterval: 60,
    rtmpFlashVersion: 'LNX 76.219.189.0',
    rtmpTransponderFullUrl: true,
  };
  for (const options of [
    {},
    { action: 'mute' },
    { action: 'sound_on', soundFile: 'sound.wav', loop: true },
    { action: 'sound_on', soundFile: 'sound.wav' },
  ]) {
    const answer = await post('startup', { ...request, options });
    t.equal(answer.statusCode, 200, answer.body);
    t.strictSame(control.calls.at(-1), ['start', { ...request, options }]);
  }
});

t.test('a backup and the retries of a push', async (t) => {
  const request = {
    ...START,
    backupUrl: 'rtmp://b.example.com/live',
    backupMode: 'cold',
    backupAfterMs: 500,
    restore: true,
    restoreAttempts: 9,
    restoreIntervalMs: 100,
    restoreMaxIntervalMs: 1000,
  };
  t.equal((await post('startup', request)).statusCode, 200);
  t.strictSame(control.calls.at(-1), ['start', request]);
  control.calls.length = 0;
  const answer = await post('startup', { ...START, backupUrl: 'http://b.example.com/live' });
  isError(t, answer, 400, 'INVALID_RTMP_URL', /^backupUrl has a scheme/, '/rest-api/push/startup');
  t.strictSame(control.calls, []);
});

t.test('a platform and a key stand for its URLs, and the key is a secret', async (t) => {
  const push = { streamName: 'cam', platform: 'youtube', streamKey: ' abcd-geheim\n' };
  const answer = await post('startup', { ...push, rtmpTransponderFullUrl: false, backup: 'true' });
  t.equal(answer.statusCode, 200, answer.body);
  t.strictSame(control.calls, [
    [
      'start',
      {
        streamName: 'cam',
        platform: 'youtube',
        rtmpUrl: 'rtmps://a.rtmps.youtube.com:443/live2/abcd-geheim',
        backupUrl: 'rtmps://b.rtmps.youtube.com:443/live2?backup=1/abcd-geheim',
        rtmpTransponderFullUrl: true,
      },
    ],
  ]);
  await post('startup', { ...push, platform: 'facebook', streamKey: 'FB-1-0-geheim?s_bl=1&s_ps=1' });
  t.match(control.calls.at(-1), [
    'start',
    { rtmpUrl: 'rtmps://rtmp-api.facebook.com:443/rtmp/FB-1-0-geheim?s_bl=1&s_ps=1' },
  ]);
  const [, request] = control.calls.at(-1) as [string, object];
  t.notOk('backupUrl' in request || 'streamKey' in request || 'backup' in request);
});

t.test('comply is passed on; fields that are 0 do not contradict it', async (t) => {
  const answer = await post('startup', { ...START, comply: 'auto', height: 0, fps: '0' });
  t.equal(answer.statusCode, 200, answer.body);
  t.strictSame(control.calls, [['start', { ...START, comply: 'auto' }]]);
});

t.test('a check takes the same body, starts nothing and answers with verdicts', async (t) => {
  const answer = await post('check', { streamName: 'cam', platform: 'twitch', streamKey: 'geheim' });
  t.equal(answer.statusCode, 200, answer.body);
  t.strictSame(answer.json(), [
    { check: 'stream', level: 'ok', measured: 'published', rule: '', source: '', remedy: '' },
  ]);
  t.match(control.calls, [['check', { platform: 'twitch', rtmpUrl: 'rtmp://live.twitch.tv/app/geheim' }]]);
  t.equal(control.calls.length, 1);
  isError(t, await post('check', { streamName: 'cam' }), 400, 'INVALID_REQUEST', /^rtmpUrl is missing/);
});

t.test('the platforms are listed with the source of each number', async (t) => {
  const platforms = (await http.inject('/api/v1/platforms')).json<Record<string, unknown>[]>();
  t.doesNotThrow(() => platforms.forEach((platform) => PlatformViewSchema.strict().parse(platform)));
  const twitch = platforms.find(({ id }) => id === 'twitch')!;
  t.match(twitch, {
    name: 'Twitch',
    ingest: { url: 'rtmp://live.twitch.tv/app', source: { title: String, checked: String, confirmed: false } },
  });
  for (const { rules } of platforms)
    for (const rule of rules as object[]) t.match(rule, { source: { title: String, checked: /^\d{4}-\d\d-\d\d$/ } });
});

t.test('zero and null mean that a field is not set', async (t) => {
  const answer = await post('startup', {
    ...START,
    width: 0,
    height: 0,
    fps: 0,
    keyFrameInterval: 0,
    rtmpFlashVersion: null,
    options: null,
    rtmpTransponderFullUrl: null,
    backupUrl: null,
    backupMode: null,
    backupAfterMs: 0,
    restore: null,
    restoreAttempts: 0,
  });
  t.equal(answer.statusCode, 200, answer.body);
  const [, request] = control.calls.at(-1) as [string, Record<string, unknown>];
  t.strictSame(
    Object.entries(request).filter(([, value]) => value !== undefined),
    Object.entries(START),
  );
});

t.test('startup names the field that is wrong and what it must be', async (t) => {
  const cases: [unknown, RegExp][] = [
    [{}, /streamName is missing.* rtmpUrl is missing/],
    [{ streamName: 'cam' }, /rtmpUrl is missing: it must be a URL such as "rtmp:/],
    [{ ...START, rtmpUrl: '' }, /rtmpUrl must be/],
    [{ ...START, platform: 'twitch' }, /^rtmpUrl must not be sent together with platform/],
    [{ streamName: 'cam', platform: 'twitch' }, /^streamKey is missing: platform needs/],
    [{ streamName: 'cam', streamKey: 'geheim' }, /^platform is missing: streamKey needs/],
    [{ ...START, comply: 'auto', height: 720, fps: 30 }, /^comply must not be sent together with height, fps/],
    [{ ...START, comply: true }, /^comply must be "auto", or left out/],
    [{ ...START, backup: true }, /^backup needs platform/],
    [
      { streamName: 'cam', platform: 'twich', streamKey: 'geheim' },
      /^platform "twich" is not known\. Known: youtube, twitch/,
    ],
    [{ streamName: 'cam', platform: 'linkedin', streamKey: 'geheim' }, /^platform linkedin .*as rtmpUrl/],
    ...['', ' ', 'rtmps://x/geheim', 'geheim geheim', 'geheim#1', 'a?b/geheim', '?geheim', 'geheim\u0000', 5].map(
      (streamKey): [unknown, RegExp] => [
        { streamName: 'cam', platform: 'twitch', streamKey },
        /^streamKey must be the stream key that the platform shows/,
      ],
    ),
    [{ ...START, rtmpUrl: 5 }, /rtmpUrl must be .*: it is a number/],
    [{ ...START, streamName: ['cam'] }, /streamName must be .*: it is an array/],
    [{ ...START, streamName: 'a\u0000b' }, /streamName must be .* without control characters/],
    [
      { streamName: 'cam', rtmpURL: 'rtmp://x/y' },
      /rtmpUrl is missing: .*Unknown here: "rtmpURL"\. Known: streamName, rtmpUrl,/,
    ],
    [{ ...START, height: '720p' }, /height must be a whole number from 16 to 4320, or 0 for unchanged\./],
    [{ ...START, height: true }, /height must be .*: it is a boolean/],
    [{ ...START, height: 15 }, /height must be/],
    [{ ...START, height: -2 }, /height must be/],
    [{ ...START, height: 4322 }, /height must be/],
    [{ ...START, width: 8193 }, /width must be/],
    [{ ...START, width: 1e300 }, /width must be/],
    [{ ...START, fps: 29.97 }, /fps must be a whole number from 1 to 120/],
    [{ ...START, fps: 121 }, /fps must be/],
    [{ ...START, keyFrameInterval: -1 }, /keyFrameInterval must be/],
    [{ ...START, fps: '29.97' }, /fps must be a whole number from 1 to 120/],
    [{ ...START, rtmpTransponderFullUrl: 'yes' }, /rtmpTransponderFullUrl must be true or false\./],
    [{ ...START, rtmpTransponderFullUrl: 1 }, /rtmpTransponderFullUrl must be true or false: it is a number/],
    [{ ...START, rtmpFlashVersion: 'x'.repeat(65) }, /rtmpFlashVersion must be/],
    [{ ...START, options: 'mute' }, /options must be an object/],
    [{ ...START, options: [] }, /options must be an object/],
    [{ ...START, options: { action: 'unmute' } }, /options\.action must be "mute" or "sound_on"/],
    [{ ...START, options: { action: 'sound_on' } }, /options\.soundFile is missing/],
    [{ ...START, options: { action: 'sound_on', soundFile: 'a.wav', loop: 1 } }, /options\.loop must be true or false/],
    [{ ...START, backupUrl: '' }, /backupUrl must be a URL/],
    [{ ...START, backupMode: 'warm' }, /backupMode must be "hot" or "cold"/],
    [{ ...START, backupAfterMs: 99 }, /backupAfterMs must be a whole number of milliseconds from 100 to 600000/],
    [{ ...START, restore: 'maybe' }, /restore must be true or false/],
    [{ ...START, restoreAttempts: 1e9 }, /restoreAttempts must be a whole number from 1 to 1000000/],
    [{ ...START, restoreIntervalMs: 1 }, /restoreIntervalMs must be/],
    [{ ...START, restoreMaxIntervalMs: -1 }, /restoreMaxIntervalMs must be/],
    [[START], /must be a JSON object/],
  ];
  for (const [body, message] of cases)
    isError(t, await post('startup', body), 400, 'INVALID_REQUEST', message, '/rest-api/push/startup');
  t.strictSame(control.calls, []);
});

t.test('numbers and booleans may be strings, as many clients of WCS send them', async (t) => {
  const answer = await post('startup', {
    ...START,
    width: '640',
    height: ' 360 ',
    fps: '0',
    keyFrameInterval: '60',
    rtmpTransponderFullUrl: 'True',
    options: { action: 'sound_on', soundFile: 'a.wav', loop: 'true' },
  });
  t.equal(answer.statusCode, 200, answer.body);
  t.strictSame(control.calls.at(-1), [
    'start',
    {
      ...START,
      width: 640,
      height: 360,
      keyFrameInterval: 60,
      rtmpTransponderFullUrl: true,
      options: { action: 'sound_on', soundFile: 'a.wav', loop: true },
    },
  ]);
  const { mediaSessionId } = answer.json();
  await post('sound_on', { mediaSessionId, soundFile: 'a.wav', loop: 'false' });
  t.strictSame(control.calls.at(-1), ['soundOn', mediaSessionId, 'a.wav', false]);
});

t.test('unknown fields are ignored and named in a header and in the log', async (t) => {
  const lines: [object, string][] = [];
  const logger = {
    ...silentLogger,
    debug() {},
    warn: (fields: object, text: string) => void lines.push([fields, text]),
  };
  const logging = await createHttpApp(
    { cors_origins: 'http://a.example' },
    { logger: logger as unknown as typeof silentLogger },
  );
  t.teardown(() => logging.app.close());
  const send = (payload: object) =>
    logging.http.inject({
      method: 'POST',
      url: '/rest-api/push/startup',
      payload,
      headers: { origin: 'http://a.example' },
    });

  const request = { ...START, rtmpURL: 'geheim', options: { action: 'mute', volume: 5 }, nodeId: null };
  for (let i = 0; i < 2; i++) {
    const answer = await send(request);
    t.equal(answer.statusCode, 200, answer.body);
    t.equal(answer.headers['x-ignored-fields'], 'rtmpURL, options.volume');
  }
  t.strictSame(logging.control.calls.at(-1), ['start', { ...START, options: { action: 'mute' } }]);
  t.strictSame(
    lines,
    [
      [
        { route: '/rest-api/push/startup', fields: ['rtmpURL', 'options.volume'] },
        'ignored fields that this method does not know',
      ],
    ],
    'logged once, without values',
  );

  const many = await send({
    ...START,
    'a\r\nSet-Cookie: x': 1,
    ['n'.repeat(100)]: 1,
    ...Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`f${i}`, 1])),
  });
  const names = String(many.headers['x-ignored-fields']).split(', ');
  t.strictSame(names.slice(0, 2), ['a??Set-Cookie??x', 'n'.repeat(64)], 'sanitised');
  t.equal(names.length, 11, 'bounded');
  t.equal(names.at(-1), '...');
  t.equal((await send(START)).headers['x-ignored-fields'], undefined);
  const shared = await createHttpApp({ cors_origins: 'http://a.example' });
  t.teardown(() => shared.app.close());
  const answer = await shared.http.inject({ url: '/health', headers: { origin: 'http://a.example' } });
  t.match(answer.headers['access-control-expose-headers'], /X-Ignored-Fields/, 'pages can read it');
});

t.test("other parts of WCS's REST interface are 501, and typos are 404", async (t) => {
  const client = readFileSync(OFFICIAL_CLIENT, 'utf8');
  const paths = [...client.matchAll(/_PATH = "(\/rest-api\/\w+)"/g)].map(([, path]) => path!);
  t.ok(paths.length >= 9, 'the paths of the official client');
  const present = ['push', 'stream', 'connection', 'call'].map((part) => `/rest-api/${part}`);
  for (const path of paths.filter((path) => !present.includes(path)))
    for (const method of ['GET', 'POST', 'DELETE'] as const)
      for (const url of [path, `${path}/find_all`, `${path}/inject_stream/startup`]) {
        const answer = await http.inject({ method, url, payload: 'a=1', headers: { 'content-type': 'text/plain' } });
        isError(t, answer, 501, 'NOT_IMPLEMENTED', new RegExp(`does not implement .*\\(${path}\\)`), url);
      }
  isError(t, await http.inject('/?action=other'), 404, 'ROUTE_NOT_FOUND');
  for (const url of ['/rest-api/streem/find', '/rest-api/pushh/find', '/rest-api/streams'])
    isError(t, await http.inject({ method: 'POST', url }), 404, 'ROUTE_NOT_FOUND');
});

t.test('errors of the engine have the status of the error table', async (t) => {
  const cases: [ErrorCode, number][] = [
    ['INVALID_RTMP_URL', 400],
    ['DESTINATION_NOT_RESOLVED', 400],
    ['DESTINATION_FORBIDDEN', 400],
    ['TRANSCODING_DISABLED', 400],
    ['STREAM_NOT_FOUND', 404],
    ['TRANSPONDER_EXISTS', 409],
    ['LIMIT_REACHED', 503],
  ];
  for (const [code, status] of cases) {
    control.fail = new GatewayError(code, 'what to do');
    const answer = await post('startup', START);
    isError(t, answer, status, code, /what to do/);
    t.equal(answer.headers['retry-after'], status === 503 ? '5' : undefined);
  }
  control.fail = new Error('geheim at /etc/passwd');
  isError(t, await post('startup', START), 500, 'INTERNAL', /log says why/);
});

t.test('find filters by any field, and answers 404 without a match', async (t) => {
  isError(t, await post('find', { streamName: 'cam' }), 404, 'TRANSPONDER_NOT_FOUND');
  const { mediaSessionId } = (await post('startup', START)).json();
  for (const filter of [
    {},
    { streamName: 'cam' },
    { streamName: 'rtmp_cam' },
    { rtmpUrl: START.rtmpUrl },
    { mediaSessionId },
    { streamName: 'cam', rtmpUrl: START.rtmpUrl, mediaSessionId: null },
  ]) {
    const answer = await post('find', filter);
    t.equal(answer.statusCode, 200);
    t.match(answer.json(), [{ mediaSessionId, rtmpUrl: START.rtmpUrl }]);
  }
  const longest = (await post('startup', { ...START, streamName: 'n'.repeat(256) })).json();
  t.match(
    (await post('find', { streamName: longest.streamName })).json(),
    [longest],
    'a published name is longer than that of its source',
  );
  isError(t, await post('find', { streamName: 'other' }), 404, 'TRANSPONDER_NOT_FOUND');
  isError(t, await post('find', { streamName: 5 }), 400, 'INVALID_REQUEST', /streamName/);
  control.fail = new Error('boom');
  isError(t, await post('find', {}), 500, 'INTERNAL');
});

t.test('find and find_all need no body', async (t) => {
  const url = '/rest-api/push/find_all';
  isError(t, await http.inject({ method: 'POST', url }), 404, 'TRANSPONDER_NOT_FOUND');
  await post('startup', START);
  const requests = [
    { method: 'GET', url },
    { method: 'POST', url, headers: { 'content-length': '0' } },
    { method: 'POST', url, headers: { 'content-length': '0', 'content-type': 'application/json' } },
    { method: 'POST', url, payload: {} },
    { method: 'POST', url: '/rest-api/push/find', headers: { 'content-length': '0' } },
    { method: 'POST', url: '/rest-api//push/find_all/' },
    // curl -d '', and fetch with an empty text.
    ...['application/x-www-form-urlencoded', 'text/plain;charset=UTF-8'].map(
      (type) => ({ method: 'POST', url, headers: { 'content-length': '0', 'content-type': type } }) as const,
    ),
  ] as const;
  for (const request of requests) {
    const answer = await http.inject({ ...request });
    t.equal(answer.statusCode, 200, `${request.method} ${request.url}`);
    t.equal(answer.json().length, 1);
  }
});

t.test('void is 200 with an empty body', async (t) => {
  const { mediaSessionId } = (await post('startup', START)).json();
  const sound = { mediaSessionId, soundFile: 'test.wav', loop: true };
  for (const [method, body, call] of [
    ['mute', { mediaSessionId }, ['mute', mediaSessionId]],
    ['unmute', { mediaSessionId }, ['unmute', mediaSessionId]],
    ['sound_on', sound, ['soundOn', mediaSessionId, 'test.wav', true]],
    ['sound_on', { ...sound, loop: undefined }, ['soundOn', mediaSessionId, 'test.wav', false]],
    ['sound_off', { mediaSessionId }, ['soundOff', mediaSessionId]],
    ['standby', { mediaSessionId, on: 'true' }, ['standby', mediaSessionId, true, {}]],
    ['standby', { mediaSessionId, text: '' }, ['standby', mediaSessionId, undefined, { text: '' }]],
    [
      'standby',
      { mediaSessionId, on: false, source: 'image', file: 'a.png', color: '#AABBCC', text: 'Pause' },
      ['standby', mediaSessionId, false, { source: 'image', file: 'a.png', color: '#AABBCC', text: 'Pause' }],
    ],
    ['terminate', { mediaSessionId }, ['terminate', mediaSessionId]],
  ] as const) {
    const answer = await post(method, body);
    t.equal(answer.statusCode, 200, answer.body);
    t.equal(answer.body, '');
    t.equal(answer.headers['content-length'], '0');
    t.strictSame(control.calls.at(-1), call);
  }
});

t.test('400, 404 and 500 of the methods that take a mediaSessionId', async (t) => {
  for (const method of ['terminate', 'mute', 'unmute', 'sound_on', 'sound_off', 'standby']) {
    const body = { mediaSessionId: 'none', ...(method === 'sound_on' && { soundFile: 'a.wav' }) };
    isError(t, await post(method, {}), 400, 'INVALID_REQUEST', /mediaSessionId is missing/);
    isError(t, await post(method, { ...body, mediaSessionId: 7 }), 400, 'INVALID_REQUEST', /mediaSessionId must be/);
    isError(
      t,
      await http.inject({ method: 'POST', url: `/rest-api/push/${method}` }),
      400,
      'INVALID_REQUEST',
      /missing/,
    );
    isError(t, await post(method, body), 404, 'TRANSPONDER_NOT_FOUND');
    control.fail = new TypeError('boom');
    isError(t, await post(method, body), 500, 'INTERNAL');
  }
  control.fail = new GatewayError('SOUND_FILE_NOT_FOUND', 'No such file.');
  isError(
    t,
    await post('sound_on', { mediaSessionId: 'x', soundFile: '../../etc/passwd' }),
    404,
    'SOUND_FILE_NOT_FOUND',
  );
  isError(
    t,
    await post('sound_on', { mediaSessionId: 'x', soundFile: 'a', loop: 'often' }),
    400,
    'INVALID_REQUEST',
    /loop must be true or false\./,
  );
  isError(t, await post('sound_on', { mediaSessionId: 'x' }), 400, 'INVALID_REQUEST', /soundFile is missing/);
});

t.test('bodies that are not JSON', async (t) => {
  isError(
    t,
    await postText('startup', '{"streamName": "cam", "rtmpUrl": "rtmp://x/geheim",}'),
    400,
    'INVALID_REQUEST',
    /not valid JSON: there is a mistake at position 51/,
  );
  isError(t, await postText('startup', '{"streamName": geheim'), 400, 'INVALID_REQUEST', /not valid JSON/);
  isError(t, await postText('startup', '{'), 400, 'INVALID_REQUEST', /not valid JSON/);
  isError(t, await postText('startup', '[1]'), 400, 'INVALID_REQUEST', /JSON object/);
  isError(t, await postText('startup', '7'), 400, 'INVALID_REQUEST', /JSON object/);
  t.equal((await postText('find', '{"__proto__": {"a": 1}}')).headers['x-ignored-fields'], '__proto__');
  t.equal((await postText('find', '{"constructor": 1}')).headers['x-ignored-fields'], 'constructor');
  isError(t, await postText('startup', '['.repeat(60_000)), 400, 'INVALID_REQUEST');
  isError(
    t,
    await postText('startup', JSON.stringify(START), 'application/x-www-form-urlencoded'),
    415,
    'UNSUPPORTED_MEDIA_TYPE',
    /Content-Type: application\/json/,
  );
  isError(t, await postText('startup', JSON.stringify(START), 'text/plain'), 415, 'UNSUPPORTED_MEDIA_TYPE');
  isError(t, await postText('startup', JSON.stringify(START), 'nonsense'), 415, 'UNSUPPORTED_MEDIA_TYPE');
  isError(t, await postText('startup', `{"streamName":"${'x'.repeat(70_000)}"}`), 413, 'BODY_TOO_LARGE');
  isError(
    t,
    await http.inject({
      method: 'POST',
      url: '/rest-api/push/startup',
      payload: Buffer.from([0x22, 0xff, 0x22]),
      headers: { 'content-type': 'application/json' },
    }),
    400,
    'INVALID_REQUEST',
    /UTF-8/,
  );
  for (const type of ['application/json; charset=utf-8', 'application/json;charset=UTF-8', 'Application/JSON'])
    t.equal((await postText('startup', JSON.stringify(START), type)).statusCode, 200, type);
  t.equal((await postText('startup', `\uFEFF${JSON.stringify(START)}`)).statusCode, 200, 'a byte order mark');
});

t.test('unknown routes and wrong methods', async (t) => {
  isError(
    t,
    await http.inject('/rest-api/push/startup'),
    405,
    'METHOD_NOT_ALLOWED',
    /POST, not GET/,
    '/rest-api/push/startup',
  );
  isError(
    t,
    await http.inject('/rest-api/push/find/?token=geheim'),
    405,
    'METHOD_NOT_ALLOWED',
    /POST/,
    '/rest-api/push/find/',
  );
  const refused = await http.inject({ method: 'DELETE', url: '/rest-api/push/find_all' });
  isError(t, refused, 405, 'METHOD_NOT_ALLOWED', /GET or POST/);
  t.equal(refused.headers.allow, 'GET, POST');
  isError(t, await http.inject({ method: 'POST', url: '/health' }), 405, 'METHOD_NOT_ALLOWED');
  isError(t, await http.inject('/rest-api/push/nothing'), 404, 'ROUTE_NOT_FOUND');
  isError(t, await http.inject('/nothing?key=geheim'), 404, 'ROUTE_NOT_FOUND', undefined, '/nothing');
  isError(t, await http.inject('/%zz'), 400, 'INVALID_REQUEST');
  isError(t, await http.inject('/rest-api/push/%00'), 404, 'ROUTE_NOT_FOUND');
});

t.test('no body makes the gateway fail', async () => {
  const field = fc.oneof(
    fc.constantFrom(
      'streamName',
      'rtmpUrl',
      'width',
      'height',
      'fps',
      'keyFrameInterval',
      'rtmpFlashVersion',
      'rtmpTransponderFullUrl',
      'options',
      'mediaSessionId',
      'soundFile',
      'loop',
      'action',
    ),
    fc.string(),
  );
  const body = fc.oneof(
    fc.json(),
    fc.string(),
    fc
      .dictionary(field, fc.oneof(fc.jsonValue(), fc.dictionary(field, fc.jsonValue())))
      .map((value) => JSON.stringify(value)),
  );
  const method = fc.constantFrom(
    'startup',
    'find',
    'find_all',
    'terminate',
    'mute',
    'unmute',
    'sound_on',
    'sound_off',
    'standby',
  );
  await fc.assert(
    fc.asyncProperty(method, body, async (name, payload) => {
      const { statusCode } = await postText(name, payload);
      return statusCode === 200 || (statusCode >= 400 && statusCode < 500);
    }),
    { numRuns: 300 },
  );
});

t.test('standby of a request: the settings supply what it leaves open', async (t) => {
  const defaults = {
    freezeMs: 2000,
    source: 'color',
    color: '#000000',
    holdMs: 600_000,
    startWithStandby: false,
  };
  for (const [standby, expected] of [
    [undefined, undefined],
    [null, undefined],
    [false, false],
    ['FALSE', false],
    [true, defaults],
    ['true', defaults],
    [{}, defaults],
    [
      { freezeMs: '0', holdMs: 0, startWithStandby: 'true' },
      { ...defaults, freezeMs: 0, holdMs: 0, startWithStandby: true },
    ],
    [
      { source: 'video', file: 'a.mp4', text: null },
      { ...defaults, source: 'video', file: 'a.mp4' },
    ],
  ] as const) {
    const answer = await post('startup', { ...START, standby });
    t.equal(answer.statusCode, 200, answer.body);
    const [method, request] = control.calls.at(-1)!;
    t.equal(method, 'start');
    t.strictSame((request as { standby?: unknown }).standby, expected, JSON.stringify(standby));
  }
  for (const [standby, message] of [
    ['on', /standby must be true, false, or an object/],
    [[], /standby must be true, false, or an object/],
    [7, /standby must be/],
    [{ freezeMs: -1 }, /freezeMs must be a whole number of milliseconds/],
    [{ holdMs: 1.5 }, /holdMs must be/],
    [{ source: 'gif' }, /source must be "color"/],
    [{ color: 'red' }, /color must be a colour such as/],
    [{ text: 'a\u0000b' }, /text must be a string of/],
    [{ text: 'x'.repeat(201) }, /text must be/],
    [{ file: '' }, /file must be the name of a file/],
    [{ startWithStandby: 'maybe' }, /startWithStandby must be true or false/],
  ] as const)
    isError(t, await post('startup', { ...START, standby }), 400, 'INVALID_REQUEST', message);
  const ignored = await post('startup', { ...START, standby: { volume: 3 } });
  t.equal(ignored.headers['x-ignored-fields'], 'standby.volume');
  isError(t, await post('standby', { mediaSessionId: 'x', color: 'red' }), 400, 'INVALID_REQUEST', /color must be/);
});
