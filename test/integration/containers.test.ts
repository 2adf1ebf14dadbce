import t from 'tap';
import { parseRtpPacket } from '../../src/media/rtp/rtp-packet.ts';
import { OggOpusWriter } from '../../src/media/containers/ogg-opus.ts';
import { opusPacketSamples, opusSilence } from '../../src/media/codecs/opus-packet.ts';
import {
  AAC_SAMPLES_PER_FRAME,
  aacFrame,
  aacSequenceHeader,
  AdtsReader,
  silentAacFrame,
} from '../../src/media/codecs/aac.ts';
import { audioFrame, silentG711 } from '../../src/media/containers/audio-tag.ts';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { flvTag, TAG_AUDIO, TAG_SCRIPT, TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { flvHeader } from '../../src/media/containers/flv-writer.ts';
import { onMetaData } from '../../src/media/containers/script-data.ts';
import { captureRtp, ffmpeg, ffprobe, frameHashes } from '../helpers/ffmpeg-tool.ts';
import { encodeFlvTag, parseOnMetaData } from '../helpers/flv-tags.ts';

const TONE = (sampleRate: number, seconds: number): string[] => [
  '-f',
  'lavfi',
  '-i',
  `sine=440:sample_rate=${sampleRate}:duration=${seconds}`,
];

/** Decodes to 16-bit samples, as they come: no resampling that would hide a wrong rate, no mixing. */
async function decode(format: string, bytes: Buffer): Promise<Int16Array> {
  const pcm = await ffmpeg(['-f', format, '-i', 'pipe:0', '-f', 's16le', '-'], bytes);
  return new Int16Array(pcm.buffer.slice(pcm.byteOffset, pcm.byteOffset + pcm.length));
}

function audioFlv(bodies: readonly Buffer[], msPerFrame: number): Buffer {
  const tags = bodies.map((body, index) =>
    encodeFlvTag(flvTag(TAG_AUDIO, Math.max(0, Math.round((index - 1) * msPerFrame)), body)),
  );
  return Buffer.concat([flvHeader({ audio: true, video: false }), ...tags]);
}

t.test('silent AAC frames decode to 1024 samples of digital silence', async (t) => {
  for (const sampleRate of [48_000, 44_100, 16_000]) {
    for (const channels of [1, 2] as const) {
      const frames = Array.from({ length: 10 }, () => aacFrame(silentAacFrame(channels)));
      const samples = await decode(
        'flv',
        audioFlv([aacSequenceHeader(sampleRate, channels), ...frames], (1024 / sampleRate) * 1000),
      );
      t.equal(samples.length, 10 * AAC_SAMPLES_PER_FRAME * channels, `${sampleRate} Hz, ${channels} channels`);
      t.ok(samples.every((sample) => sample === 0));
    }
  }
});

t.test('ADTS frames from ffmpeg, with silence between them', async (t) => {
  for (const [sampleRate, channels] of [
    [48_000, 2],
    [44_100, 1],
  ] as const) {
    const adts = await ffmpeg([
      ...TONE(sampleRate, 1),
      '-c:a',
      'aac',
      '-ac',
      String(channels),
      '-b:a',
      '128k',
      '-f',
      'adts',
      '-',
    ]);
    const reader = new AdtsReader();
    const frames: Buffer[] = [];
    for (let offset = 0; offset < adts.length; offset += 333)
      frames.push(...reader.push(adts.subarray(offset, offset + 333)));
    t.same(reader.config, { sampleRate, channels });
    const silence = Array.from({ length: 10 }, () => silentAacFrame(channels));
    const bodies = [...frames.slice(0, 20), ...silence, ...frames.slice(20, 40)].map(aacFrame);
    const samples = await decode(
      'flv',
      audioFlv([aacSequenceHeader(sampleRate, channels), ...bodies], (1024 / sampleRate) * 1000),
    );
    t.equal(samples.length, 50 * 1024 * channels);
    const peak = (frame: number): number =>
      samples
        .subarray(frame * 1024 * channels, (frame + 1) * 1024 * channels)
        .reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    t.ok(peak(10) > 1000 && peak(45) > 1000);
    // The first silent frame still overlaps with the audio before it.
    for (let frame = 21; frame < 30; frame++) t.equal(peak(frame), 0);
  }
});

t.test('Opus silence has the requested length, in an Ogg stream without probing', async (t) => {
  for (const [channels, samples] of [
    [1, 960],
    [2, 120],
    [2, 240 + 120],
    [2, 48_000 + 480 + 120],
    [1, 1920],
  ] as const) {
    const ogg = new OggOpusWriter();
    const parts = [ogg.header(channels)];
    let granule = 0;
    for (const packet of opusSilence(samples)) parts.push(ogg.page([packet], (granule += opusPacketSamples(packet))));
    t.equal(granule, samples);
    const pcm = await decode('ogg', Buffer.concat(parts));
    t.equal(pcm.length, samples * channels);
    t.ok(pcm.every((sample) => sample === 0));
  }
});

t.test('Opus packets through Ogg, with silence among them, decode to the same samples', async (t) => {
  const encode = ['-c:a', 'libopus', '-ac', '2', '-b:a', '96k', '-frame_duration', '20', '-application', 'lowdelay'];
  const datagrams = await captureRtp(['-re', ...TONE(48_000, 0.5), ...encode]);
  const packets = datagrams.map((datagram) => parseRtpPacket(datagram)!.payload);
  const ogg = new OggOpusWriter(77);
  const parts = [ogg.header(2)];
  let granule = 0;
  const write = (packets: Buffer[], aPage: number): void => {
    for (let i = 0; i < packets.length; i += aPage) {
      const page = packets.slice(i, i + aPage);
      for (const packet of page) granule += opusPacketSamples(packet);
      parts.push(ogg.page(page, granule));
    }
  };
  write(packets, 1);
  write(opusSilence(9600), 2);
  write(packets, 3);
  t.equal(granule, packets.length * 2 * 960 + 9600);
  const samples = await decode('ogg', Buffer.concat(parts));
  t.equal(samples.length, granule * 2);
  const middle = samples.subarray((packets.length * 960 + 1920) * 2, (packets.length * 960 + 9000) * 2);
  t.ok(
    middle.every((sample) => Math.abs(sample) <= 1),
    'silence in the middle',
  );
  t.ok(
    samples.subarray(0, packets.length * 960).some((sample) => Math.abs(sample) > 1000),
    'sound before it',
  );
});

t.test('G.711 in FLV, silence and a tone', async (t) => {
  for (const [format, codec] of [
    ['pcma', 'pcm_alaw'],
    ['pcmu', 'pcm_mulaw'],
  ] as const) {
    const sound = await ffmpeg([...TONE(8000, 0.1), '-c:a', codec, '-f', codec === 'pcm_alaw' ? 'alaw' : 'mulaw', '-']);
    const bodies = [silentG711(format, 160), sound.subarray(0, 160), silentG711(format, 160)].map((payload) =>
      audioFrame(format, payload),
    );
    const samples = await decode('flv', audioFlv(bodies, 20));
    t.equal(samples.length, 480);
    t.ok(samples.subarray(0, 160).every((sample) => Math.abs(sample) <= 8));
    t.ok(samples.subarray(160, 320).some((sample) => Math.abs(sample) > 1000));
  }
});

t.test('FLV from ffmpeg, read in pieces and written again', async (t) => {
  const video = ['-f', 'lavfi', '-i', 'testsrc2=s=320x180:r=25:d=1'];
  const encode = [
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-tune',
    'zerolatency',
    '-g',
    '10',
    '-c:a',
    'aac',
    '-ac',
    '2',
    '-shortest',
  ];
  // Started near the end of 24 bits, so that the extension of the timestamp is needed.
  const flv = await ffmpeg([...video, ...TONE(44_100, 1), ...encode, '-output_ts_offset', '16777', '-f', 'flv', '-']);
  for (const step of [1, 7, 1000, flv.length]) {
    const reader = new FlvReader();
    const tags: FlvTag[] = [];
    for (let offset = 0; offset < flv.length; offset += step)
      tags.push(...reader.push(flv.subarray(offset, offset + step)));
    const frames = tags.filter((tag) => tag.type === TAG_VIDEO && !tag.sequenceHeader && tag.data[1] === 1);
    t.equal(frames.length, 25);
    t.same(
      frames.map((tag, index) => (tag.keyFrame ? index : -1)).filter((index) => index >= 0),
      [0, 10, 20],
    );
    t.equal(frames.at(-1)!.timestamp - frames[0]!.timestamp, 960);
    t.ok(frames.at(-1)!.timestamp > 2 ** 24);
    t.equal(tags.filter((tag) => tag.sequenceHeader).length, 2);
    t.match(parseOnMetaData(tags.find((tag) => tag.type === TAG_SCRIPT)!.data), {
      width: 320,
      height: 180,
      framerate: 25,
      videocodecid: 7,
      audiocodecid: 10,
      audiosamplerate: 44_100,
    });
    const again = Buffer.concat([flvHeader({ audio: true, video: true }), ...tags.map(encodeFlvTag)]);
    if (step === 1000)
      t.same(
        await frameHashes(['-f', 'flv', '-i', 'pipe:0', '-map', '0'], again),
        await frameHashes(['-f', 'flv', '-i', 'pipe:0', '-map', '0'], flv),
      );
    t.ok(again.equals(flv), 'the same bytes');
  }
});

t.test('onMetaData is read by ffmpeg', async (t) => {
  const body = onMetaData({ audioCodecId: 10, audioSampleRate: 48_000, audioChannels: 2, audioBitrate: 128 });
  const bodies = [aacSequenceHeader(48_000, 2), aacFrame(silentAacFrame(2))].map((data) =>
    encodeFlvTag(flvTag(TAG_AUDIO, 0, data)),
  );
  const flv = Buffer.concat([
    flvHeader({ audio: true, video: false }),
    encodeFlvTag(flvTag(TAG_SCRIPT, 0, body)),
    ...bodies,
  ]);
  const probe = await ffprobe(
    ['-f', 'flv', '-i', 'pipe:0'],
    'stream=codec_name,sample_rate,channels,bit_rate:format_tags=audiochannels',
    flv,
  );
  t.match(probe, {
    streams: [{ codec_name: 'aac', sample_rate: '48000', channels: 2, bit_rate: String(128 * 1024) }],
    format: { tags: { audiochannels: '2' } },
  });
});
