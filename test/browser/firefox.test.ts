import t from 'tap';
import { firefoxPath, startFirefox } from '../helpers/firefox.ts';
import { startGateway } from '../helpers/gateway.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { enterOwnNetwork, hasOwnNetwork, OWN_ADDRESS } from '../helpers/own-network.ts';
import { analyse, MOST_SOUND_LAG, recorded, recordingOf } from '../helpers/recording.ts';
import { SdkPage, startPageServer } from '../helpers/sdk-page.ts';
import { FILE_TIMEOUT } from '../helpers/stage.ts';
import { waitFor } from '../helpers/wait.ts';
import { startWhipPageServer, WhipPage } from '../helpers/whip-page.ts';

const path = firefoxPath();

// The set-up does not install this second browser of 250 MB.
if (!path) t.pass('Firefox is not installed: apt-get install firefox-esr', { skip: true });
else if (!hasOwnNetwork()) t.pass('network namespaces are not available (unshare --net)', { skip: true });
else {
  // Firefox sends no media to loopback, and test servers listen nowhere else.
  enterOwnNetwork();
  t.setTimeout(FILE_TIMEOUT);
  // The default of ip_local, which the helper overrides.
  const [gateway, nginx, pages, firefox] = await Promise.all([
    startGateway({ ip_local: '' }),
    startNginxRtmp(),
    startPageServer(),
    startFirefox(path),
  ]);
  t.teardown(async () => {
    await firefox.close();
    await gateway.stop();
    await nginx.stop();
    await pages.close();
  });

  await t.test('Firefox publishes with the official SDK to a gateway with default settings', async (t) => {
    const page = await SdkPage.open(firefox, pages);
    const started = performance.now();
    await page.publishTo(gateway.wsUrl, { name: 'fox' });
    const { mediaSessionId } = await gateway.startPush({ streamName: 'fox', rtmpUrl: nginx.rtmpUrl });
    const file = recordingOf(nginx, 'rtmp_fox');
    await recorded(file, 6000);
    const { packets } = await page.audioSent();
    const seconds = (performance.now() - started) / 1000;
    t.ok(packets >= 6 * 20 && packets <= seconds * 27, `packets of 40 ms as requested: ${packets} in ${seconds} s`);
    await gateway.rest('/push/terminate', { mediaSessionId });

    const recording = await analyse(file);
    t.strictSame(recording.decodeErrors, []);
    t.ok(recording.startsWithKeyFrame);
    t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], [], 'timestamps never decrease');
    t.ok(recording.audio.largestGap <= 50, `no gap in the audio: ${recording.audio.largestGap} ms`);
    t.ok(recording.level(2000, 4000) > -30, 'audio of the fake microphone');
    t.ok(
      Math.abs(recording.audio.last - recording.video.last) <= MOST_SOUND_LAG,
      `tracks end together: ${recording.audio.last} and ${recording.video.last}`,
    );
    t.equal(`${recording.frames.at(-1)!.width}x${recording.frames.at(-1)!.height}`, '640x480');
    await page.stop('fox');
    await page.close();
  });

  await t.test('Firefox publishes to a gateway that listens on all addresses', async (t) => {
    const open = await startGateway({ ip_local: '', listen_ip: '0.0.0.0', ip: OWN_ADDRESS, rest_api_key: 'k3y' });
    t.teardown(() => open.stop());
    const page = await SdkPage.open(firefox, pages);
    await page.publishTo(`ws://${OWN_ADDRESS}:${open.ports.ws}?token=k3y`, { name: 'guest' });
    t.match(await open.http('/api/v1/streams', { headers: { authorization: 'Bearer k3y' } }), {
      body: [{ name: 'guest', status: 'live' }],
    });
    await page.close();
  });

  await t.test('Firefox publishes with WHIP and plays with WHEP', async (t) => {
    const whip = await startWhipPageServer();
    const open = await startGateway({ ip_local: '', cors_origins: new URL(whip.url).origin });
    t.teardown(() => Promise.all([open.stop(), whip.close()]));
    const publisher = await WhipPage.open(firefox, whip);
    t.equal((await publisher.publish(`${open.httpUrl}/whip/fox`, { source: 'camera' })).status, 201);
    const player = await WhipPage.open(firefox, whip);
    t.equal((await player.play(`${open.httpUrl}/whep/fox`)).status, 201);
    await waitFor('video and audio', async () => {
      const { streams } = await player.flow('inbound-rtp');
      return (
        streams.some(({ framesDecoded = 0 }) => framesDecoded > 10) &&
        streams.some(({ totalAudioEnergy = 0 }) => totalAudioEnergy > 0)
      );
    });
    t.equal((await publisher.restartIce()).status, 200);
    t.equal((await publisher.request('DELETE')).status, 200);
    await Promise.all([publisher.close(), player.close()]);
  });
}
