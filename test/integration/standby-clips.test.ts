import { execFileSync } from 'node:child_process';
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { toH264, type VideoOutput } from '../../src/ffmpeg/ffmpeg-args.ts';
import { nalType, nalUnitsOf, readSequenceHeader } from '../../src/media/codecs/avc-nal.ts';
import { parsePps } from '../../src/media/codecs/avc-pps.ts';
import { parseSps, parseSpsSyntax } from '../../src/media/codecs/avc.ts';
import { ENHANCED_HEADER_BYTES, fourccOf, VIDEO_FOURCC } from '../../src/media/containers/enhanced-tag.ts';
import { FlvReader } from '../../src/media/containers/flv-reader.ts';
import { flvTag, TAG_VIDEO, type FlvTag } from '../../src/media/containers/flv-tag.ts';
import { flvHeader } from '../../src/media/containers/flv-writer.ts';
import { ivfFrameHeader, ivfHeader } from '../../src/media/containers/ivf.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import type { StandbyClip, StandbyFormat, StandbyPicture } from '../../src/renditions/standby/standby-clip.ts';
import { StandbyClips } from '../../src/renditions/standby/standby-clips.ts';
import { FOURCC } from '../../src/renditions/media-source.ts';
import { ffmpeg, frameHashes } from '../helpers/ffmpeg-tool.ts';
import { decode, streamOf } from '../helpers/freezing.ts';
import { encodeFlvTag } from '../helpers/flv-tags.ts';

const folder = t.testdir();
const directory = join(folder, 'media');
await mkdir(directory);
const clips = new StandbyClips({ directory, logger: silentLogger });
t.teardown(() => clips.close());

const HD: StandbyFormat = { width: 1280, height: 720, fps: 30, keyFrameIntervalMs: 1000 };
const SMALL: StandbyFormat = { width: 320, height: 180, fps: 10, keyFrameIntervalMs: 1000 };

const make = (name: string, ...args: string[]): Promise<Buffer> =>
  ffmpeg(['-f', 'lavfi', '-i', ...args, join(directory, name)]);

/** The pixels of the last frame as RGB. */
async function pixels({ header, frames, format }: StandbyClip): Promise<(x: number, y: number) => number[]> {
  const tags = frames.map(({ data }, index) => encodeFlvTag(flvTag(TAG_VIDEO, index * 33, data)));
  const file = Buffer.concat([
    flvHeader({ audio: false, video: true }),
    encodeFlvTag(flvTag(TAG_VIDEO, 0, header)),
    ...tags,
  ]);
  const rgb = await ffmpeg(
    [
      '-f',
      'flv',
      '-i',
      '-',
      '-fps_mode',
      'passthrough',
      '-enc_time_base',
      '1:1000',
      '-f',
      'rawvideo',
      '-pix_fmt',
      'rgb24',
      '-',
    ],
    file,
  );
  const start = rgb.length - format.width * format.height * 3;
  return (x, y) => [...rgb.subarray(start + (y * format.width + x) * 3, start + (y * format.width + x) * 3 + 3)];
}

function isColor(t: Test, found: number[], wanted: number[], message?: string): void {
  t.ok(
    found.every((value, index) => Math.abs(value - wanted[index]!) <= 6),
    `${message ?? 'color'}: ${found.join()}`,
  );
}

/** Decodes the clip three times in a row, as it is sent. */
async function loops(t: Test, { header, frames }: StandbyClip): Promise<void> {
  const once = frames.map(({ data }) => data);
  const hashes = await decode(flvTag(TAG_VIDEO, 0, header), [...once, ...once, ...once]);
  t.equal(hashes.length, 3 * frames.length);
  t.strictSame(hashes.slice(frames.length, 2 * frames.length), hashes.slice(0, frames.length));
}

t.test('a color: one group of frames in Constrained Baseline', async (t) => {
  const clip = await clips.clip({ source: 'color', color: '#3366cc' }, HD);
  const { sps, pps } = readSequenceHeader(clip.header);
  t.match(parseSps(sps[0]!), { profile: 66, compatibility: 0xc0, width: 1280, height: 720, frameRate: 30 });
  t.match(parseSpsSyntax(sps[0]!), { pictureOrder: { type: 2 }, framesOnly: true });
  t.match(parsePps(pps[0]!), { cabac: false });
  t.strictSame(
    clip.frames.map(({ keyFrame }) => keyFrame),
    [true, ...Array<boolean>(29).fill(false)],
  );
  t.strictSame(nalUnitsOf(clip.frames[0]!.data).map(nalType), [7, 8, 5]);
  t.ok(
    clip.frames
      .slice(1)
      .every(({ data }) => data.readIntBE(2, 3) === 0 && nalUnitsOf(data).every((unit) => nalType(unit) === 1)),
  );
  t.ok(clip.frames.reduce((sum, { data }) => sum + data.length, 0) < 10_000);
  await loops(t, clip);
  const at = await pixels(clip);
  for (const [x, y] of [
    [0, 0],
    [1279, 719],
    [640, 360],
  ] as const)
    isColor(t, at(x, y), [0x33, 0x66, 0xcc]);
});

t.test('an image is fitted into the frame; its borders and what is transparent have the color', async (t) => {
  await make(
    'logo.png',
    'color=red:s=300x300',
    '-vf',
    'format=rgba,geq=r=255:g=0:b=0:a=if(lt(X\\,100)\\,0\\,255)',
    '-frames:v',
    '1',
  );
  for (const format of [HD, { ...HD, width: 720, height: 1280 }]) {
    const clip = await clips.clip({ source: 'image', file: 'logo.png', color: '#20c020' }, format);
    t.equal(clip.frames.length, 30);
    await loops(t, clip);
    const at = await pixels(clip);
    const [x, y] = [format.width / 2, format.height / 2];
    isColor(t, at(x, y), [255, 0, 0], 'image');
    isColor(t, at(x - 200, y), [0x20, 0xc0, 0x20], 'transparent');
    isColor(t, at(3, 3), [0x20, 0xc0, 0x20], 'border');
  }
  await make('photo.jpg', 'color=yellow:s=64x32', '-frames:v', '1');
  const at = await pixels(await clips.clip({ source: 'image', file: 'photo.jpg' }, SMALL));
  isColor(t, at(160, 90), [255, 255, 0], 'JPEG');
  isColor(t, at(160, 2), [0, 0, 0], 'black border');
});

t.test('extreme images', async (t) => {
  await make('line.png', 'color=red:s=6000x2', '-vf', 'format=rgb24,crop=6000:1', '-frames:v', '1');
  await make('dot.png', 'color=red:s=2x2', '-vf', 'format=rgb24,crop=1:1', '-frames:v', '1');
  for (const file of ['line.png', 'dot.png'])
    t.equal((await clips.clip({ source: 'image', file }, SMALL)).frames.length, 10, file);
});

t.test('a video is repeated', async (t) => {
  for (const [name, codec] of [
    ['clip.mp4', 'mpeg4'],
    ['clip.mkv', 'libx264'],
    ['clip.webm', 'libvpx'],
    ['clip.ts', 'mpeg2video'],
  ] as const) {
    await make(name, 'testsrc2=s=192x144:r=25:d=3', '-c:v', codec, '-pix_fmt', 'yuv420p');
    const clip = await clips.clip({ source: 'video', file: name }, SMALL);
    t.ok(Math.abs(clip.frames.length - 30) <= 1, `${name}: ${clip.frames.length} frames`);
    t.equal(clip.frames.filter(({ keyFrame }) => keyFrame).length, 3);
    t.notOk(clip.frames.at(-1)!.keyFrame, 'no two key frames in a row');
    await loops(t, clip);
    isColor(t, (await pixels(clip))(10, 90), [0, 0, 0], 'border');
  }
});

t.test('pixels that are not square', async (t) => {
  await make('wide.mp4', 'color=red:s=144x144:r=10:d=1', '-vf', 'setsar=16/9', '-c:v', 'mpeg4');
  const at = await pixels(await clips.clip({ source: 'video', file: 'wide.mp4' }, SMALL));
  isColor(t, at(4, 4), [254, 0, 0], 'fills the frame');
});

t.test('a stream whose pixels are not square', async (t) => {
  await make('square.png', 'color=red:s=300x300', '-frames:v', '1');
  const format = { ...SMALL, width: 720, height: 576, sampleAspect: { width: 16, height: 11 } };
  const clip = await clips.clip({ source: 'image', file: 'square.png' }, format);
  t.match(parseSps(readSequenceHeader(clip.header).sps[0]!), { width: 720, sampleAspect: format.sampleAspect });
  const at = await pixels(clip);
  // 576 pixels high, and as wide on the screen.
  for (const x of [170, 550]) isColor(t, at(x, 288), [255, 0, 0], `image at ${x}`);
  for (const x of [155, 565]) isColor(t, at(x, 288), [0, 0, 0], `border at ${x}`);
});

t.test('at most a minute of a video is used, and one frame is enough', async (t) => {
  await make('long.mp4', 'color=blue:s=32x32:r=2:d=70', '-c:v', 'mpeg4');
  const long = await clips.clip({ source: 'video', file: 'long.mp4' }, SMALL);
  t.equal(long.frames.length, 600);
  await make('short.mp4', 'color=blue:s=32x32:r=10:d=0.1', '-c:v', 'mpeg4');
  const short = await clips.clip({ source: 'video', file: 'short.mp4' }, SMALL);
  t.equal(short.frames.length, 2);
  await loops(t, short);
});

t.test('text is drawn as it is, in the middle', async (t) => {
  const odd = join(folder, "a b:c'd,[e];f%g\\h");
  await mkdir(odd);
  const { TMPDIR } = process.env;
  process.env['TMPDIR'] = odd;
  t.teardown(() => (TMPDIR === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = TMPDIR)));
  for (const text of ['We’ll be right back', `%{pts} 100% 'a' "b" \\n , ; : [x] {y}\nzwei — три — 四 🙂`]) {
    const clip = await clips.clip({ source: 'color', color: '#000080', text }, HD);
    const at = await pixels(clip);
    const white: [number, number][] = [];
    for (let y = 0; y < 720; y += 2)
      for (let x = 0; x < 1280; x += 2) if (Math.min(...at(x, y)) > 200) white.push([x, y]);
    const xs = white.map(([x]) => x).sort((a, b) => a - b);
    t.ok(xs.length > 200, `${xs.length} white pixels`);
    t.ok(xs[0]! > 40 && xs.at(-1)! < 1240, `from ${xs[0]} to ${xs.at(-1)}`);
    t.ok(Math.abs(xs[0]! + xs.at(-1)! - 1280) < 40, 'centred');
    isColor(t, at(5, 5), [0, 0, 0x80], 'background');
  }
});

t.test('the same clip is encoded once', async (t) => {
  const picture: StandbyPicture = { source: 'image', file: 'shared.png' };
  await make('shared.png', 'color=red:s=64x64', '-frames:v', '1');
  const [one, two] = await Promise.all([clips.clip(picture, SMALL), clips.clip(picture, { ...SMALL, fps: 10.001 })]);
  t.equal(one, two);
  t.equal(await clips.clip(picture, SMALL), one);
  t.not(await clips.clip(picture, { ...SMALL, width: 160 }), one);
  t.not(await clips.clip({ ...picture, color: '#ffffff' }, SMALL), one);
  await utimes(join(directory, 'shared.png'), new Date(), new Date(Date.now() + 5000));
  t.not(await clips.clip(picture, SMALL), one, 'another version of the file');
});

t.test('the clips that were not used for the longest time are forgotten', async (t) => {
  const colors = ['#100000', '#200000', '#300000'];
  const clip = (few: StandbyClips, color: string): Promise<StandbyClip> => few.clip({ source: 'color', color }, SMALL);
  const all = new StandbyClips({ directory, logger: silentLogger });
  for (const color of colors) await clip(all, color);
  const few = new StandbyClips({ directory, logger: silentLogger, cacheBytes: Math.ceil((all.bytes / 3) * 2.5) });
  const [first, second] = [await clip(few, colors[0]!), await clip(few, colors[1]!)];
  t.equal(await clip(few, colors[0]!), first);
  await clip(few, colors[2]!);
  t.ok(few.bytes > 0 && few.bytes < all.bytes);
  t.equal(await clip(few, colors[0]!), first, 'used last');
  t.not(await clip(few, colors[1]!), second, 'forgotten');
  await Promise.all([few.close(), all.close(), few.close()]);
  t.equal(few.bytes, 0);
  await t.rejects(clip(few, colors[0]!), { code: 'SHUTTING_DOWN' });
});

t.test('files that are refused', async (t) => {
  const refused = async (source: 'image' | 'video', file: string, code: string, message: RegExp): Promise<void> => {
    await t.rejects(clips.check({ source, file }), { code, message }, `${source} ${file}`);
    await t.rejects(clips.clip({ source, file }, SMALL), { code, message }, `${source} ${file}`);
  };
  const write = (name: string, content: string | Buffer): Promise<void> => writeFile(join(directory, name), content);
  await writeFile(join(folder, 'outside.png'), 'x');
  await symlink(join(folder, 'outside.png'), join(directory, 'link.png'));
  await mkdir(join(directory, 'folder'));
  execFileSync('mkfifo', [join(directory, 'pipe.png')]);
  for (const file of [
    'missing.png',
    '../outside.png',
    'link.png',
    'folder',
    'pipe.png',
    '/etc/passwd',
    'a\0b',
    '',
    '.',
    'x'.repeat(5000),
  ])
    for (const source of ['image', 'video'] as const)
      await refused(source, file, 'STANDBY_FILE_NOT_FOUND', /^No such file: /);

  await write('vector.png', '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>');
  await write('list.mp4', '#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.ts\n');
  await write('concat.mp4', "ffconcat version 1.0\nfile 'clip.mp4'\n");
  await write('empty.png', '');
  await refused('image', 'vector.png', 'STANDBY_FILE_INVALID', /"vector.png" is not a PNG or JPEG image/);
  await refused('image', 'empty.png', 'STANDBY_FILE_INVALID', /not a PNG or JPEG image/);
  await refused('image', 'clip.mp4', 'STANDBY_FILE_INVALID', /not a PNG or JPEG image/);
  for (const file of ['list.mp4', 'concat.mp4', 'logo.png', 'empty.png'])
    await refused('video', file, 'STANDBY_FILE_INVALID', /is not an MP4, MOV, MKV, WebM or MPEG-TS video/);

  const bomb = Buffer.alloc(33);
  bomb.write('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1');
  bomb.writeUInt32BE(60_000, 16);
  bomb.writeUInt32BE(60_000, 20);
  await write('bomb.png', bomb);
  await refused('image', 'bomb.png', 'STANDBY_FILE_INVALID', /60000x60000 pixels/);
  await write('large.png', Buffer.alloc(21 * 1024 * 1024));
  await refused('image', 'large.png', 'STANDBY_FILE_INVALID', /larger than 20 MB/);
});

t.test('files that turn out to be damaged', async (t) => {
  // The header of an image of 16x16 pixels, and nothing else.
  const png = Buffer.from('89504e470d0a1a0a0000000d49484452000000100000001008020000009091683600000000', 'hex');
  await writeFile(join(directory, 'cut.png'), png);
  await writeFile(
    join(directory, 'cut.mp4'),
    Buffer.concat([Buffer.from('\0\0\0\x18ftypisom', 'latin1'), Buffer.alloc(200)]),
  );
  await make('audio.mp4', 'sine=d=1', '-c:a', 'aac');
  for (const [source, file] of [
    ['image', 'cut.png'],
    ['video', 'cut.mp4'],
    ['video', 'audio.mp4'],
  ] as const) {
    const error = (await clips.clip({ source, file }, SMALL).catch((thrown: unknown) => thrown)) as Error;
    t.match(error, { code: 'STANDBY_FILE_INVALID', message: /cannot be decoded/ }, file);
    t.notOk(error.message.includes(directory), 'no path of the machine');
  }
  await t.rejects(clips.clip({ source: 'color', color: "#fff,movie='x'" }, SMALL), { code: 'INVALID_REQUEST' });
});

interface Source {
  readonly name: string;
  readonly container: 'flv' | 'ivf';
  readonly args: readonly string[];
}

const SOURCES: readonly Source[] = [
  { name: 'H.264', container: 'flv', args: ['-c:v', 'libx264', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p'] },
  {
    name: 'H.264 that tells its colors',
    container: 'flv',
    args: [
      '-vf',
      'setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709',
      '-c:v',
      'libx264',
      '-tune',
      'zerolatency',
      '-pix_fmt',
      'yuv420p',
    ],
  },
  {
    name: 'H.264, full range',
    container: 'flv',
    args: ['-vf', 'scale=out_range=pc', '-c:v', 'libx264', '-tune', 'zerolatency', '-pix_fmt', 'yuvj420p'],
  },
  { name: 'VP8', container: 'ivf', args: ['-c:v', 'libvpx', '-deadline', 'realtime', '-b:v', '1M'] },
];
const OUTPUTS: readonly VideoOutput[] = [
  { width: 640, height: 360, stretch: false, rate: 30, bitrate: 800 },
  { width: 640, height: 360, stretch: false, bitrate: 800, fps: 25, rate: 25, keyFrameInterval: 50 },
  { width: 360, height: 640, stretch: true, bitrate: 1500, fps: 60, rate: 60 },
];

t.test('with the settings of a video encoder, a clip has its sequence header byte by byte', async (t) => {
  for (const { name, container, args } of SOURCES) {
    const source = await ffmpeg([
      '-f',
      'lavfi',
      '-i',
      'testsrc2=s=640x360:r=30:d=1',
      ...args,
      '-g',
      '15',
      '-f',
      container,
      '-',
    ]);
    // The sources differ in their colors, the outputs in their encoders.
    for (const output of name === 'H.264' ? OUTPUTS : OUTPUTS.slice(1, 2)) {
      const live = await transcode(source, container, output);
      const { width, height } = output;
      const format = {
        width,
        height,
        fps: output.fps ?? 30,
        keyFrameIntervalMs: 500,
        encoder: { output, header: live.header.data },
      };
      const clip = await clips.clip({ source: 'color', color: '#404040', text: 'break' }, format);
      t.equal(clip.header.toString('hex'), live.header.data.toString('hex'), `${name}, ${JSON.stringify(output)}`);
      if (name === 'H.264') {
        const unknown = await clips.clip({ source: 'color', color: '#404040' }, { ...format, encoder: { output } });
        t.equal(unknown.header.toString('hex'), live.header.data.toString('hex'), 'also before it has encoded');
      }
      // From one to the other and back, with one sequence header.
      const bodies = live.frames.map(({ data }) => data);
      const inBetween = clip.frames.map(({ data }) => data);
      const decoded = await decode(live.header, [...bodies, ...inBetween, ...inBetween, ...bodies]);
      const alone = await decode(live.header, bodies);
      t.strictSame(decoded.slice(0, bodies.length), alone);
      t.strictSame(decoded.slice(-bodies.length), alone);
      t.equal(decoded.length, 2 * (bodies.length + inBetween.length));
    }
  }
  const { width, height, ...output } = OUTPUTS[1]!;
  await make('loop.mp4', 'testsrc2=s=320x180:r=30:d=2', '-c:v', 'mpeg4');
  const video = await clips.clip(
    { source: 'video', file: 'loop.mp4' },
    { width, height, fps: 25, keyFrameIntervalMs: 1000, encoder: { output: { width, height, ...output } } },
  );
  t.ok(Math.abs(video.frames.length - 50) <= 1);
  await loops(t, video);
});

async function transcode(
  source: Buffer,
  container: 'flv' | 'ivf',
  output: VideoOutput,
): Promise<{ header: FlvTag; frames: readonly FlvTag[] }> {
  const line = toH264(container, output, 10_000_000);
  const flv = await ffmpeg([...line.inputOptions, '-i', line.input, ...line.outputOptions, line.output], source);
  return streamOf(new FlvReader().push(flv).filter(({ type, data }) => type === TAG_VIDEO && data.length > 5));
}

for (const codec of ['vp8', 'vp9', 'av1'] as const)
  t.test(
    `${codec}: a clip decodes however often it is repeated, each frame is shown, and it begins with a key frame`,
    async (t) => {
      const file = `moving-${codec}.mp4`;
      await make(file, 'testsrc2=size=320x180:rate=10', '-t', '2');
      for (const picture of [
        { source: 'color', color: '#3366cc' },
        { source: 'video', file, color: '#000000' },
      ] as const) {
        const clip = await clips.clip(picture, { ...SMALL, codec });
        t.equal(fourccOf(flvTag(TAG_VIDEO, 0, clip.header)), VIDEO_FOURCC[codec]);
        t.ok(clip.frames[0]!.keyFrame);
        t.notOk(clip.frames.at(-1)!.keyFrame);
        t.equal(clip.frames.filter(({ keyFrame }) => keyFrame).length, Math.ceil(clip.frames.length / 10));
        const once = clip.frames.map(({ data }) => data.subarray(ENHANCED_HEADER_BYTES));
        const parts = [...once, ...once, ...once].flatMap((frame, index) => [
          ivfFrameHeader(frame.length, index),
          frame,
        ]);
        const header = ivfHeader({ fourcc: FOURCC[codec], width: 320, height: 180, timebase: [1, 10] });
        const ivf = join(folder, `${codec}.ivf`);
        await writeFile(ivf, Buffer.concat([header, ...parts]));
        const hashes = await frameHashes(['-i', ivf, '-map', '0:v']);
        t.equal(hashes.length, 3 * once.length, 'each frame is shown');
        t.strictSame(hashes.slice(once.length, 2 * once.length), hashes.slice(0, once.length), 'the same each time');
      }
    },
  );
