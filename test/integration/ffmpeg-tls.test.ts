import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { silentLogger } from '../../src/logger.ts';
import { createFfmpegPusher } from '../../src/push/ffmpeg-pusher.ts';
import type { Pusher } from '../../src/push/pusher.ts';
import { createFlvTags, playTags } from '../helpers/flv-source.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { pushTarget, ready } from '../helpers/push-target.ts';
import { startTlsTerminator } from '../helpers/tls-terminator.ts';

t.setTimeout(90_000);

// push_engine=ffmpeg over RTMPS: the same answers as those of the RTMP client of our own (rtmp-tls.test.ts).
const server = await startNginxRtmp();
t.teardown(() => server.stop());
const terminator = await startTlsTerminator(server.port);
t.teardown(() => terminator.stop());
const tags = await createFlvTags({ seconds: 2 });

/** `pushing` when the server takes media, else the code of the failure. */
async function outcome(pusher: Pusher): Promise<string> {
  const end = new Promise<string>((resolve) => {
    pusher.once('progress', () => resolve('pushing'));
    pusher.once('died', (error) => resolve(error.code));
  });
  await ready(pusher);
  const play = playTags(pusher, tags);
  const what = await Promise.race([end, sleep(15_000, 'nothing', { ref: false })]);
  play.stop();
  await pusher.close();
  return what;
}

const url = (host: string): string => `rtmps://${host}:${terminator.port}/live/name`;
const logger = silentLogger;

t.test('a trusted authority', async (t) => t.equal(await outcome(createFfmpegPusher({ tlsCaFile: terminator.caFile, logger })(pushTarget(url('localhost')))), 'pushing'));
t.test('an unknown authority', async (t) => t.equal(await outcome(createFfmpegPusher({ logger })(pushTarget(url('localhost')))), 'DESTINATION_TLS'));
t.test('another host', async (t) => t.equal(await outcome(createFfmpegPusher({ tlsCaFile: terminator.caFile, logger })(pushTarget(url('example.org')))), 'DESTINATION_TLS'));
t.test('the host that is not verified', async (t) => t.equal(await outcome(createFfmpegPusher({ tlsInsecureHost: 'localhost', logger })(pushTarget(url('localhost')))), 'pushing'));
