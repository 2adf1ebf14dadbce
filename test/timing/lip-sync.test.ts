import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { audioServiceOf } from '../helpers/chromium.ts';
import { analyse, median, recorded, recordingOf } from '../helpers/recording.ts';
import { setStage } from '../helpers/stage.ts';
import { startUdpRelay } from '../helpers/udp-relay.ts';
import { waitFor } from '../helpers/wait.ts';

const LONG = process.env.LONG_TESTS === '1';
// A simultaneous flash and beep of the page must arrive within 60 ms of each other, which viewers do not notice.
// LONG_TESTS=1 also tests after more than a minute, where clock drift would show, and after the browser has lost audio.
const LIMIT = 60;
/** Milliseconds for which the browser's audio stops in the long test. It loses as much audio, without a gap in its timestamps. */
const LOST_SOUND = 150;
/** Pairs that may be further apart: one at the start, and those until a sender report (every 5 s, one may be lost) reveals the loss. */
const MAX_LATE = LONG ? 15 : 1;
const LENGTH = LONG ? 75_000 : 8_000;

t.setTimeout(LENGTH + 120_000);

const { gateway, nginx, publisher, openPage } = await setStage(t);
const relay = await startUdpRelay(gateway.ports.rtc, {
  loss: 0.03,
  delay: 10,
  jitter: 4,
  reorder: 0.01,
  duplicate: 0.01,
});
t.teardown(() => relay.close());

await t.test('the pages publish', async (t) => {
  const clean = await publisher({ name: 'clean', source: 'flashAndBeep', rtmpUrl: nginx.rtmpUrl });
  const lossy = await openPage();
  await lossy.sendThrough(relay.port);
  await lossy.publishTo(gateway.wsUrl, { name: 'lossy', source: 'flashAndBeep', rtmpUrl: nginx.rtmpUrl });

  if (LONG) {
    await delay(LENGTH / 2);
    const audioService = audioServiceOf(process.pid);
    process.kill(audioService, 'SIGSTOP');
    await delay(LOST_SOUND);
    process.kill(audioService, 'SIGCONT');
  }
  await Promise.all(['rtmp_clean', 'rtmp_lossy'].map((name) => recorded(recordingOf(nginx, name), LENGTH)));
  const sound = await waitFor('ten retransmitted audio packets', async () => {
    const found = await lossy.audioSent();
    return found.retransmitted >= 10 ? found : undefined;
  });
  t.ok(
    sound.lost < sound.retransmitted / 2,
    `${sound.lost} audio packets are still missing, ${sound.retransmitted} were retransmitted`,
  );
  t.ok(
    relay.counts().lost > 10,
    `the relay lost ${relay.counts().lost} of ${relay.counts().passed + relay.counts().lost} datagrams`,
  );
  await clean.close();
  await lossy.close();
});

let allLate = 0;
for (const name of ['rtmp_clean', 'rtmp_lossy']) {
  await t.test(name, async (t) => {
    const recording = await analyse(recordingOf(nginx, name));
    const offsets = recording.lipSync();
    t.comment(`beep minus flash, ms: ${offsets.map(Math.round).join(' ')}`);
    t.ok(offsets.length >= LENGTH / 1000 - 3, `${offsets.length} pairs in ${LENGTH / 1000} s`);
    // A flash may be lost or late with its frame, so the median counts.
    t.ok(Math.abs(median(offsets.slice(0, 5))) <= LIMIT, `at the start: ${Math.round(median(offsets.slice(0, 5)))} ms`);
    t.ok(Math.abs(median(offsets.slice(-5))) <= LIMIT, `at the end: ${Math.round(median(offsets.slice(-5)))} ms`);
    const late = offsets.filter((offset) => Math.abs(offset) > LIMIT);
    t.ok(late.length <= MAX_LATE, `${late.length} pairs are further apart than ${LIMIT} ms`);
    allLate += late.length;
    t.strictSame(recording.decodeErrors, [], 'everything decodes');
    t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], [], 'timestamps never decrease');
    t.ok(
      recording.audio.largestGap <= 50,
      `no gap in the audio: ${recording.audio.largestGap} ms at ${recording.audio.largestGapAt}`,
    );
  });
}

// Both pages share one audio service, and one of them may have buffered enough.
if (LONG) t.ok(allLate > 0, 'the lost audio was detected');
