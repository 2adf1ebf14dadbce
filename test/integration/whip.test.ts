import { request as httpRequest } from 'node:http';
import fc from 'fast-check';
import t from 'tap';
import { SettingsSchema } from '../../src/config/schema.ts';
import { createAuthorizer } from '../../src/access/create-authorizer.ts';
import { HttpApp } from '../../src/api/app.ts';
import { ClientSessions } from '../../src/sessions/client-sessions.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { StreamRegistry } from '../../src/streams/stream-registry.ts';
import { LiveFeed } from '../../src/api/live/live-feed.ts';
import { createIdleRecorders, destinationParts } from '../helpers/http-app.ts';
import { startChromium } from '../helpers/chromium.ts';
import { FakeTransponders } from '../helpers/fake-transponders.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';
import { waitFor } from '../helpers/wait.ts';
import { startWhipPageServer, WhipPage } from '../helpers/whip-page.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { WorkerPool } = await import('../../src/webrtc/worker-pool.ts');
const { whipRoutes } = await import('../../src/api/whip/whip-routes.ts');
const { whepRoutes } = await import('../../src/api/whep/whep-routes.ts');
const { createPublishing } = await import('../helpers/publishing.ts');

t.setTimeout(120_000);

const ORIGIN = 'https://studio.example';
const SDP = 'application/sdp';
const FRAGMENT = 'application/trickle-ice-sdpfrag';
const MAX_STREAMS = 8;

const control = new FakeTransponders();
const registry = new StreamRegistry({ resumeWindowMs: 60_000, maxStreams: MAX_STREAMS });
const [pool, browser, pages] = await Promise.all([
  WorkerPool.create({
    workers: 1,
    rtcPort: 0,
    addresses: () => [{ ip: '127.0.0.1' }],
    logger: silentLogger,
  }),
  startChromium(),
  startWhipPageServer(),
]);
const apps: HttpApp[] = [];
t.teardown(async () => {
  await browser.close();
  await pages.close();
  for (const app of apps) await app.close();
  await pool.close();
});

const sessions = new ClientSessions();

/** An HTTP listener on its own port; all of them share streams and workers. */
async function listen(values: Record<string, string> = {}): Promise<string> {
  const settings = SettingsSchema.parse({
    'http.port': '0',
    cors_origins: `${ORIGIN},${new URL(pages.url).origin}`,
    ice_servers: 'stun:stun.example:3478, turn:turn.example:3478?transport=udp alice secret',
    ...values,
  });
  const authorizer = createAuthorizer(settings, silentLogger);
  const { publications, players } = createPublishing(
    { pool, registry, pushes: control },
    { maxPlayers: settings.max_players },
  );
  const routes = [
    whipRoutes({ settings, authorizer, publications, sessions, logger: silentLogger }),
    whepRoutes({ settings, authorizer, players, sessions, logger: silentLogger }),
  ];
  const recorders = await createIdleRecorders(settings, registry, new Metrics());
  const app = await HttpApp.create({
    ...destinationParts(settings, control),
    settings,
    authorizer,
    control,
    registry,
    sessions,
    takeSnapshot: () => Promise.reject(new Error('unused')),
    metrics: new Metrics(),
    recorders,
    feed: new LiveFeed({ registry, control, sessions, recorders, streamNamePrefix: 'rtmp_' }),
    logger: silentLogger,
    workers: () => ({ alive: 1, wanted: 1 }),
    drain: { draining: false, begin: () => undefined },
    routes,
  });
  apps.push(app);
  return `http://127.0.0.1:${(await app.listen()).http}`;
}
const base = await listen();
const guarded = await listen({ rest_api_key: 'k3y' });

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}
async function send(
  method: string,
  url: string,
  { type, body, headers = {} }: { type?: string; body?: string | Buffer; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { ...(type && { 'content-type': type }), ...headers },
    ...(body !== undefined && { body }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}
/** A preflight as browsers send it; fetch does not allow that. */
function preflight(
  url: string,
  method: string,
): Promise<{ status: number; headers: Record<string, string | string[] | undefined> }> {
  return new Promise((resolve, reject) => {
    const headers = {
      origin: ORIGIN,
      'access-control-request-method': method,
      'access-control-request-headers': 'authorization,content-type,if-match',
    };
    httpRequest(url, { method: 'OPTIONS', headers }, (response) =>
      response.resume().once('end', () => resolve({ status: response.statusCode!, headers: response.headers })),
    )
      .once('error', reject)
      .end();
  });
}

const page = await WhipPage.open(browser, pages);
const OFFER = await page.offer();
const post = (url: string, body: string = OFFER, headers: Record<string, string> = {}): Promise<Answer> =>
  send('POST', url, { type: SDP, body, headers });
const credentials = (offer: string): string =>
  offer
    .match(/^a=ice-(ufrag|pwd):.*\r\n/gm)!
    .slice(0, 2)
    .join('');
const NEW_ICE = 'a=ice-ufrag:newu\r\na=ice-pwd:newpwdnewpwdnewpwdnewp\r\n';
const CANDIDATE =
  'm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=candidate:2 1 xyz 1 no-such-host.invalid 9 typ relay\r\na=end-of-candidates\r\n';

t.test('POST, as RFC 9725 requires', async (t) => {
  const { status, headers, text } = await post(`${base}/whip/cam%20one`);
  t.equal(status, 201);
  t.equal(headers.get('content-type'), SDP);
  t.match(headers.get('location'), /^\/whip\/cam%20one\/[\da-f-]{36}$/);
  t.match(headers.get('etag'), /^"[\w-]{16}"$/, 'a strong entity tag');
  t.equal(
    headers.get('link'),
    '<stun:stun.example:3478>; rel="ice-server", <turn:turn.example:3478?transport=udp>; rel="ice-server"; username="alice"; credential="secret"; credential-type="password"',
  );
  t.equal(text.match(/^m=/gm)!.length, 2);
  t.equal(text.match(/^a=recvonly\r$/gm)!.length, 2);
  t.equal(text.match(/^a=rtcp-mux-only\r$/gm)!.length, 2);
  t.match(text, /^a=group:BUNDLE 0 1\r$/m);
  t.match(text, /^a=candidate:.* udp .* typ host\r$/m, 'all candidates at once');
  t.match(text, /^a=end-of-candidates\r$/m);
  t.match(text, /^a=ice-lite\r$/m);

  const resource = base + headers.get('location')!;
  for (const url of [`${base}/whip/cam%20one`, resource]) {
    for (const method of ['GET', 'HEAD'])
      t.match(await send(method, url), { status: 204, text: '' }, `${method} is an empty success`);
    for (const method of ['PUT', url === resource ? 'POST' : 'PATCH', ...(url === resource ? [] : ['DELETE'])]) {
      const refused = await send(method, url, { type: SDP, body: OFFER });
      t.equal(refused.status, 405);
      t.match(refused.headers.get('allow'), url === resource ? /PATCH, DELETE/ : /POST/);
    }
  }
  t.equal((await post(`${base}/whip/cam%20one`)).status, 409, 'the name is reserved at once');
  t.match(
    await send('DELETE', resource, { headers: { 'if-match': '"stale"' } }),
    { status: 200, text: '' },
    'DELETE ignores entity tags',
  );
  for (const method of ['DELETE', 'GET', 'PATCH']) t.equal((await send(method, resource)).status, 404);
  t.equal((await send('DELETE', `${base}/whip/other/${resource.split('/').at(-1)}`)).status, 404);
  const again = await post(`${base}/whip/cam%20one`);
  t.equal(again.status, 201, 'the name is free again');
  await send('DELETE', base + again.headers.get('location'));
});

t.test('H.264 with packetization mode 0, or without parameters', async (t) => {
  for (const [offer, format] of [
    [OFFER.replaceAll('packetization-mode=1', 'packetization-mode=0'), /;packetization-mode=0;/],
    [OFFER.replace(/^a=fmtp:\d+ .*profile-level-id=.*\r\n/gm, ''), /^a=fmtp:\d+ x-google-start-bitrate=\d+\r$/m],
  ] as const) {
    const { status, headers, text } = await post(`${base}/whip/whole`, offer);
    t.equal(status, 201, text);
    t.match(text, / H264\/90000\r\n/);
    t.match(text, format, 'as offered');
    await send('DELETE', base + headers.get('location'));
  }
});

t.test('OPTIONS, with CORS and without', async (t) => {
  const { headers: created } = await post(`${base}/whip/options`, OFFER, { origin: ORIGIN });
  t.equal(created.get('access-control-allow-origin'), ORIGIN);
  t.match(created.get('access-control-expose-headers'), /^(?=.*Location)(?=.*ETag)(?=.*Link)/);
  const endpoint = await send('OPTIONS', `${base}/whip/options`);
  t.equal(endpoint.status, 200);
  t.equal(endpoint.headers.get('accept-post'), SDP);
  t.match(endpoint.headers.get('link'), /stun:stun\.example/);
  t.match(endpoint.headers.get('access-control-allow-methods'), /POST/);
  const resource = await send('OPTIONS', base + created.get('location'));
  t.equal(resource.headers.get('accept-patch'), FRAGMENT);
  await send('DELETE', base + created.get('location'));

  for (const [path, methods] of [
    ['/whip/options', ['POST', 'OPTIONS']],
    [created.get('location')!, ['PATCH', 'DELETE']],
  ] as const) {
    // A preflight carries no key and must not need one.
    const { status, headers } = await preflight(guarded + path, methods[0]);
    t.equal(status, 200);
    t.equal(headers['access-control-allow-origin'], ORIGIN);
    for (const method of methods) t.match(headers['access-control-allow-methods'], method);
    t.match(headers['access-control-allow-headers'], /authorization.*if-match/);
    t.notOk(headers['link'], 'the credentials of TURN are only for clients with the key');
  }
});

t.test('PATCH: candidates, ICE restarts, preconditions', async (t) => {
  const created = await post(`${base}/whip/patched`);
  const resource = base + created.headers.get('location');
  const etag = created.headers.get('etag')!;
  const patch = (body: string, headers: Record<string, string> = {}, type = FRAGMENT): Promise<Answer> =>
    send('PATCH', resource, { type, body, headers });
  const trickle = credentials(OFFER) + CANDIDATE;

  const trickled = await patch(trickle, { 'if-match': etag });
  t.match(trickled, { status: 204, text: '' }, 'also with an unknown transport and an unresolvable host');
  t.equal(trickled.headers.get('etag'), null);
  t.equal((await patch(trickle, { 'if-match': `"x", ${etag}` })).status, 204);
  t.equal((await patch(trickle)).status, 428);
  t.equal((await patch(trickle, { 'if-match': '"stale"' })).status, 412);
  t.equal((await patch(trickle, { 'if-match': `W/${etag}` })).status, 412, 'strong comparison');
  t.equal((await patch(trickle, { 'if-match': etag }, SDP)).status, 415);
  t.equal((await patch(trickle, {}, 'not a media type')).status, 415);
  for (const body of ['', 'hello', CANDIDATE, trickle.replace('typ host', 'typ')])
    t.equal((await patch(body, { 'if-match': etag })).status, 400, JSON.stringify(body.slice(0, 20)));
  t.equal((await patch(NEW_ICE, { 'if-match': etag })).status, 400, 'other credentials under the old tag');
  t.equal((await patch('x'.repeat(70_000), { 'if-match': etag })).status, 413);

  const restarted = await patch(NEW_ICE, { 'if-match': '*' });
  t.equal(restarted.status, 200);
  t.equal(restarted.headers.get('content-type'), FRAGMENT);
  t.match(restarted.text, /^a=ice-lite\r\na=ice-ufrag:\S{4,}\r\na=ice-pwd:\S{22,}\r\n$/);
  t.notMatch(created.text, restarted.text.split('\r\n')[1]!, 'new credentials');
  const next = restarted.headers.get('etag')!;
  t.match(next, /^"[\w-]{16}"$/);
  t.not(next, etag);
  t.equal((await patch(trickle, { 'if-match': etag })).status, 412, 'candidates of the previous session are refused');
  t.equal((await patch(NEW_ICE + CANDIDATE, { 'if-match': next })).status, 204);
  t.equal((await patch(NEW_ICE, { 'if-match': '"*"' })).status, 204, 'repeated credentials are not a restart');
  await send('DELETE', resource);
});

t.test('what is refused, with which status', async (t) => {
  const refused = async (url: string, status: number, exception: string, body = OFFER, type = SDP): Promise<Answer> => {
    const answer = await send('POST', url, { type, body });
    t.equal(answer.status, status, answer.text);
    t.match(JSON.parse(answer.text), { status, exception, message: String });
    return answer;
  };
  await refused(`${base}/whip/x`, 415, 'UNSUPPORTED_MEDIA_TYPE', OFFER, 'application/json');
  await refused(`${base}/whip/x`, 415, 'UNSUPPORTED_MEDIA_TYPE', OFFER, 'no media type');
  await refused(`${base}/whip/x`, 400, 'INVALID_SDP', 'hello');
  await refused(`${base}/whip/x`, 400, 'INVALID_SDP', '');
  await refused(`${base}/whip/x`, 400, 'INVALID_SDP', OFFER.replace(/a=rtcp-mux\r\n/g, ''));
  await refused(`${base}/whip/x`, 400, 'INVALID_SDP', OFFER.replaceAll('a=sendonly', 'a=recvonly'));
  await refused(`${base}/whip/x`, 400, 'INVALID_SDP', `${OFFER}${'a=x\r\n'.repeat(13_500)}`);
  await refused(`${base}/whip/x`, 413, 'BODY_TOO_LARGE', `${OFFER}${'a=x\r\n'.repeat(30_000)}`);
  await refused(`${base}/whip/x`, 422, 'NO_COMMON_CODECS', OFFER.replace(/ (H264|VP8|VP9|AV1)\/90000/g, ' H265/90000'));
  await refused(`${base}/whip/x?rtmpUrl=`, 400, 'INVALID_REQUEST');
  await refused(`${base}/whip/a%0Ab`, 400, 'INVALID_REQUEST');
  await refused(`${base}/whip/${'x'.repeat(257)}`, 400, 'INVALID_REQUEST');
  const long = await post(`${base}/whip/${encodeURIComponent('\u{1F600}'.repeat(128))}`);
  t.equal((await send('DELETE', base + long.headers.get('location'))).status, 200, 'the longest name');
  t.equal(registry.size, 0);

  const sessions = await Promise.all(Array.from({ length: MAX_STREAMS }, (_, i) => post(`${base}/whip/full${i}`)));
  t.ok(sessions.every(({ status }) => status === 201));
  const busy = await refused(`${base}/whip/one-more`, 503, 'LIMIT_REACHED');
  t.match(busy.headers.get('retry-after'), /^\d+$/);
  for (const { headers } of sessions) t.equal((await send('DELETE', base + headers.get('location'))).status, 200);
});

t.test('two simultaneous requests: one wins', async (t) => {
  const answers = await Promise.all([post(`${base}/whip/race`), post(`${base}/whip/race`)]);
  t.strictSame(answers.map(({ status }) => status).sort(), [201, 409]);
  await send('DELETE', base + answers.find(({ status }) => status === 201)!.headers.get('location'));
});

t.test('the key: every request but a preflight', async (t) => {
  const bearer = { authorization: 'Bearer k3y' };
  const refusal = await post(`${guarded}/whip/secret`);
  t.equal(refusal.status, 401);
  t.match(refusal.headers.get('www-authenticate'), /^Bearer/);
  t.equal((await post(`${guarded}/whip/secret`, OFFER, { authorization: 'Bearer wrong' })).status, 401);
  t.equal((await post(`${guarded}/whip/secret?token=k3y`)).status, 401, 'only in the header');
  const { status, headers } = await post(`${guarded}/whip/secret`, OFFER, bearer);
  t.equal(status, 201);
  const resource = guarded + headers.get('location');
  for (const method of ['GET', 'PATCH', 'DELETE', 'OPTIONS', 'PUT'])
    t.equal((await send(method, resource)).status, 401, method);
  t.equal((await send('OPTIONS', `${guarded}/whip/secret`)).status, 401);
  t.match((await send('OPTIONS', `${guarded}/whip/secret`, { headers: bearer })).headers.get('link'), /turn\.example/);
  t.equal((await post(`${guarded}/whep/secret`)).status, 401);
  t.equal((await send('DELETE', resource, { headers: bearer })).status, 200);
});

t.test("as Red5 Pro's clients expect it", async (t) => {
  const query = 'username=u&password=k3y&signal=true&mode=live&keyFramerate=30&transport=udp';
  t.equal((await post(`${guarded}/live/whip/endpoint/stream1?username=u&password=wrong`)).status, 401);
  t.equal((await send('OPTIONS', `${guarded}/live/whip/endpoint/stream1?token=k3y`)).headers.get('accept-post'), SDP);
  const { status, headers } = await post(
    `${guarded}/live/whip/endpoint/stream1?${query}`,
    await page.offer({ dataChannel: 'red5pro' }),
  );
  t.equal(status, 201);
  t.match(headers.get('location'), /^\/live\/whip\/resource\/stream1\/[\da-f-]{36}$/, 'the session is in the path');
  t.equal(headers.get('etag'), null);
  const resource = guarded + headers.get('location');
  for (const body of [credentials(OFFER) + CANDIDATE, NEW_ICE, ''])
    t.equal((await send('PATCH', resource, { type: FRAGMENT, body })).status, 204, 'without If-Match, always');
  t.equal(
    (await post(`${guarded}/other/whip/endpoint/stream1?${query}`)).status,
    409,
    'stream names are common to all applications',
  );
  const [listed] = sessions.streams;
  t.match(listed, { name: 'stream1', mediaProvider: 'WHIP', application: 'live', published: true, active: false });
  t.equal((await send('DELETE', resource)).status, 200, 'the id in the path suffices');
  t.strictSame(sessions.streams, []);
  const studio = await post(`${guarded}/studio/whip/endpoint/stream1?${query}`, await page.offer({ dataChannel: 'x' }));
  const [second] = sessions.streams;
  t.equal(second?.application, 'studio');
  second?.terminate('by the operator');
  t.equal((await send('DELETE', guarded + studio.headers.get('location'))).status, 404, 'ended by the operator');
  t.strictSame(sessions.streams, []);
  t.equal((await send('PATCH', resource, { type: FRAGMENT, body: '' })).status, 404);
});

t.test('pushes start when the stream is live, and their failure does not end it', async (t) => {
  control.calls.length = 0;
  t.equal(
    (
      await page.publish(
        `${base}/whip/pushed?rtmpUrl=rtmp://a.example/live&rtmpUrl=${encodeURIComponent('rtmp://b.example/live?x=1&y=2')}`,
      )
    ).status,
    201,
  );
  await waitFor('both', () => control.calls.length === 2);
  t.strictSame(control.calls, [
    ['start', { streamName: 'pushed', rtmpUrl: 'rtmp://a.example/live' }],
    ['start', { streamName: 'pushed', rtmpUrl: 'rtmp://b.example/live?x=1&y=2' }],
  ]);
  t.equal((await page.request('DELETE')).status, 200);
  control.fail = new Error('no');
  t.equal((await page.publish(`${base}/whip/refused?rtmpUrl=rtmp://c.example/live`)).status, 201);
  await waitFor('the refusal to be recorded', () =>
    control.calls.some(([what, , code]) => what === 'refuse' && code === 'INTERNAL'),
  );
  t.ok(registry.find('refused')?.publisher, 'it continues');
  t.equal((await page.request('DELETE')).status, 200);
  t.equal(registry.size, 0);
});

t.test('WHEP', async (t) => {
  const play = OFFER.replaceAll('a=sendonly', 'a=recvonly').replace(/^a=(ssrc|msid).*\r\n/gm, '');
  t.match(JSON.parse((await post(`${base}/whep/nobody`, play)).text), { status: 404, exception: 'STREAM_NOT_FOUND' });
  await page.publish(`${base}/whip/shown`);
  await waitFor('the stream', () => registry.find('shown'));
  const { status, headers, text } = await post(`${base}/whep/shown`, play);
  t.equal(status, 201);
  t.equal(text.match(/^a=sendonly\r$/gm)!.length, 2);
  const [publisher, player] = sessions.streams;
  t.match(publisher, { name: 'shown', published: true, active: true, hasAudio: true, hasVideo: true });
  t.match(player, { name: 'shown', published: false, mediaProvider: 'WHEP', active: false, hasVideo: true });
  const resource = base + headers.get('location');
  t.equal((await send('PATCH', resource, { type: FRAGMENT, body: credentials(OFFER) + CANDIDATE })).status, 204);
  t.equal((await send('PATCH', resource, { type: FRAGMENT, body: 'x' })).status, 400);
  t.equal((await send('GET', resource)).status, 204);
  t.equal((await send('DELETE', resource)).status, 200);
  t.equal((await send('DELETE', resource)).status, 404);
  t.equal(sessions.streams.length, 1);
  t.ok(Object.keys((await registry.find('shown')!.publisher!.metrics?.()) ?? {}).length > 0, 'counters of its tracks');

  const few = await listen({ max_players: '1' });
  t.equal((await post(`${few}/whep/shown`, play)).status, 201);
  const busy = await post(`${few}/whep/shown`, play);
  t.equal(busy.status, 503);
  t.ok(busy.headers.get('retry-after'));
  t.equal((await page.request('DELETE')).status, 200);
  await waitFor(
    'its player to end with the stream',
    async () => (await post(`${few}/whep/shown`, play)).status === 404,
  );
});

t.test('hostile offers are refused with 4xx, never with 5xx, and quickly', async (t) => {
  const lines = OFFER.split('\r\n');
  const line = fc.constantFrom(...lines);
  const junk = fc.oneof(
    fc.string(),
    fc.constantFrom(
      'a=group:BUNDLE 0 1 0 2',
      'm=video 9 UDP/TLS/RTP/SAVPF 999999',
      'a=fmtp:96 ;;;=',
      'a=rid:\u0000 send',
      'a=simulcast:send ;;~,',
      'a=ssrc-group:FID 1',
      'a=extmap:0 x',
      'a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid',
      'a=mid:',
      'a=rtpmap:96 H264/0',
      '\u{1F600}=\u{1F600}',
    ),
  );
  const mutation = fc.oneof(
    fc
      .record({ at: fc.nat(lines.length - 1), drop: fc.integer({ min: 1, max: 5 }) })
      .map(({ at, drop }) => lines.toSpliced(at, drop)),
    fc
      .record({ at: fc.nat(lines.length - 1), more: fc.array(fc.oneof(line, junk), { maxLength: 6 }) })
      .map(({ at, more }) => lines.toSpliced(at, 0, ...more)),
    fc
      .record({ at: fc.nat(lines.length - 1), other: fc.oneof(line, junk) })
      .map(({ at, other }) => lines.with(at, other)),
    fc
      .record({ at: fc.nat(lines.length - 1), from: fc.nat(60), text: fc.string() })
      .map(({ at, from, text }) => lines.with(at, lines[at]!.slice(0, from) + text)),
    fc.array(fc.oneof(line, junk), { maxLength: 40 }),
  );
  await fc.assert(
    fc.asyncProperty(mutation, async (mutated) => {
      const startedAt = performance.now();
      const { status, headers, text } = await post(`${base}/whip/fuzz`, mutated.join('\r\n'));
      if (status === 201) await send('DELETE', base + headers.get('location'));
      else if (status !== 400 && status !== 422) throw new Error(`${status} ${text}`);
      if (performance.now() - startedAt > 10_000) throw new Error('slow');
    }),
    { numRuns: 300 },
  );
  for (const body of [
    Buffer.alloc(60_000, 0xff),
    Buffer.from(`v=0\r\n${'m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n'.repeat(1900)}`),
    Buffer.from(`v=0\r\na=${' '.repeat(60_000)}`),
  ]) {
    const startedAt = performance.now();
    t.equal((await send('POST', `${base}/whip/fuzz`, { type: SDP, body })).status, 400);
    t.ok(performance.now() - startedAt < 10_000, 'ten times the usual value at least');
  }
  t.equal(registry.size, 0, 'nothing is left of them');
});

t.test('closing the listeners ends live and connecting publications', async (t) => {
  const closing = await listen();
  t.equal((await page.publish(`${closing}/whip/last`)).status, 201);
  const stream = await waitFor('the stream', () => registry.find('last'));
  t.equal((await post(`${closing}/whip/connecting`)).status, 201);
  await apps.at(-1)!.close();
  t.equal(stream.endedBy?.code, 'SHUTTING_DOWN');
  t.equal(registry.size, 0);
  registry.reserve('connecting').release();
});
