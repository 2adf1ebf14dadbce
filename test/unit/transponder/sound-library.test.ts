import { mkdtemp, rm, symlink, truncate, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { silentLogger } from '../../../src/logger.ts';
import { SoundLibrary, wavChannels } from '../../../src/transponder/sound-library.ts';

const folder = await mkdtemp(join(tmpdir(), 'sounds-'));
t.teardown(() => rm(folder, { recursive: true }));

/** A RIFF WAV file of 16 bits at 8 kHz. */
function wav(samples: number, channels = 1): Buffer {
  const head = Buffer.alloc(44);
  head.write('RIFF', 0).valueOf();
  head.writeUInt32LE(36 + samples * 2 * channels, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(8000, 24);
  head.writeUInt32LE(16_000 * channels, 28);
  head.writeUInt16LE(2 * channels, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(samples * 2 * channels, 40);
  return Buffer.concat([head, Buffer.alloc(samples * 2 * channels)]);
}

const media = join(folder, 'media');
await mkdir(join(media, 'jingles'), { recursive: true });
await writeFile(join(media, 'second.wav'), wav(8000));
await writeFile(join(media, 'jingles', 'short.wav'), wav(800, 2));
await writeFile(join(media, 'text.wav'), 'not a sound');
await writeFile(join(media, 'empty.wav'), wav(0));
await writeFile(join(folder, 'outside.wav'), wav(800));
await mkdir(join(folder, 'media-of-others'));
await writeFile(join(folder, 'media-of-others', 'outside.wav'), wav(800));
await writeFile(join(media, 'long.wav'), wav(800));
await truncate(join(media, 'long.wav'), 101 * 1024 * 1024);
await symlink(join(folder, 'outside.wav'), join(media, 'link.wav'));
const library = new SoundLibrary(media, { codec: 'aac', bitrate: 128 }, silentLogger);

t.test('a file is encoded once, as frames of 21.3 ms', async (t) => {
  const [clip, again] = await Promise.all([library.load('second.wav'), library.load('second.wav')]);
  t.equal(again, clip, 'shared, even when it was asked for twice at once');
  t.ok(Math.abs(clip.frames.length - 47) <= 1, `${clip.frames.length} frames in a second`);
  t.ok((await library.load('jingles/short.wav')).frames.length >= 4);
});

t.test('a file that has changed is read again', async (t) => {
  const before = await library.load('second.wav');
  await writeFile(join(media, 'second.wav'), wav(16_000));
  t.ok((await library.load('second.wav')).frames.length > before.frames.length * 1.8);
});

t.test('what is not there, and what is outside: not found, all the same', async (t) => {
  for (const name of ['missing.wav', '../outside.wav', '../media-of-others/outside.wav', join(folder, 'outside.wav'), 'link.wav', 'jingles', '.', '', 'a\0b', 'x'.repeat(5000), '/etc/passwd'])
    await t.rejects(library.load(name), { code: 'SOUND_FILE_NOT_FOUND' }, JSON.stringify(name.slice(0, 30)));
});

t.test('what is no sound', async (t) => {
  await t.rejects(library.load('text.wav'), { code: 'SOUND_FILE_INVALID', message: /text\.wav.*RIFF WAV/ });
  await t.rejects(library.load('empty.wav'), { code: 'SOUND_FILE_INVALID' });
  await t.rejects(library.load('long.wav'), { code: 'SOUND_FILE_INVALID', message: /larger than 100 MB/ });
});

t.test('the number of channels', async (t) => {
  t.equal(wavChannels(wav(1, 2)), 2);
  const described = wav(1);
  t.equal(wavChannels(Buffer.concat([described.subarray(0, 12), Buffer.from('LIST\x03\0\0\0abc\0', 'latin1'), described.subarray(12)])), 1, 'behind another chunk of odd size');
  t.equal(wavChannels(Buffer.from('RIFF')), undefined);
  t.equal(wavChannels(Buffer.alloc(4096)), undefined);
});
