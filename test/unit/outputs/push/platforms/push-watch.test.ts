import { EventEmitter } from 'node:events';
import t from 'tap';
import { avcFrame, avcSequenceHeader } from '../../../../../src/media/codecs/avc.ts';
import { flvTag, TAG_AUDIO, TAG_VIDEO } from '../../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../../src/media/containers/tag-group.ts';
import { silentLogger } from '../../../../../src/observe/logger.ts';
import { PlatformCatalogue } from '../../../../../src/outputs/push/platforms/catalogue.ts';
import { PushWatch } from '../../../../../src/outputs/push/platforms/push-watch.ts';
import { RenditionMeters, type MeterLease } from '../../../../../src/outputs/push/platforms/rendition-meters.ts';
import type { Rendition } from '../../../../../src/renditions/rendition.ts';
import { H264_PARAMETER_SETS } from '../../../../helpers/fake-publisher.ts';

const [SPS, PPS] = H264_PARAMETER_SETS as [Buffer, Buffer];
const HOUR = 3600;

function setUp(platform: string) {
  const lines: string[] = [];
  const logger = {
    ...silentLogger,
    info: (_: object, message: string) => lines.push(message),
    warn: ({ check, rule }: { check: string; rule: string }) => lines.push(`${check} ${rule}`),
  } as unknown as typeof silentLogger;
  const rendition = Object.assign(new EventEmitter(), {
    videoHeader: flvTag(TAG_VIDEO, 0, avcSequenceHeader(SPS, [PPS])),
    audioHeader: undefined,
  });
  const meters = new RenditionMeters();
  let tick = (_: number): void => {};
  let stopped = 0;
  let away = false;
  const watch = PushWatch.start({
    platform: PlatformCatalogue.create().find(platform)!,
    transport: 'rtmps',
    measured: meters.lease(rendition as unknown as Rendition),
    isAway: () => away,
    logger,
    everySecond: (listener) => {
      tick = listener;
      return () => void stopped++;
    },
  });
  let changes = 0;
  watch.on('change', () => changes++);
  let second = 0;
  return {
    watch,
    rendition,
    lines,
    changes: () => changes,
    stopped: () => stopped,
    setAway: (is: boolean) => (away = is),
    /** Time passes with a stream of 25 frames per second. */
    seconds(count: number, { kbps = 5000, keyEvery = 2 } = {}): void {
      for (let i = 0; i < count; i++, second++) {
        const tags = Array.from({ length: 25 }, (_, frame) =>
          flvTag(
            TAG_VIDEO,
            second * 1000 + frame * 40,
            avcFrame(
              [[Buffer.of(0x41, 0x9a), Buffer.alloc((kbps * 1000) / 8 / 25)]],
              frame === 0 && second % keyEvery === 0,
            ),
          ),
        );
        const audio = flvTag(TAG_AUDIO, second * 1000, Buffer.of(0xaf, 1, 0));
        rendition.emit('tags', new TagGroup([audio, ...tags]));
        tick(second * 1000);
      }
    },
    wait(hours: number): void {
      second += hours * HOUR;
    },
  };
}

t.test('a breach of ten seconds is a warning, told and logged once; it goes when it ends', async (t) => {
  const push = setUp('twitch');
  push.watch.setPushing(true);
  push.seconds(15);
  t.strictSame(push.watch.warnings, []);
  push.seconds(12, { kbps: 9000 });
  t.strictSame(push.watch.warnings, [], 'the mean of ten seconds exceeds the limit for less than ten');
  push.seconds(10, { kbps: 9000 });
  t.match(push.watch.warnings, [
    { check: 'videoBitrate', level: 'warning', rule: /at most 6000 kbit/, since: /^20\d\d-/, remedy: /comply/ },
  ]);
  push.seconds(60, { kbps: 9000 });
  t.equal(push.changes(), 1);
  t.equal(push.lines.length, 1);
  push.seconds(11);
  t.strictSame(push.watch.warnings, []);
  t.equal(push.changes(), 2);
  t.match(push.lines, [/^videoBitrate/, /keeps the rule/]);
});

t.test('nothing is judged before the push is connected, or while the publisher is away', async (t) => {
  const push = setUp('youtube');
  push.seconds(60, { keyEvery: 10 });
  t.strictSame(push.watch.warnings, []);
  push.watch.setPushing(true);
  push.setAway(true);
  push.seconds(60, { keyEvery: 10 });
  t.strictSame(push.watch.warnings, []);
  push.setAway(false);
  push.seconds(30, { keyEvery: 10 });
  t.match(push.watch.warnings, [{ check: 'keyFrameInterval', level: 'error', rule: 'at most 4 s (hard)' }]);
});

t.test('the end of a session is announced an hour before', async (t) => {
  const push = setUp('facebook');
  push.watch.setPushing(true);
  push.seconds(15);
  push.wait(6.9);
  push.watch.setPushing(false);
  push.watch.setPushing(true);
  push.seconds(15);
  t.strictSame(push.watch.warnings, []);
  push.wait(0.1);
  push.seconds(5);
  t.match(push.watch.warnings, [
    { check: 'sessionLength', level: 'error', measured: '7.0 h', rule: 'at most 8 h (hard)' },
  ]);
});

t.test('closing ends everything, also twice', async (t) => {
  const push = setUp('twitch');
  push.watch.close();
  push.watch.close();
  t.equal(push.rendition.listenerCount('tags'), 0);
  t.ok(push.stopped() >= 1);
});

t.test('a rendition is measured once, as long as somebody needs it', async (t) => {
  const rendition = Object.assign(new EventEmitter(), { videoHeader: undefined, audioHeader: undefined });
  const meters = new RenditionMeters();
  const [one, other] = [1, 2].map(() => meters.lease(rendition as unknown as Rendition)) as [MeterLease, MeterLease];
  t.equal(one.meter, other.meter);
  t.equal(meters.find(rendition as unknown as Rendition), one.meter);
  t.equal(rendition.listenerCount('tags'), 1);
  one.release();
  one.release();
  t.equal(rendition.listenerCount('tags'), 1);
  other.release();
  t.equal(rendition.listenerCount('tags'), 0);
  t.equal(meters.find(rendition as unknown as Rendition), undefined);
});
