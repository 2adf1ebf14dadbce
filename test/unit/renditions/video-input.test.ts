import t from 'tap';
import { ParameterSetStore } from '../../../src/media/codecs/avc-parameter-sets.ts';
import { DEFAULT_MAX_FRAME_SIZE } from '../../../src/renditions/frame-limit.ts';
import { StreamTime } from '../../../src/renditions/stream-time.ts';
import { VideoInput } from '../../../src/renditions/video-input.ts';
import type { InputFrame } from '../../../src/renditions/video-source.ts';
import type { VideoCodec, VideoTrack } from '../../../src/streams/live-stream.ts';
import {
  FakeSubscription,
  H264_FRAME,
  H264_KEY_FRAME,
  H264_PARAMETER_SETS,
  VP8_FRAME,
} from '../../helpers/fake-publisher.ts';

async function open(track: Partial<VideoTrack> & { readonly codec: VideoCodec }) {
  const subscription = new FakeSubscription();
  const frames: InputFrame[] = [];
  let nowMs = 1000;
  const input = await VideoInput.create(
    { kind: 'video', clockRate: 90_000, subscribe: () => Promise.resolve(subscription as never), ...track },
    new StreamTime(),
    DEFAULT_MAX_FRAME_SIZE,
    { frame: (frame) => frames.push(frame), keyFrameNeeded() {}, refused() {} },
    () => nowMs,
  );
  return {
    input,
    frames,
    subscription,
    /** Sends payloads 30 times a second. */
    play(seconds: number, payloads: readonly Buffer[], marker = true): void {
      for (let i = 0; i < seconds * 30; i++) {
        nowMs += 1000 / 30;
        for (const [index, payload] of payloads.entries())
          subscription.packet(nowMs * 90, payload, marker && index === payloads.length - 1);
        input.poll(nowMs);
      }
    },
    pause(ms: number): void {
      nowMs += ms;
      input.poll(nowMs);
    },
  };
}

const UNUSABLE: Record<string, { codec: VideoCodec; payloads: Buffer[]; reason: RegExp }> = {
  'no parameter sets': { codec: 'h264', payloads: [H264_KEY_FRAME], reason: /no parameter sets/ },
  'no key frame': { codec: 'h264', payloads: [...H264_PARAMETER_SETS, H264_FRAME], reason: /no key frame/ },
  'STAP-B': { codec: 'h264', payloads: [Buffer.from('790001000241aa', 'hex')], reason: /STAP-B/ },
  MTAP: { codec: 'h264', payloads: [Buffer.from('7a0001000241aa', 'hex')], reason: /MTAP16/ },
  'FU-B': { codec: 'h264', payloads: [Buffer.from('7dc1000041aa', 'hex')], reason: /FU-B/ },
  'fragments without an end': {
    codec: 'h264',
    payloads: [...H264_PARAMETER_SETS, Buffer.from('7c8588aabb', 'hex')],
    reason: /incomplete/,
  },
  'VP8 without key frames': { codec: 'vp8', payloads: [VP8_FRAME], reason: /no key frame/ },
  'packets that are not VP8': { codec: 'vp8', payloads: [Buffer.of(0x80)], reason: /incomplete/ },
  'packets that are not AV1': { codec: 'av1', payloads: [Buffer.of(0x90, 0x30, 0x10)], reason: /incomplete/ },
};

for (const [name, { codec, payloads, reason }] of Object.entries(UNUSABLE)) {
  t.test(`what cannot be used is named after five seconds: ${name}`, async (t) => {
    const { input, frames, play } = await open({ codec });
    play(4.8, payloads);
    t.equal(input.unusable, undefined);
    play(0.4, payloads);
    t.match(input.unusable, reason);
    t.strictSame(frames, []);
  });
}

t.test('a publisher that agrees to no requests for key frames is told so', async (t) => {
  for (const [takesRequests, reason] of [
    [false, /none can be requested.*PLI.*FIR/],
    [true, /although it was requested/],
    [undefined, /although it was requested/],
  ] as const) {
    const { input, play } = await open({ codec: 'vp8', ...(takesRequests !== undefined && { takesRequests }) });
    play(5.2, [VP8_FRAME]);
    t.match(input.unusable, reason);
  }
});

t.test('video that comes again can be used again', async (t) => {
  const { input, frames, play } = await open({ codec: 'h264' });
  play(5.2, [H264_FRAME]);
  t.ok(input.unusable);
  play(0.1, [...H264_PARAMETER_SETS, H264_KEY_FRAME]);
  t.ok(frames.length > 0);
  t.equal(input.unusable, undefined);
});

t.test('a publisher that sends nothing for a while sends nothing wrong', async (t) => {
  const { input, play, pause } = await open({ codec: 'h264' });
  play(1, [...H264_PARAMETER_SETS, H264_KEY_FRAME]);
  for (let i = 0; i < 100; i++) pause(100);
  t.equal(input.unusable, undefined);
  play(0.1, [H264_FRAME]);
  t.equal(input.unusable, undefined);
});

t.test('parameter sets that are known before the first packet', async (t) => {
  const parameterSets = new ParameterSetStore();
  for (const set of H264_PARAMETER_SETS) parameterSets.take(set);
  const { frames, play } = await open({ codec: 'h264', parameterSets });
  play(0.2, [H264_KEY_FRAME]);
  t.match(frames[0], { keyFrame: true, size: { width: 1920, height: 1080 } });
});

t.test('a single frame is passed on, and the last one of a publisher without markers', async (t) => {
  for (const marker of [true, false]) {
    const { frames, play, pause } = await open({ codec: 'h264' });
    play(1 / 30, [...H264_PARAMETER_SETS, H264_KEY_FRAME], marker);
    pause(60);
    pause(60);
    t.equal(frames.length, 1);
  }
});
