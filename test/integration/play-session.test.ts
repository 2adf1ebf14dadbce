import { once } from 'node:events';
import { readFileSync } from 'node:fs';
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

/** What the worker itself has: routers, and transports of publishers and of the pipes to their players. */
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

t.test('a publisher that is watched stops: a normal end', async (t) => {
  const publisher = await publish();
  const players = await Promise.all([play(publisher), play(publisher), play(publisher)]);
  t.equal(worker.sessions, 4);
  const lost = Promise.all(players.slice(1).map((player) => once(player, 'lost')));
  // As the signalling does, in the same turn; the others hear of it from the worker.
  publisher.close();
  players[0]!.close();
  for (const [reason] of await lost) t.match(reason, { code: 'STREAM_STOPPED' });
  t.equal(worker.sessions, 0);
  t.same(await left(), nothing);
  t.same(logged, [], 'nothing to complain of');
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

t.test('a publisher stops while its player is being made: nothing stays', async (t) => {
  const outcomes = new Set<string>();
  // In every turn of the loop that the making takes, until it is done before the publisher stops.
  for (let turns = 0; !outcomes.has('STREAM_STOPPED'); turns++) {
    const publisher = await publish();
    const playing = play(publisher).then(
      async (player) => ((await once(player, 'lost')) as [{ code: string }])[0].code,
      (error: { code: string }) => error.code,
    );
    for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
    publisher.close();
    outcomes.add(await playing);
  }
  t.same([...outcomes].sort(), ['STREAM_NOT_FOUND', 'STREAM_STOPPED']);
  await waitFor('the end of all transports', () => worker.sessions === 0);
  t.same(await left(), nothing);
});

t.test('sound and frames with one payload type', async (t) => {
  const publisher = await publish();
  const video = /a=rtpmap:(\d+) H264/.exec(PLAY)![1]!;
  const offerSdp = PLAY.replace(/^(m=audio 9 \S+) .*$/m, `$1 ${video}`).replace(
    'a=rtpmap:111 opus/48000/2',
    `a=rtpmap:${video} opus/48000/2`,
  );
  await t.rejects(PlaySession.create({ publisher, offerSdp, logger: silentLogger }), {
    code: 'INVALID_SDP',
    message: `The SDP offer gives sound and frames the same payload type, ${video}.`,
  });
  publisher.close();
  t.same(await left(), nothing);
});

t.test('a worker that dies while a session is being made', async (t) => {
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
