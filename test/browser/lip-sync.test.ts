import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { audioServiceOf } from '../helpers/chromium.ts';
import { analyse, median, recorded, recordingOf } from '../helpers/recording.ts';
import { setStage } from '../helpers/stage.ts';
import { startUdpRelay } from '../helpers/udp-relay.ts';
import { waitFor } from '../helpers/wait.ts';

const LONG = process.env.LONG_TESTS === '1';
// A flash and a beep that a page makes at the same moment must arrive within 60 ms of each other: people notice more than that.
// With LONG_TESTS=1 also after more than a minute, where a clock that drifts would show, and after the browser has lost sound.
const LIMIT = 60;
/** For so long the browser makes no sound, in the long test; it loses as much, without a gap in its timestamps. Milliseconds. */
const LOST_SOUND = 150;
/** So many pairs may be further apart: one of the first moments; and those until the browser's report, every 5 s, tells of the loss: one may be lost. */
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
  const sound = await waitFor('ten packets of sound to be sent again', async () => {
    const found = await lossy.audioSent();
    return found.retransmitted >= 10 ? found : undefined;
  });
  t.ok(
    sound.lost < sound.retransmitted / 2,
    `${sound.lost} packets of sound are still missing, ${sound.retransmitted} were sent again`,
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
    // One frame may be lost or late, and a flash with it; the middle of several says where the lips are.
    t.ok(Math.abs(median(offsets.slice(0, 5))) <= LIMIT, `at the start: ${Math.round(median(offsets.slice(0, 5)))} ms`);
    t.ok(Math.abs(median(offsets.slice(-5))) <= LIMIT, `at the end: ${Math.round(median(offsets.slice(-5)))} ms`);
    const late = offsets.filter((offset) => Math.abs(offset) > LIMIT);
    t.ok(late.length <= MAX_LATE, `${late.length} pairs are further apart than ${LIMIT} ms`);
    allLate += late.length;
    t.strictSame(recording.decodeErrors, [], 'everything decodes');
    t.strictSame([...recording.video.stepsBack, ...recording.audio.stepsBack], [], 'timestamps never step back');
    t.ok(
      recording.audio.largestGap <= 50,
      `no hole in the sound: ${recording.audio.largestGap} ms at ${recording.audio.largestGapAt}`,
    );
  });
}

// It is one audio service for both pages, and one of them may have had enough in store.
if (LONG) t.ok(allLate > 0, 'the loss of sound was noticed');
