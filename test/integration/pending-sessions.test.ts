import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import t from 'tap';
import { silentLogger } from '../../src/observe/logger.ts';
import type { PublishSession as Session } from '../../src/webrtc/publish-session.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { WorkerPool } = await import('../../src/webrtc/worker-pool.ts');
const { PublishSession } = await import('../../src/webrtc/publish-session.ts');

const OFFER = readFileSync(new URL('../unit/webrtc/fixtures/chromium-publish.sdp', import.meta.url), 'utf8');

t.test('offers without a client take few slots of their address, and for five seconds', async (t) => {
  const pool = await WorkerPool.create({
    workers: 1,
    rtcPort: 0,
    addresses: () => [{ ip: '127.0.0.1' }],
    pendingSessions: { perClient: 3, total: 5 },
    logger: silentLogger,
  });
  t.teardown(() => pool.close());
  const offer = (clientAddress: string): Promise<Session> =>
    PublishSession.create({ pool, offerSdp: OFFER, clientAddress, logger: silentLogger });

  const sessions = await Promise.all([1, 2, 3].map(() => offer('192.0.2.1')));
  await t.rejects(offer('192.0.2.1'), { code: 'LIMIT_REACHED', message: /max_pending_sessions_per_ip/ });
  await t.rejects(
    PublishSession.create({ pool, offerSdp: 'v=0', clientAddress: '192.0.2.1', logger: silentLogger }),
    { code: 'LIMIT_REACHED' },
    'before the offer is parsed',
  );
  sessions.push(await offer('192.0.2.2'));
  sessions[0]!.close();
  sessions.push(await offer('192.0.2.1'));
  t.equal(pool.pendingSessions, 4);
  const beganMs = performance.now();
  const lost = await Promise.all(sessions.slice(1).map((session) => once(session, 'lost')));
  t.comment(`lost after ${Math.round(performance.now() - beganMs)} ms`);
  t.strictSame(
    lost.map(([reason]) => reason.message),
    new Array(4).fill('Failed by ICE timeout'),
  );
  t.equal(pool.pendingSessions, 0);
  await offer('192.0.2.1');
  await t.rejects(PublishSession.create({ pool, offerSdp: 'v=0', clientAddress: '192.0.2.1', logger: silentLogger }), {
    code: 'INVALID_SDP',
  });
  t.equal(pool.pendingSessions, 1, 'an offer that is refused takes no slot');
});
