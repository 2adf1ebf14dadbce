import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { TAG_AUDIO, TAG_VIDEO, type FlvTag } from '../../../../src/media/containers/flv-tag.ts';
import { createContainer, type RecordFormat } from '../../../../src/outputs/record/container.ts';
import { finishFile } from '../../../../src/outputs/record/finish-file.ts';
import { ffprobe, frameHashes } from '../../../helpers/ffmpeg-tool.ts';
import { createFlvTags } from '../../../helpers/flv-source.ts';

const SECONDS = 5;
const folder = await mkdtemp(join(tmpdir(), 'recordings-'));
t.teardown(() => rm(folder, { recursive: true }));
const tags = await createFlvTags({ seconds: SECONDS });
const header = (type: number): FlvTag => tags.find((tag) => tag.type === type && tag.sequenceHeader)!;
const headers = { video: header(TAG_VIDEO), audio: header(TAG_AUDIO) };
const media = tags.filter((tag) => (tag.type === TAG_VIDEO || tag.type === TAG_AUDIO) && !tag.sequenceHeader);
const frames = media.filter(({ type }) => type === TAG_VIDEO).length;

/** The beginning of a file and its pieces. */
function piecesOf(format: RecordFormat, source: readonly FlvTag[] = media): Buffer[] {
  const container = createContainer(format, headers, {});
  const pieces = [container.init];
  for (const tag of source) {
    if (container.bufferedMs >= 500) pieces.push(container.take(false)!);
    container.push(tag);
  }
  pieces.push(container.take(true)!);
  return pieces;
}

interface Probe {
  format: { duration: string };
  streams: { codec_type: string; start_time: string; nb_read_frames: string; nb_frames?: string }[];
}
async function probe(file: string): Promise<Probe> {
  const entries = 'format=duration:stream=codec_type,start_time,nb_read_frames,nb_frames';
  return (await ffprobe(['-count_frames', file], entries)) as Probe;
}
const streamOf = ({ streams }: Probe, type: string) => streams.find(({ codec_type }) => codec_type === type)!;

for (const format of ['mp4', 'flv'] as const)
  await t.test(`${format}: every frame is in the file, before and after it is finished`, async (t) => {
    const file = join(folder, `whole.${format}`);
    const pieces = piecesOf(format);
    t.ok(pieces.length >= SECONDS * 2 - 1, 'a piece every half second');
    await writeFile(file, Buffer.concat(pieces));
    const growing = await probe(file);
    t.equal(Number(streamOf(growing, 'video').nb_read_frames), frames);
    const before = await frameHashes(['-i', file, '-map', '0:v']);

    const finished = (await finishFile(file, format))!;
    t.equal(finished.bytes, (await stat(file)).size);
    t.ok(Math.abs(finished.durationMs - SECONDS * 1000) <= 50, `${finished.durationMs} ms`);
    const after = await probe(file);
    t.equal(Number(streamOf(after, 'video').nb_read_frames), frames);
    t.ok(Math.abs(Number(after.format.duration) - SECONDS) <= 0.06, after.format.duration);
    const offset = Number(streamOf(after, 'audio').start_time) - Number(streamOf(after, 'video').start_time);
    t.ok(Math.abs(offset) <= 0.04, `audio begins ${offset} s after the video`);
    t.strictSame(await frameHashes(['-i', file, '-map', '0:v']), before, 'the same frames');
    if (format === 'mp4') t.equal(Number(streamOf(after, 'video').nb_frames), frames, 'from the index');
    if (format === 'mp4') t.equal((await readFile(file)).toString('latin1', 36, 40), 'mdat', 'a plain file');

    const again = await finishFile(file, format);
    t.strictSame(again, finished, 'finishing twice changes nothing');
    t.equal((await stat(file)).size, finished.bytes);
  });

for (const format of ['mp4', 'flv'] as const)
  await t.test(`${format}: a file that was cut anywhere keeps its complete pieces`, async (t) => {
    const pieces = piecesOf(format);
    const whole = Buffer.concat(pieces);
    const file = join(folder, `cut.${format}`);
    for (let cut = 1; cut < 40; cut++) {
      const length = Math.floor((whole.length * cut) / 40) + cut;
      await writeFile(file, whole.subarray(0, length));
      let complete = 0;
      for (let end = 0; complete < pieces.length && end + pieces[complete]!.length <= length; complete++)
        end += pieces[complete]!.length;
      const finished = await finishFile(file, format);
      if (complete < 2) continue;
      t.ok(
        finished!.durationMs >= (complete - 1) * 500 - 50,
        `${cut}: ${finished!.durationMs} ms of ${complete} pieces`,
      );
      t.equal(finished!.bytes, (await stat(file)).size);
    }
    const { format: probed } = await probe(file);
    t.ok(Number(probed.duration) > 4);
    await frameHashes(['-i', file]);
  });

await t.test('mp4: a crash between the index and its announcement', async (t) => {
  const file = join(folder, 'announced.mp4');
  const whole = Buffer.concat(piecesOf('mp4'));
  await writeFile(file, whole);
  const finished = (await finishFile(file, 'mp4'))!;
  const bytes = await readFile(file);
  // As it was before the placeholder was overwritten, and with half of the index.
  for (const length of [bytes.length, bytes.length - 700]) {
    const crashed = Buffer.from(bytes.subarray(0, length));
    whole.copy(crashed, 0, 0, 100);
    await writeFile(file, crashed);
    t.strictSame(await finishFile(file, 'mp4'), finished);
    t.strictSame(await readFile(file), bytes);
  }
});

await t.test('mp4: a fragment that was lost is a gap', async (t) => {
  const pieces = piecesOf('mp4');
  const file = join(folder, 'gap.mp4');
  await writeFile(file, Buffer.concat([...pieces.slice(0, 4), ...pieces.slice(5)]));
  const finished = (await finishFile(file, 'mp4'))!;
  t.ok(Math.abs(finished.durationMs - SECONDS * 1000) <= 50, 'later media keeps its time');
});

await t.test('mp4: a publisher that was away leaves a gap of its length', async (t) => {
  const AWAY = 4000;
  const later = media.map((tag) => ({ ...tag, timestamp: tag.timestamp + SECONDS * 1000 + AWAY }));
  const file = join(folder, 'resumed.mp4');
  await writeFile(file, Buffer.concat(piecesOf('mp4', [...media, ...later])));
  await finishFile(file, 'mp4');
  const { packets } = (await ffprobe(['-select_streams', 'v', file], 'packet=pts_time')) as {
    packets: { pts_time: string }[];
  };
  t.equal(packets.length, frames * 2);
  const [last, first] = [packets[frames - 1]!, packets[frames]!].map(({ pts_time }) => Number(pts_time));
  t.ok(Math.abs(first! - last! - AWAY / 1000) < 0.1, `${last} then ${first}`);
});

await t.test('audio alone, and what is not a recording', async (t) => {
  const container = createContainer('mp4', { audio: headers.audio }, {});
  for (const tag of media) container.push(tag);
  const file = join(folder, 'audio.mp4');
  await writeFile(file, Buffer.concat([container.init, container.take(true)!]));
  const finished = (await finishFile(file, 'mp4'))!;
  t.ok(Math.abs(finished.durationMs - SECONDS * 1000) < 60);
  t.equal((await probe(file)).streams.length, 1);

  for (const format of ['mp4', 'flv'] as const)
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(10_000), Buffer.from('FLV'), container.init]) {
      await writeFile(file, bytes);
      t.equal((await finishFile(file, format)) ?? undefined, undefined);
    }
  t.throws(() => createContainer('mp4', {}, {}), RangeError);
  t.throws(() => createContainer('mp4', { video: { ...headers.video, data: Buffer.alloc(20) } }, {}), RangeError);
});
