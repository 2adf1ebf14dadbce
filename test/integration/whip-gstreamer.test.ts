import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { startGateway } from '../helpers/gateway.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, recorded, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';

const PYTHON = '/usr/bin/python3';
const PACKAGES =
  'gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-nice python3-gst-1.0 gir1.2-gst-plugins-bad-1.0';
/** Succeeds where all is there that is used here. */
const CHECK = `
import gi
gi.require_version('Gst', '1.0')
gi.require_version('GstWebRTC', '1.0')
from gi.repository import Gst, GstWebRTC
Gst.init(None)
assert all(Gst.ElementFactory.find(name) for name in 'webrtcbin nicesrc x264enc vp8enc opusenc alawenc rtph264pay'.split())`;

const SOUND = 'audiotestsrc is-live=true freq=440 volume=0.5 !';
const FRAME = 'videotestsrc is-live=true ! video/x-raw,width=640,height=360,framerate=30/1 !';
const CASES = {
  // With the defaults of GStreamer's elements, parameter sets among them, and the payload types of its guides.
  h264: [
    `${SOUND} opusenc ! rtpopuspay pt=97`,
    `${FRAME} x264enc tune=zerolatency speed-preset=ultrafast ! video/x-h264,stream-format=avc,profile=high ! rtph264pay pt=96`,
  ],
  vp8: [
    `${SOUND} audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay`,
    `${FRAME} vp8enc deadline=1 ! rtpvp8pay pt=96`,
  ],
};

// No part of the set-up: 200 MB, for this test alone.
if (spawnSync(PYTHON, ['-c', CHECK]).status !== 0)
  t.pass(`GStreamer is not installed: apt-get install ${PACKAGES}`, { skip: true });
else {
  t.setTimeout(FILE_TIMEOUT);
  const [gateway, nginx] = await Promise.all([startGateway({ rest_api_key: 'k3y' }), startNginxRtmp()]);
  t.teardown(async () => {
    await gateway.stop();
    await nginx.stop();
  });

  for (const [codec, media] of Object.entries(CASES)) {
    await t.test(`webrtcbin publishes ${codec}`, async (t) => {
      const endpoint = `${gateway.httpUrl}/whip/${codec}?rtmpUrl=${encodeURIComponent(nginx.rtmpUrl)}`;
      const client = spawn(
        PYTHON,
        [fileURLToPath(import.meta.resolve('../helpers/gstreamer-whip.py')), endpoint, 'k3y', ...media],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      );
      const ended = once(client, 'close');
      t.teardown(() => void client.kill('SIGKILL'));
      let said = '';
      for (const output of [client.stdout, client.stderr])
        output.setEncoding('utf8').on('data', (text: string) => (said += text));
      const file = recordingOf(nginx, `rtmp_${codec}`);
      await recorded(file, 5000, 40_000).catch((error: unknown) => t.fail(`${String(error)}\n${said.slice(-2000)}`));
      client.kill('SIGTERM');
      await ended;
      t.match(said, /^POST 201\n(?:.*\n)*PATCH 204\n(?:.*\n)*DELETE 200\n/m);
      await waitFor(
        'the stream to end',
        async () =>
          (await gateway.http('/api/v1/streams', { headers: { authorization: 'Bearer k3y' } })).body.length === 0,
      );
      const recording = await analyse(file);
      t.strictSame(recording.decodeErrors, []);
      t.ok(recording.startsWithKeyFrame);
      t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], []);
      t.equal(`${recording.frames.at(-1)!.width}x${recording.frames.at(-1)!.height}`, '640x360');
      t.ok(recording.level(2000, 4000) > -20, `the tone is there: ${recording.level(2000, 4000)} dBFS`);
    });
  }
}
