import { EventEmitter } from 'node:events';
import t from 'tap';
import { GatewayError } from '../../../../../src/errors.ts';
import { silentLogger } from '../../../../../src/observe/logger.ts';
import { PushMedia } from '../../../../../src/outputs/push/codecs/push-media.ts';
import type { CodecPair } from '../../../../../src/outputs/push/codecs/codec-choice.ts';
import type { Rendition, RenditionEvents } from '../../../../../src/renditions/rendition.ts';

const H264: CodecPair = { video: 'h264', audio: 'aac' };
const AV1: CodecPair = { video: 'av1', audio: 'opus' };
const keyOf = ({ video, audio }: CodecPair): string => `${video} ${audio}`;

function setUp() {
  const renditions = new Map<string, EventEmitter<RenditionEvents>>();
  const released: string[] = [];
  const openings: PromiseWithResolvers<void>[] = [];
  const sourceOf = (pair: CodecPair) => {
    const rendition = new EventEmitter<RenditionEvents>();
    renditions.set(keyOf(pair), rendition);
    const release = async (): Promise<void> => void released.push(keyOf(pair));
    return {
      source: { lease: { rendition: rendition as unknown as Rendition, release } },
      format: { silence: Buffer.alloc(1) },
    };
  };
  const media = new PushMedia({
    pair: H264,
    ...sourceOf(H264),
    open: async (pair) => {
      openings.push(Promise.withResolvers());
      await openings.at(-1)!.promise;
      return sourceOf(pair);
    },
    logger: silentLogger,
  });
  return { media, renditions, released, openings };
}

t.test('a variant is opened once for all that wait for it, and closed with its last user', async (t) => {
  const { media, released, openings } = setUp();
  const first = media.lease(H264);
  t.notOk(first instanceof Promise, 'what is open is there at once');
  const [a, b] = [media.lease(AV1), media.lease(AV1)];
  openings[0]!.resolve();
  t.equal(await a, await b);
  t.equal(openings.length, 1);
  t.strictSame(released, [], 'both are in use');
  media.release(await a);
  t.strictSame(released, []);
  media.release(await b);
  t.strictSame(released, ['av1 opus']);
  media.release(await first);
  t.strictSame(released, ['av1 opus'], 'the last one stays, for views');
  await media.close();
  await media.close();
  t.strictSame(released, ['av1 opus', 'h264 aac']);
});

t.test('orders apply to variants that are opened later', async (t) => {
  const { media, openings } = setUp();
  media.mute();
  const clip = { frames: [Buffer.from('x')] };
  const loaded: string[] = [];
  media.soundOn({
    loop: true,
    clips: new Map([['aac', clip]]),
    load: async (codec) => {
      loaded.push(codec);
      return clip;
    },
  });
  const leased = media.lease(AV1);
  openings[0]!.resolve();
  const { audio } = await leased;
  t.ok(audio.muted);
  t.ok(audio.soundEnabled);
  t.strictSame(loaded, ['opus'], 'the file is encoded in the other codec when that is needed');
  media.soundOff();
  media.unmute();
  t.notOk(audio.soundEnabled || audio.muted);
  await media.close();
});

t.test('a variant that fails is told with its users, and is not leased again', async (t) => {
  const { media, renditions, openings, released } = setUp();
  const failures: string[] = [];
  media.on('failed', ({ pair }, { code }) => failures.push(`${keyOf(pair)} ${code}`));
  void media.lease(H264);
  const leased = media.lease(AV1);
  openings[0]!.resolve();
  const variant = await leased;
  renditions.get('av1 opus')!.emit('failed', new GatewayError('ENCODER_FAILED', 'no Opus'));
  t.strictSame(failures, ['av1 opus ENCODER_FAILED']);
  t.strictSame(released, ['av1 opus']);
  media.release(variant);
  t.ok(media.lease(AV1) instanceof Promise, 'it is opened anew');
  openings[1]!.resolve();
  await media.close();
});

t.test('what is being opened when the push ends is released', async (t) => {
  const { media, openings, released } = setUp();
  const leased = media.lease(AV1) as Promise<unknown>;
  const closed = media.close();
  openings[0]!.resolve();
  await leased;
  await closed;
  t.strictSame(released.sort(), ['av1 opus', 'h264 aac']);
});
