import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { noFfmpeg8 } from '../helpers/ffmpeg8.ts';
import { ffmpeg } from '../helpers/ffmpeg-tool.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';

if (noFfmpeg8) {
  t.pass(noFfmpeg8, { skip: true });
} else {
  t.setTimeout(FILE_TIMEOUT);
  const [gateway, nginx] = await Promise.all([startGateway({ rest_api_key: 'k3y' }), startNginxRtmp()]);
  t.teardown(async () => {
    await gateway.stop();
    await nginx.stop();
  });

  for (const [profile, size] of [
    ['baseline', '640x360'],
    ['high', '1280x720'],
  ] as const) {
    await t.test(`FFmpeg's WHIP muxer, H.264 ${profile}`, async (t) => {
      const file = join(t.testdir(), 'in.mkv');
      await ffmpeg([
        '-f',
        'lavfi',
        '-i',
        `testsrc2=s=${size}:r=30`,
        '-f',
        'lavfi',
        '-i',
        'sine=440:r=48000',
        '-t',
        '6',
        '-c:v',
        'libx264',
        '-profile:v',
        profile,
        '-preset',
        'ultrafast',
        '-tune',
        'zerolatency',
        '-g',
        '30',
        '-ac',
        '2',
        '-c:a',
        'libopus',
        file,
      ]);
      const endpoint = `${gateway.httpUrl}/whip/${profile}?rtmpUrl=${encodeURIComponent(nginx.rtmpUrl)}`;
      const child = spawn(
        process.execPath,
        [fileURLToPath(import.meta.resolve('../helpers/ffmpeg-whip-main.ts')), file, endpoint, 'k3y'],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      );
      let log = '';
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => (log += chunk));
      t.teardown(() => void child.kill('SIGKILL'));
      const [code] = (await once(child, 'close')) as [number];
      t.equal(code, 0, log.slice(-2000));
      const recording = await analyse(recordingOf(nginx, `rtmp_${profile}`));
      t.strictSame(recording.decodeErrors, []);
      t.ok(recording.startsWithKeyFrame);
      t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], []);
      t.ok(recording.frames.length > 100, `${recording.frames.length} frames`);
      t.equal(`${recording.frames[0]!.width}x${recording.frames[0]!.height}`, size);
      t.ok(recording.level(1000, 4000) > -30, 'the tone is there');
      const { body } = await gateway.http('/api/v1/streams', { headers: { authorization: 'Bearer k3y' } });
      t.strictSame(body, [], 'its DELETE has ended the stream');
    });
  }
}
