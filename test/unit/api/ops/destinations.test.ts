import type { FastifyInstance, InjectOptions } from 'fastify';
import t from 'tap';
import { GatewayError } from '../../../../src/errors.ts';
import { verdict } from '../../../../src/outputs/push/platforms/verdict.ts';
import { startGroupsOnPublish } from '../../../../src/outputs/push/saved/saved-pushes.ts';
import { matchesName } from '../../../../src/access/rights.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { createHttpApp, destinationParts } from '../../../helpers/http-app.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { FakeTransponders } from '../../../helpers/fake-transponders.ts';
import { SettingsSchema } from '../../../../src/config/schema.ts';
import { StreamRegistry } from '../../../../src/streams/stream-registry.ts';
import { SignJWT } from 'jose';

const KEY = 'abcd-efgh-ijkl-mnop-wxyz';
const YOUTUBE = { name: 'Our YouTube', platform: 'youtube', streamKey: KEY };
const ARCHIVE = { name: 'Archive', rtmpUrl: 'rtmp://archive.example/live/secret-part', standby: true };

const call =
  (http: FastifyInstance, headers: Record<string, string> = {}) =>
  async (method: string, url: string, payload?: object) => {
    const answer = await http.inject({
      method: method as 'GET',
      url,
      headers,
      ...(payload && { payload }),
    } as InjectOptions);
    return {
      status: answer.statusCode,
      body: answer.body === '' ? undefined : answer.json(),
      text: answer.body,
    };
  };

t.test('destinations are saved, changed and removed, and their keys are never shown', async (t) => {
  const { app, http } = await createHttpApp();
  t.teardown(() => app.close());
  const send = call(http);
  const created = await send('POST', '/api/v1/destinations', YOUTUBE);
  t.equal(created.status, 201);
  t.match(created.body, {
    id: 'our-youtube',
    name: 'Our YouTube',
    platform: 'youtube',
    keyHint: '…wxyz',
    destination: /^rtmps?:\/\/[^/]+\/live2\/\*\*\*$/,
    groups: [],
  });
  t.match(await send('POST', '/api/v1/destinations', YOUTUBE), { status: 201, body: { id: 'our-youtube-2' } });
  t.match(await send('POST', '/api/v1/destinations', { ...YOUTUBE, id: 'our-youtube' }), {
    status: 409,
    body: { exception: 'SAVED_DESTINATION_EXISTS' },
  });
  t.match(await send('POST', '/api/v1/destinations', { ...ARCHIVE, name: 'Архив' }), { body: { id: 'destination' } });
  for (const answer of [
    created,
    await send('GET', '/api/v1/destinations'),
    await send('GET', '/api/v1/destinations/our-youtube'),
  ]) {
    t.notMatch(answer.text, KEY);
    t.notMatch(answer.text, 'secret-part');
  }

  t.test('a change keeps the key, except for another server', async (t) => {
    t.match(await send('PATCH', '/api/v1/destinations/our-youtube', { name: 'Main', comply: 'auto' }), {
      status: 200,
      body: { id: 'our-youtube', name: 'Main', comply: 'auto', keyHint: '…wxyz' },
    });
    const { body } = await send('PATCH', '/api/v1/destinations/our-youtube', { comply: null });
    t.notOk('comply' in body);
    t.match(await send('PATCH', '/api/v1/destinations/our-youtube', { platform: 'twitch' }), {
      status: 400,
      body: { message: /streamKey is missing/ },
    });
    t.match(await send('PATCH', '/api/v1/destinations/our-youtube', { rtmpUrl: 'rtmp://other.example/app' }), {
      body: { destination: 'rtmp://other.example/app', platform: undefined, keyHint: undefined },
    });
  });
  t.test('what is wrong is named', async (t) => {
    for (const [body, message] of [
      [{ name: 'x' }, /rtmpUrl is missing/],
      [{ ...YOUTUBE, name: '' }, /name must be/],
      [{ ...YOUTUBE, platform: 'nowhere' }, /platform "nowhere" is not known/],
      [{ ...YOUTUBE, id: 'Not An Id' }, /id must be/],
      [{ ...YOUTUBE, rtmpUrl: 'rtmp://a/b' }, /rtmpUrl must not be sent together with platform/],
    ] as const)
      t.match(await send('POST', '/api/v1/destinations', body), { status: 400, body: { message } });
    t.match(await send('GET', '/api/v1/destinations/nothing'), {
      status: 404,
      body: { exception: 'SAVED_DESTINATION_NOT_FOUND' },
    });
    t.match(await send('GET', '/api/v1/destinations/%2e%2e'), { status: 404 });
  });
});

t.test('a group starts, checks and ends all its destinations', async (t) => {
  const { app, http, control } = await createHttpApp();
  t.teardown(() => app.close());
  const send = call(http);
  await send('POST', '/api/v1/destinations', YOUTUBE);
  await send('POST', '/api/v1/destinations', ARCHIVE);
  t.match(
    await send('POST', '/api/v1/destination-groups', {
      name: 'Sunday service',
      destinationIds: ['our-youtube', 'none'],
    }),
    {
      status: 404,
      body: { exception: 'SAVED_DESTINATION_NOT_FOUND' },
    },
  );
  const group = await send('POST', '/api/v1/destination-groups', {
    name: 'Sunday service',
    destinationIds: ['our-youtube', 'archive'],
  });
  t.match(group, { status: 201, body: { id: 'sunday-service', onPublish: [] } });
  t.match(await send('DELETE', '/api/v1/destinations/archive'), { status: 409, body: { message: /"Sunday service"/ } });

  const order = { streamName: 'cam', groupId: 'sunday-service' };
  t.match(await send('POST', '/rest-api/push/check', order), {
    status: 200,
    body: [
      { destinationId: 'our-youtube', level: 'ok', verdicts: [{ check: 'stream' }] },
      { destinationId: 'archive', level: 'ok' },
    ],
  });
  const started = await send('POST', '/rest-api/push/startup', order);
  t.match(started, {
    status: 200,
    body: [
      { destinationId: 'our-youtube', status: 'started', push: { groupId: 'sunday-service', sourceStreamName: 'cam' } },
      { destinationId: 'archive', status: 'started' },
    ],
  });
  t.notMatch(started.text, KEY, 'keys are not in the answer');
  t.notMatch((await send('GET', '/rest-api/push/find_all')).text, KEY, 'nor in the list of pushes');
  t.ok(
    control.calls.some(([what, request]) => what === 'start' && JSON.stringify(request).includes(KEY)),
    'but in the push',
  );
  t.match((await send('POST', '/rest-api/push/startup', order)).body, [{ status: 'running' }, { status: 'running' }]);
  t.match(await send('POST', '/rest-api/push/terminate', { groupId: 'sunday-service' }), { status: 400 });
  t.equal((await send('POST', '/rest-api/push/terminate', order)).status, 200);
  t.equal(control.views.size, 0);
  t.equal((await send('POST', '/rest-api/push/terminate', order)).status, 404);
});

t.test('destinations whose check fails are not started; the others are', async (t) => {
  const control = new FakeTransponders();
  const { app, http } = await createHttpApp({}, { control });
  t.teardown(() => app.close());
  const send = call(http);
  await send('POST', '/api/v1/destinations', YOUTUBE);
  await send('POST', '/api/v1/destinations', ARCHIVE);
  await send('POST', '/api/v1/destination-groups', { name: 'all', destinationIds: ['our-youtube', 'archive'] });
  control.check = async ({ rtmpUrl }) => [
    rtmpUrl.includes('archive')
      ? verdict('tcp', 'error', 'connection refused', { remedy: 'Start the server.' })
      : verdict('stream', 'ok', 'fine'),
  ];
  const order = { streamName: 'cam', groupId: 'all' };
  t.match((await send('POST', '/rest-api/push/startup', order)).body, [
    { status: 'started' },
    { status: 'refused', code: 'CHECK_FAILED', reason: /connection refused.*Start the server/ },
  ]);
  t.match((await send('POST', '/rest-api/push/startup', { ...order, check: false })).body, [
    { status: 'running' },
    { status: 'started' },
  ]);
  control.check = async () => Promise.reject(new GatewayError('LIMIT_REACHED', 'too many'));
  t.match((await send('POST', '/rest-api/push/check', { ...order, streamName: 'b' })).body, [
    { level: 'warning' },
    { level: 'warning' },
  ]);
  control.start = async () => Promise.reject(new GatewayError('STREAM_NOT_FOUND', 'Stream not found.'));
  t.match(await send('POST', '/rest-api/push/startup', { ...order, streamName: 'b' }), {
    status: 404,
    body: { exception: 'STREAM_NOT_FOUND', message: /Our YouTube: Stream not found\. Archive:/ },
  });
});

t.test('one saved destination is pushed to, with changes', async (t) => {
  const { app, http, control } = await createHttpApp();
  t.teardown(() => app.close());
  const send = call(http);
  await send('POST', '/api/v1/destinations', ARCHIVE);
  t.match(
    await send('POST', '/rest-api/push/startup', {
      streamName: 'cam',
      destinationId: 'archive',
      height: '480',
      standby: false,
    }),
    {
      status: 200,
      body: { destinationId: 'archive', rtmpUrl: 'rtmp://example.com/live' },
    },
  );
  t.match(control.calls.at(-1), [
    'start',
    { rtmpUrl: ARCHIVE.rtmpUrl, height: 480, standby: false, destinationId: 'archive' },
  ]);
  for (const more of [
    { rtmpUrl: 'rtmp://a/b' },
    { streamKey: 'x' },
    { backupUrl: 'rtmp://a/b' },
    { groupId: 'g' },
    { check: true },
  ])
    t.equal(
      (await send('POST', '/rest-api/push/startup', { streamName: 'cam', destinationId: 'archive', ...more })).status,
      400,
    );
});

t.test('clients that are limited to certain streams use what allows their stream', async (t) => {
  const secret = 'x'.repeat(32);
  const { app, http } = await createHttpApp({ jwt_secret: secret, rest_api_key: 'operator' });
  t.teardown(() => app.close());
  const operator = call(http, { 'x-api-key': 'operator' });
  await operator('POST', '/api/v1/destinations', YOUTUBE);
  await operator('POST', '/api/v1/destinations', { ...ARCHIVE, allowStreams: ['cam*'] });
  const token = await new SignJWT({ act: ['push', 'read', 'publish'], streams: ['cam1'] })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('cam1')
    .setExpirationTime('1h')
    .sign(Buffer.from(secret));
  const page = call(http, { authorization: `Bearer ${token}` });
  t.strictSame(
    (await page('GET', '/api/v1/destinations')).body.map(({ id }: { id: string }) => id),
    ['archive'],
  );
  t.equal((await page('GET', '/api/v1/destinations/our-youtube')).status, 403);
  t.equal((await page('POST', '/api/v1/destinations', YOUTUBE)).status, 403);
  t.equal((await page('DELETE', '/api/v1/destinations/archive')).status, 403);
  t.equal((await page('POST', '/rest-api/push/startup', { streamName: 'cam1', destinationId: 'archive' })).status, 200);
  t.match(await page('POST', '/rest-api/push/startup', { streamName: 'cam1', destinationId: 'our-youtube' }), {
    status: 403,
    body: { message: /"Our YouTube" does not allow this one/ },
  });
});

t.test('a stream that is tied to a group goes live whenever it is published', async (t) => {
  const control = new FakeTransponders();
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
  const { saved, savedPushes } = destinationParts(SettingsSchema.parse({}), control);
  const order = { rtmpUrl: 'rtmp://archive.example/live' };
  const { id } = await saved.create({ name: 'Archive', allowStreams: [], order });
  await saved.createGroup({ name: 'Service', destinationIds: [id], onPublish: ['service-*'] });
  const stop = startGroupsOnPublish({
    registry,
    saved,
    pushes: savedPushes,
    control,
    matches: matchesName,
    logger: silentLogger,
  });
  t.teardown(stop);
  registry.publish('other', { id: 'p', close() {} });
  registry.publish('service-1', { id: 'p', close() {} });
  await waitFor('the push', () => control.views.size === 1);
  t.match([...control.views.values()], [{ sourceStreamName: 'service-1', destinationId: id, groupId: 'service' }]);
  control.start = async () => Promise.reject(new GatewayError('LIMIT_REACHED', 'too many'));
  registry.publish('service-2', { id: 'p', close() {} });
  await waitFor('the refusal', () =>
    control.calls.some(([what, , code]) => what === 'refuse' && code === 'LIMIT_REACHED'),
  );
});
