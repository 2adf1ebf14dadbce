import { readFileSync } from 'node:fs';
import { ClientSessions } from '../../../../src/sessions/client-sessions.ts';
import t from 'tap';
import type { AccessProvider, Action, Principal, Resource } from '../../../../src/access/authorizer.ts';
import { ProviderChain } from '../../../../src/access/provider-chain.ts';
import { GatewayError } from '../../../../src/errors.ts';
import { silentLogger } from '../../../../src/observe/logger.ts';
import type { PublicationRights } from '../../../../src/sessions/publish-right.ts';
import { StreamRegistry } from '../../../../src/streams/stream-registry.ts';
import { createHttpApp } from '../../../helpers/http-app.ts';
import { mediaWorkerEnv } from '../../../helpers/media-worker.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { whipRoutes } = await import('../../../../src/api/whip/whip-routes.ts');
const { whepRoutes } = await import('../../../../src/api/whep/whep-routes.ts');
const { createPublishing } = await import('../../../helpers/publishing.ts');

const OFFER = readFileSync(new URL('../../webrtc/fixtures/chromium-publish.sdp', import.meta.url), 'utf8');
const SDP = { 'content-type': 'application/sdp' };

/** WHIP and WHEP for one client. Publications stop where they would need media; their rights are kept. */
async function setUp(principal: Principal | undefined, provider: AccessProvider = { identify: async () => principal }) {
  const authorizer = new ProviderChain([provider]);
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
  const { players } = createPublishing({ pool: {} as never, registry, pushes: {} as never });
  const rights: PublicationRights[] = [];
  const publications = {
    publish: (request: { rights: PublicationRights }) => {
      rights.push(request.rights);
      const refusal = Promise.reject(new GatewayError('WORKER_DIED', 'no media here'));
      refusal.catch(() => undefined);
      return { negotiated: refusal };
    },
  } as never;
  const settings = { ice_servers: [] };
  const sessions = new ClientSessions();
  const statuses: string[] = [];
  sessions.on('stream', ({ mediaProvider, appKey, name }, { status, info }) =>
    statuses.push(`${mediaProvider} ${appKey} ${name} ${status}: ${info}`),
  );
  const options = { settings, authorizer, publications, players, sessions, logger: silentLogger };
  const { app, http } = await createHttpApp({}, { authorizer, routes: [whipRoutes(options), whepRoutes(options)] });
  t.teardown(() => app.close());
  const post = (url: string) => http.inject({ method: 'POST', url, headers: SDP, payload: OFFER });
  return { http, post, rights, statuses };
}

const DOORS: readonly (readonly [url: (stream: string) => string, action: Action])[] = [
  [(stream) => `/whip/${stream}`, 'publish'],
  [(stream) => `/live/whip/endpoint/${stream}`, 'publish'],
  [(stream) => `/whep/${stream}`, 'play'],
];

t.test('WHIP and WHEP need the right for the stream of their path', async (t) => {
  const nobody = await setUp(undefined);
  const limited = await setUp({ id: 'a', actions: new Set(['publish', 'play']), streams: ['cam 1'] });
  const wrong = await setUp({ id: 'a', actions: new Set(['push', 'control', 'read', 'admin']) });
  const expired = await setUp({ id: 'a', actions: new Set(['publish', 'play']), expiresAt: 1 });
  for (const [url, action] of DOORS) {
    for (const method of ['GET', 'POST', 'OPTIONS', 'PUT'] as const)
      t.equal((await nobody.http.inject({ method, url: url('cam%201') })).statusCode, 401, `${method} ${url('x')}`);
    t.match((await wrong.post(url('cam%201'))).json(), { status: 403, message: new RegExp(`"${action}": they allow`) });
    t.match((await limited.post(url('cam2'))).json(), { status: 403, message: /the stream "cam2"/ });
    t.match((await expired.post(url('cam%201'))).json(), { status: 401, exception: 'TOKEN_EXPIRED' });
    t.notOk([401, 403].includes((await limited.post(url('cam%201'))).statusCode), 'its own stream');
  }
});

t.test('WHIP passes on when the right ends, and asks for each destination', async (t) => {
  const expiresAt = Date.now() + 60_000;
  const { post, rights } = await setUp({
    id: 'a',
    actions: new Set(['publish', 'push']),
    destinations: ['a.example'],
    expiresAt,
  });
  await post('/whip/cam1?rtmpUrl=rtmp%3A%2F%2Fb.example%2Flive');
  t.strictSame(await rights[0]!.publish(), { endsAt: expiresAt });
  await rights[0]!.push('rtmp://a.example/live', 'cam1');
  await t.rejects(rights[0]!.push('rtmp://b.example/live', 'cam1'), {
    code: 'FORBIDDEN',
    message: /destination b\.example/,
  });
});

t.test('the application server gets the request, and may rename the stream', async (t) => {
  const resources: Resource[] = [];
  const principal: Principal = { id: 'a', actions: new Set(['publish', 'play']) };
  const provider = {
    identify: async () => principal,
    authorize: async (_: Principal, __: Action, resource: Resource) => {
      resources.push(resource);
      return resource.request ? { streamName: 'renamed' } : {};
    },
  };
  const { post, rights, statuses } = await setUp(principal, provider);
  await post('/whip/cam1');
  t.strictSame(resources, [], 'asked by the publication');
  t.strictSame(await rights[0]!.publish(), { streamName: 'renamed' });
  const request = { mediaProvider: 'WHIP', appKey: 'live', hasAudio: true, hasVideo: true, offerSdp: OFFER };
  t.match(resources[0], { stream: 'cam1', request });
  await post('/studio/whip/endpoint/cam1');
  await rights[1]!.publish();
  t.match(resources[1], { stream: 'cam1', request: { mediaProvider: 'WHIP', appKey: 'studio' } });
  t.match((await post('/whep/cam1')).json(), { status: 404, exception: 'STREAM_NOT_FOUND' });
  t.match(resources[2], { stream: 'cam1', request: { mediaProvider: 'WHEP', offerSdp: OFFER } });
  t.strictSame(statuses, [
    'WHIP live cam1 FAILED: no media here',
    'WHIP studio cam1 FAILED: no media here',
    'WHEP live cam1 FAILED: Stream not found: it has no publisher at the moment.',
  ]);
});
