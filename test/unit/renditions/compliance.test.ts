import { EventEmitter } from 'node:events';
import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { GatewayError } from '../../../src/errors.ts';
import { TAG_VIDEO, type FlvTag } from '../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../src/media/containers/tag-group.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { Compliance } from '../../../src/renditions/compliance.ts';
import type { RenditionLease } from '../../../src/renditions/encoder-pool.ts';
import type { Rendition } from '../../../src/renditions/rendition.ts';

class FakeLease extends EventEmitter {
  readonly metadata = {};
  readonly videoHeader = undefined;
  readonly audioHeader = undefined;
  readonly hasVideo = true;
  readonly recent = undefined;
  released = 0;
  requestKeyFrame(): void {}
  get lease(): RenditionLease {
    return { rendition: this as unknown as Rendition, release: async () => void this.released++ };
  }
  frame(timestamp: number, keyFrame: boolean): void {
    const tag: FlvTag = { type: TAG_VIDEO, timestamp, data: Buffer.alloc(10, 0x17), keyFrame, sequenceHeader: false };
    this.emit('tags', new TagGroup([tag]));
  }
}

const VIDEO = { height: 360, fps: 25, keyFrameInterval: 25, bitrate: 500 };

function setUp() {
  const direct = new FakeLease();
  const encoders: FakeLease[] = [];
  let tick = (_: number): void => {};
  let broken: string[] = [];
  let away = false;
  let refusal: GatewayError | undefined;
  let opening: Promise<void> = Promise.resolve();
  const profiles: object[] = [];
  const compliance = new Compliance({
    judge: { broken: () => broken, encoding: () => VIDEO },
    everySecond: (listener) => {
      tick = listener;
      return () => (tick = () => {});
    },
    logger: silentLogger,
    direct: direct.lease,
    openEncoded: async (profile) => {
      profiles.push(profile);
      await opening;
      if (refusal) throw refusal;
      const encoder = new FakeLease();
      encoders.push(encoder);
      return encoder.lease;
    },
    isAway: () => away,
  });
  let changes = 0;
  compliance.on('change', () => changes++);
  let second = 0;
  return {
    compliance,
    direct,
    encoders,
    profiles,
    changes: () => changes,
    set: (rules: string[]) => (broken = rules),
    setAway: (is: boolean) => (away = is),
    refuse: (error: GatewayError | undefined) => (refusal = error),
    open: (promise: Promise<void>) => void (opening = promise),
    /** Time passes; both renditions send 25 frames per second, the encoding 200 ms later. */
    async seconds(count: number): Promise<void> {
      for (let i = 0; i < count; i++, second++) {
        for (let frame = 0; frame < 25; frame++) {
          const ms = second * 1000 + frame * 40;
          direct.frame(ms, frame === 0);
          const late = ms - 200;
          if (late >= 0) encoders.at(-1)?.frame(late, late % 1000 === 0);
        }
        tick((second + 1) * 1000);
        await immediate();
      }
    },
  };
}

t.test('a stream is re-encoded after three seconds, and passed through after a minute', async (t) => {
  const test = setUp();
  const { compliance, encoders, direct } = test;
  await test.seconds(5);
  t.strictSame(compliance.view, { mode: 'auto', state: 'passing', because: [] });
  test.set(['rate', 'size']);
  await test.seconds(3);
  t.equal(encoders.length, 0);
  t.strictSame(compliance.view.because, ['rate', 'size']);
  await test.seconds(4);
  t.strictSame(test.profiles, [VIDEO]);
  t.strictSame(compliance.view, { mode: 'auto', state: 'encoding', because: ['rate', 'size'] });
  test.set([]);
  await test.seconds(58);
  t.equal(compliance.view.state, 'encoding');
  await test.seconds(6);
  t.strictSame(compliance.view, { mode: 'auto', state: 'passing', because: [] });
  t.equal(encoders[0]!.released, 1);
  t.equal(encoders[0]!.listenerCount('failed') + encoders[0]!.listenerCount('tags'), 0);
  t.equal(direct.released, 0);
  await compliance.close();
  await compliance.close();
  t.equal(direct.released, 1);
  t.equal(direct.listenerCount('tags'), 0);
});

t.test('an encoder that cannot be had: the stream goes on, the view says why, and it is tried again', async (t) => {
  const test = setUp();
  test.refuse(new GatewayError('LIMIT_REACHED', 'all encoders are in use'));
  test.set(['rate']);
  await test.seconds(10);
  t.strictSame(test.compliance.view, {
    mode: 'auto',
    state: 'passing',
    because: ['rate'],
    problem: 'all encoders are in use',
  });
  t.equal(test.profiles.length, 1);
  test.refuse(undefined);
  await test.seconds(32);
  t.strictSame(test.compliance.view, { mode: 'auto', state: 'encoding', because: ['rate'] });
  await test.compliance.close();
  t.equal(test.encoders[0]!.released, 1);
});

t.test('an encoder that fails on air: the stream goes on', async (t) => {
  const test = setUp();
  test.set(['rate']);
  await test.seconds(10);
  t.equal(test.compliance.view.state, 'encoding');
  test.encoders[0]!.emit('failed', new GatewayError('ENCODER_FAILED', 'it crashed'));
  await test.seconds(1);
  t.match(test.compliance.view, { state: 'passing', because: ['rate'], problem: 'it crashed' });
  t.equal(test.encoders[0]!.released, 1);
  test.set([]);
  await test.seconds(1);
  t.notOk('problem' in test.compliance.view);
  await test.compliance.close();
});

t.test('nothing is decided while the publisher is away', async (t) => {
  const test = setUp();
  test.set(['rate']);
  test.setAway(true);
  await test.seconds(20);
  t.equal(test.profiles.length, 0);
  test.setAway(false);
  await test.seconds(12);
  t.equal(test.compliance.view.state, 'encoding');
  test.setAway(true);
  test.set([]);
  await test.seconds(70);
  t.equal(test.compliance.view.state, 'encoding', 'the minute of compliance has not begun');
  await test.compliance.close();
});

t.test('closing while an encoder is being opened releases it', async (t) => {
  const test = setUp();
  let opened = (): void => {};
  test.open(new Promise((resolve) => (opened = resolve)));
  test.set(['rate']);
  await test.seconds(8);
  t.equal(test.profiles.length, 1);
  const closing = test.compliance.close();
  opened();
  await closing;
  t.equal(test.encoders[0]!.released, 1);
  t.equal(test.direct.released, 1);
});
