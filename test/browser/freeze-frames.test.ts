import { readFile } from 'node:fs/promises';
import t from 'tap';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { TAG_VIDEO } from '../../src/media/containers/flv-tag.ts';
import { freezeFrames } from '../../src/renditions/standby/freeze-frames.ts';
import { proveFreeze, streamOf, type H264Stream } from '../helpers/freezing.ts';
import { recorded, recordingOf } from '../helpers/recording.ts';
import { FILE_TIMEOUT, setStage } from '../helpers/stage.ts';

t.setTimeout(FILE_TIMEOUT);

const { nginx, publisher, openPage } = await setStage(t);

async function fromBrowser(): Promise<H264Stream> {
  await publisher({ name: 'camera', rtmpUrl: nginx.rtmpUrl });
  const file = recordingOf(nginx, 'rtmp_camera');
  await recorded(file, 8000);
  const tags = new FlvReader().push(await readFile(file)).filter(({ type }) => type === TAG_VIDEO);
  const { header, frames } = streamOf(tags);
  // A browser changes the size in its first seconds. The last sequence header is that of the last frames.
  const changed = tags.findLastIndex((tag) => tag.sequenceHeader);
  return { header: tags[changed] ?? header, frames: tags.slice(changed + 1).filter((tag) => frames.includes(tag)) };
}

const stream = await fromBrowser();

t.test('the stream of a browser, decoded by ffmpeg', async (t) => {
  t.ok(stream.frames.length > 60);
  await proveFreeze(t, stream, 7);
});

/** Decodes H.264 with WebCodecs; resolves with the sum of each frame's samples. Runs in the page. */
const decodeInPage = async (
  description: string,
  frames: readonly { data: string; keyFrame: boolean }[],
): Promise<number[]> => {
  const bytes = (base64: string): Uint8Array<ArrayBuffer> =>
    Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const record = bytes(description);
  const hex = [...record.subarray(1, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const sums: Promise<number>[] = [];
  let failure: Error | undefined;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a class of browsers
  const { VideoDecoder, EncodedVideoChunk } = globalThis as any;
  const decoder = new VideoDecoder({
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a class of browsers
    output: (frame: any) =>
      sums.push(
        (async () => {
          const samples = new Uint8Array(frame.allocationSize());
          await frame.copyTo(samples);
          frame.close();
          return samples.reduce((hash, sample) => (Math.imul(hash, 31) + sample) | 0, 7);
        })(),
      ),
    error: (error: Error) => (failure = error),
  });
  decoder.configure({ codec: `avc1.${hex}`, description: record, optimizeForLatency: true });
  for (const [index, { data, keyFrame }] of frames.entries())
    decoder.decode(
      new EncodedVideoChunk({ type: keyFrame ? 'key' : 'delta', timestamp: index * 33_000, data: bytes(data) }),
    );
  await decoder.flush();
  if (failure) throw failure;
  return Promise.all(sums);
};

t.test('and by the browser', async (t) => {
  const { header, frames } = stream;
  const start = frames.findIndex(({ keyFrame }) => keyFrame);
  const next = frames.findIndex(({ keyFrame }, index) => keyFrame && index > start + 10);
  t.ok(next > start, 'there are two key frames');
  const frozen = freezeFrames(header, frames[next - 1]!)!;
  const copies = Array.from({ length: 60 }, () => ({ data: frozen.next(), keyFrame: false }));
  const { page } = await openPage();
  const decode = async (sent: readonly { data: Buffer; keyFrame: boolean }[]): Promise<number[]> => {
    const chunks = sent.map(({ data, keyFrame }) => ({ data: data.subarray(5).toString('base64'), keyFrame }));
    const description = JSON.stringify(header.data.subarray(5).toString('base64'));
    return (await page.evaluate(`(${decodeInPage.toString()})(${description}, ${JSON.stringify(chunks)})`)) as number[];
  };
  const before = frames.slice(start, next);
  const after = frames.slice(next, next + 20);
  const [live, again, all] = [
    await decode(before),
    await decode(after),
    await decode([...before, ...copies, ...after]),
  ];
  t.equal(live.length, before.length);
  t.ok(new Set(live).size > 10, 'the camera moves');
  t.strictSame(all, [...live, ...copies.map(() => live.at(-1)), ...again]);
});
