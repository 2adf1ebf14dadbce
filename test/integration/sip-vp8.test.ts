import t from 'tap';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { analyse, findRecording, recorded } from '../helpers/recording.ts';
import {
  callOf,
  callOver,
  callReached,
  noBaresip,
  noBaresipVp8,
  startBaresip,
  startSipGateway,
} from '../helpers/sip-peers.ts';
import { waitFor } from '../helpers/wait.ts';

t.test(
  'a telephone with VP8 is called: its video is encoded as H.264',
  { skip: noBaresip || noBaresipVp8 },
  async (t) => {
    const [gateway, nginx, baresip] = await Promise.all([
      startSipGateway(),
      startNginxRtmp(),
      startBaresip({ audioCodecs: 'PCMU/8000/1', videoModule: 'vp8' }),
    ]);
    t.teardown(async () => {
      await baresip.stop();
      await gateway.stop();
      await nginx.stop();
    });
    const callId = 'call-vp8';
    const { status, text } = await gateway.rest('/call/startup', {
      ...{ callId, callee: `sip:1001@127.0.0.1:${baresip.port}`, hasAudio: 'true', hasVideo: 'true' },
      ...{ rtmpUrl: nginx.rtmpUrl, rtmpStream: callId },
    });
    t.equal(status, 200, text);
    await callReached(gateway, callId, 'ESTABLISHED');
    t.match(await callOf(gateway, callId), { videoCodec: 'vp8', hasVideo: true });
    await waitFor('the push', async () => (await callOf(gateway, callId))?.rtmpStreamStatus === 'pushing');
    const file = await findRecording(nginx, `rtmp_${callId}`);
    await recorded(file, 5000);
    await gateway.rest('/call/terminate', { callId });
    await callOver(gateway, callId);
    const { frames, decodeErrors } = await analyse(file);
    t.strictSame(decodeErrors, []);
    t.ok(frames.length > 40, `${frames.length} frames`);
    t.match(frames.at(-1), { width: 320, height: 240 });
  },
);
