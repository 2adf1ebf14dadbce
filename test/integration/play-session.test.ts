import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { types } from 'mediasoup';
import t from 'tap';
import { createLogger, silentLogger } from '../../src/observe/logger.ts';
import { mediaWorkerEnv } from '../helpers/media-worker.ts';
import { waitFor } from '../helpers/wait.ts';

// mediasoup looks for its worker when it is loaded.
Object.assign(process.env, mediaWorkerEnv());
const { PlaySession } = await import('../../src/webrtc/play-session.ts');
const { PublishSession } = await import('../../src/webrtc/publish-session.ts');
const { WorkerPool } = await import('../../src/webrtc/worker-pool.ts');

const fixture = (name: string): string =>
  readFileSync(new URL(`../unit/webrtc/fixtures/${name}`, import.meta.url), 'utf8');
const PUBLISH = fixture('chromium-publish.sdp');
const PLAY = fixture('chromium-play.sdp');

const logged: string[] = [];
const logger = createLogger(
  { log_level: 'warn', log_format: 'json' },
  { destination: { write: (line) => logged.push(line) } },
);
const pool = await WorkerPool.create({
  workers: 1,
  rtcPort: 0,
  addresses: () => [{ ip: '127.0.0.1' }],
  logger,
});
t.teardown(() => pool.close());
const worker = pool.pick();

const publish = () => PublishSession.create({ pool, offerSdp: PUBLISH, logger: silentLogger });
type Publishing = Awaited<ReturnType<typeof publish>>;
const play = (publisher: Publishing) => PlaySession.create({ publisher, offerSdp: PLAY, logger: silentLogger });

/** What the worker reports: routers, and the transports of publishers and of the pipes to their players. */
async function left(): Promise<{ routers: number; transports: number; webRtc: number }> {
  const [inWorker, inRouter, inServer] = await Promise.all([
    worker.worker.dump(),
    worker.router.dump(),
    worker.webRtcServer.dump(),
  ]);
  return {
    routers: inWorker.routerIds.length,
    transports: inRouter.transportIds.length,
    webRtc: inServer.webRtcTransportIds.length,
  };
}
const nothing = await left();

t.test('a publisher with players stops: a normal end', async (t) => {
  const publisher = await publish();
  const players = await Promise.all([play(publisher), play(publisher), play(publisher)]);
  t.equal(worker.sessions, 4);
  const lost = Promise.all(players.slice(1).map((player) => once(player, 'lost')));
  // As signaling does, in the same tick; the other players learn of it from the worker.
  publisher.close();
  players[0]!.close();
  for (const [reason] of await lost) t.match(reason, { code: 'STREAM_STOPPED' });
  t.equal(worker.sessions, 0);
  t.same(await left(), nothing);
  t.same(logged, [], 'no warnings');
});

t.test('a player stops', async (t) => {
  const publisher = await publish();
  const player = await play(publisher);
  player.on('lost', () => t.fail('not lost'));
  player.close();
  t.equal(worker.sessions, 1);
  publisher.close();
  t.same(await left(), nothing);
  t.same(logged, []);
});

t.test('a player that vanishes is not a lost publisher', async (t) => {
  const publisher = await publish();
  const transports: types.Transport[] = [];
  worker.worker.observer.once('newrouter', (router) =>
    router.observer.on('newtransport', (transport) => transports.push(transport)),
  );
  const player = await play(publisher);
  const lost = once(player, 'lost');
  const transport = transports.find((one) => one.type === 'webrtc')!;
  (transport as types.WebRtcTransport).emit('dtlsstatechange', 'failed');
  t.match(await lost, [{ code: 'PLAYER_LOST', message: 'Failed by DTLS error' }]);
  t.notOk(publisher.closed);
  publisher.close();
  t.same(await left(), nothing);
});

t.test('a publisher stops while its player is being created: nothing is left', async (t) => {
  const outcomes = new Set<string>();
  // In every event-loop tick that the creation takes, until it completes before the publisher stops.
  for (let ticks = 0; !outcomes.has('STREAM_STOPPED'); ticks++) {
    const publisher = await publish();
    const playing = play(publisher).then(
      async (player) => ((await once(player, 'lost')) as [{ code: string }])[0].code,
      (error: { code: string }) => error.code,
    );
    for (let tick = 0; tick < ticks; tick++) await new Promise(setImmediate);
    publisher.close();
    outcomes.add(await playing);
  }
  t.same([...outcomes].sort(), ['STREAM_NOT_FOUND', 'STREAM_STOPPED']);
  await waitFor('the end of all transports', () => worker.sessions === 0);
  t.same(await left(), nothing);
});

t.test('audio and video with one payload type', async (t) => {
  const publisher = await publish();
  const video = /a=rtpmap:(\d+) H264/.exec(PLAY)![1]!;
  const offerSdp = PLAY.replace(/^(m=audio 9 \S+) .*$/m, `$1 ${video}`).replace(
    'a=rtpmap:111 opus/48000/2',
    `a=rtpmap:${video} opus/48000/2`,
  );
  await t.rejects(PlaySession.create({ publisher, offerSdp, logger: silentLogger }), {
    code: 'INVALID_SDP',
    message: `The SDP offer gives audio and video the same payload type, ${video}.`,
  });
  publisher.close();
  t.same(await left(), nothing);
});

t.test('a worker dies while a session is being created', async (t) => {
  const [watched, restarting] = await Promise.all([publish(), publish()]);
  const pid = pool.pids[0]!;
  process.kill(pid, 'SIGSTOP');
  const refused = Promise.all([
    t.rejects(publish(), { code: 'WORKER_DIED', httpStatus: 503, retryable: true }),
    t.rejects(restarting.restartIce(restarting.remoteIce), { code: 'WORKER_DIED' }),
    t.rejects(play(watched), { code: 'STREAM_NOT_FOUND' }, 'it ends with its publisher'),
  ]);
  process.kill(pid, 'SIGKILL');
  await refused;
});
