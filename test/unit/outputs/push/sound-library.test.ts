import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { chmod, mkdtemp, rm, symlink, truncate, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { silentLogger } from '../../../../src/observe/logger.ts';
import { SoundLibrary, wavChannels } from '../../../../src/outputs/push/sound-library.ts';
import { childrenOf } from '../../../helpers/processes.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { silentWav } from '../../../helpers/wav.ts';
import { wrapFfmpeg } from '../../../helpers/wrapped-ffmpeg.ts';

// Takes for ever while there is a file `hang`.
const wrapped = await wrapFfmpeg(t, 'case "$*" in *adts*) [ -e "$FOLDER/hang" ] && exec sleep 60;; esac');
const folder = await mkdtemp(join(tmpdir(), 'sounds-'));
t.teardown(() => rm(folder, { recursive: true }));

const media = join(folder, 'media');
await mkdir(join(media, 'jingles'), { recursive: true });
await writeFile(join(media, 'second.wav'), silentWav(8000));
await writeFile(join(media, 'jingles', 'short.wav'), silentWav(800, 2));
await writeFile(join(media, 'text.wav'), 'not a sound');
const slow = silentWav(800);
slow.writeUInt32LE(100, 24);
await writeFile(join(media, 'slow.wav'), slow);
await writeFile(join(media, 'empty.wav'), silentWav(0));
await writeFile(join(folder, 'outside.wav'), silentWav(800));
await mkdir(join(folder, 'media-of-others'));
await writeFile(join(folder, 'media-of-others', 'outside.wav'), silentWav(800));
await writeFile(join(media, 'long.wav'), silentWav(800));
await truncate(join(media, 'long.wav'), 101 * 1024 * 1024);
await symlink(join(folder, 'outside.wav'), join(media, 'link.wav'));
const library = new SoundLibrary(media, { codec: 'aac', bitrate: 128 }, silentLogger);

t.test('a file is encoded once, as frames of 21.3 ms', async (t) => {
  const [clip, again] = await Promise.all([library.load('second.wav'), library.load('second.wav')]);
  t.equal(again, clip, 'shared, even if it is requested twice at once');
  t.ok(Math.abs(clip.frames.length - 47) <= 1, `${clip.frames.length} frames in a second`);
  t.ok((await library.load('jingles/short.wav')).frames.length >= 4);
});

t.test('an encoder ends when the last caller that waits for it has given up', async (t) => {
  await writeFile(join(wrapped, 'hang'), '');
  await writeFile(join(media, 'hang.wav'), silentWav(8000));
  const encoders = (): number => childrenOf(process.pid).filter(({ args }) => args.includes('sleep')).length;
  const [first, second] = [new AbortController(), new AbortController()];
  const loads = [first, second].map(({ signal }) => library.load('hang.wav', signal));
  const results = Promise.allSettled(loads);
  await waitFor('the encoder', () => encoders() === 1);
  first.abort(new Error('first'));
  t.equal(encoders(), 1, 'another caller waits');
  await rm(join(wrapped, 'hang'));
  second.abort(new Error('second'));
  const again = library.load('hang.wav', new AbortController().signal);
  t.match(await results, [{ reason: { message: 'second' } }, { reason: { message: 'second' } }]);
  t.equal(encoders(), 0);
  t.ok((await again).frames.length > 40, 'a caller that comes then gets the clip');
  t.equal(await library.load('hang.wav'), await again, 'which is kept');
});

t.test('a changed file is read again', async (t) => {
  const before = await library.load('second.wav');
  await writeFile(join(media, 'second.wav'), silentWav(16_000));
  t.ok((await library.load('second.wav')).frames.length > before.frames.length * 1.8);
});

t.test('missing files and files outside the directory are not found', async (t) => {
  for (const name of [
    'missing.wav',
    '../outside.wav',
    '../media-of-others/outside.wav',
    join(folder, 'outside.wav'),
    'link.wav',
    'jingles',
    '.',
    '',
    'a\0b',
    'x'.repeat(5000),
    '/etc/passwd',
  ])
    await t.rejects(library.load(name), { code: 'SOUND_FILE_NOT_FOUND' }, JSON.stringify(name.slice(0, 30)));
});

t.test('pipes and sockets are not found, without blocking', async (t) => {
  execFileSync('mkfifo', [join(media, 'pipe.wav')]);
  const server = createServer().listen(join(media, 'socket.wav'));
  await once(server, 'listening');
  t.teardown(() => server.close());
  for (const name of ['pipe.wav', 'socket.wav'])
    await t.rejects(library.load(name), { code: 'SOUND_FILE_NOT_FOUND' }, name);
});

t.test('files that are not valid audio', async (t) => {
  await t.rejects(library.load('text.wav'), { code: 'SOUND_FILE_INVALID', message: /text\.wav.*RIFF WAV/ });
  await t.rejects(library.load('slow.wav'), {
    code: 'SOUND_FILE_INVALID',
    message: /slow\.wav.*sample rate is 100 Hz/,
  });
  await t.rejects(library.load('empty.wav'), { code: 'SOUND_FILE_INVALID' });
  await t.rejects(library.load('long.wav'), { code: 'SOUND_FILE_INVALID', message: /larger than 100 MB/ });
});

t.test('a file that the gateway cannot read', async (t) => {
  await writeFile(join(media, 'secret.wav'), silentWav(800), { mode: 0 });
  await chmod(folder, 0o755);
  const root = process.getuid!() === 0;
  if (root) process.seteuid!(65_534); // root may read everything
  t.teardown(() => root && process.seteuid!(0));
  await t.rejects(library.load('secret.wav'), { code: 'SOUND_FILE_INVALID', message: /secret\.wav.*permissions/ });
});

t.test('the number of channels', async (t) => {
  t.equal(wavChannels(silentWav(1, 2)), 2);
  const described = silentWav(1);
  t.equal(
    wavChannels(
      Buffer.concat([described.subarray(0, 12), Buffer.from('LIST\x03\0\0\0abc\0', 'latin1'), described.subarray(12)]),
    ),
    1,
    'after another chunk of odd size',
  );
  t.equal(wavChannels(Buffer.from('RIFF')), undefined);
  t.equal(wavChannels(Buffer.alloc(4096)), undefined);
});
