import { readdir } from 'node:fs/promises';
import t from 'tap';
import type { Verdict } from '../../src/views/push-view.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

t.setTimeout(FILE_TIMEOUT);
const { gateway, nginx, publisher } = await setStage(t);

const check = async (request: object): Promise<Map<string, Verdict>> => {
  const { status, body, text } = await gateway.rest('/push/check', request);
  if (status !== 200) throw new Error(text);
  return new Map((body as Verdict[]).map((verdict) => [verdict.check, verdict]));
};

t.test('a check measures what a browser publishes, and publishes nothing', async (t) => {
  const request = { streamName: 'cam', rtmpUrl: nginx.rtmpUrl };
  t.match((await check(request)).get('stream'), { level: 'error', measured: 'the stream is not published' });

  await publisher({ name: 'cam' });
  const verdicts = await waitFor(
    'a measured stream',
    async () => {
      const found = await check(request);
      return found.get('stream')?.level === 'ok' ? found : undefined;
    },
    { timeout: 30_000 },
  );
  for (const [name, { level }] of verdicts) t.equal(level, 'ok', name);
  t.match(verdicts.get('videoSize'), { measured: /^\d+x\d+$/ });
  t.match(verdicts.get('videoCodec'), { measured: 'h264' });
  t.match(verdicts.get('audioSampleRate'), { measured: '48000 Hz' });
  t.ok(parseFloat(verdicts.get('frameRate')!.measured) > 5, verdicts.get('frameRate')!.measured);
  t.ok(parseFloat(verdicts.get('keyFrameInterval')!.measured) < 4, verdicts.get('keyFrameInterval')!.measured);
  for (const step of ['dns', 'policy', 'tcp', 'handshake', 'connect', 'createStream', 'streamKey'])
    t.ok(verdicts.has(step), step);
  t.strictSame(await readdir(nginx.recordDir), [], 'nothing was published');
  t.equal((await gateway.rest('/push/find_all')).status, 404, 'no push was started');

  const scaled = await check({ ...request, height: 180, fps: 15, keyFrameInterval: 15 });
  t.match(scaled.get('videoSize'), { measured: /x180$/ });
  t.ok(Math.abs(parseFloat(scaled.get('frameRate')!.measured) - 15) < 1);
  await waitFor('the end of the encoder', () => gateway.children('video-encoder').length === 0);
});
