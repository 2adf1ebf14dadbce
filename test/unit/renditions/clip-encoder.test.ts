import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { silentLogger } from '../../../src/observe/logger.ts';
import { encodeClip, UndecodableError } from '../../../src/renditions/clip-encoder.ts';
import { childrenOf } from '../../helpers/processes.ts';
import { waitFor } from '../../helpers/wait.ts';
import { silentWav } from '../../helpers/wav.ts';
import { wrapFfmpeg } from '../../helpers/wrapped-ffmpeg.ts';

const folder = await mkdtemp(join(tmpdir(), 'clips-'));
t.teardown(() => rm(folder, { recursive: true }));

// Refuses to encode, or takes for ever if there is a file `hang`.
const wrapped = await wrapFfmpeg(
  t,
  'case "$*" in *adts*) [ -e "$FOLDER/hang" ] && exec sleep 60; echo "encoded anyway" >&2; exit 1;; esac',
);

const AAC = { codec: 'aac', bitrate: 128 } as const;
const encode = (name: string, signal?: AbortSignal): Promise<Buffer[]> =>
  encodeClip({ file: join(folder, name), channels: 1 }, AAC, silentLogger, signal);

/** A WAV file of 16 bits, one channel. */
async function write(name: string, sampleRate: number, bytes: number): Promise<void> {
  const wav = silentWav(800);
  wav.writeUInt32LE(sampleRate, 24);
  wav.writeUInt32LE(sampleRate * 2, 28);
  wav.writeUInt32LE(0x7fffffff, 40);
  await writeFile(join(folder, name), wav);
  await truncate(join(folder, name), bytes);
}

t.test('files that are too long are refused before they are encoded', async (t) => {
  await write('slow.wav', 100, 90_000_000);
  await t.rejects(encode('slow.wav'), { message: /sample rate is 100 Hz/ });
  await write('fast.wav', 1_000_000, 1000);
  await t.rejects(encode('fast.wav'), { message: /sample rate is 1000000 Hz/ });
  await write('long.wav', 8000, 31 * 60 * 16_000);
  const error = await encode('long.wav').catch((thrown: unknown) => thrown);
  t.ok(error instanceof UndecodableError);
  t.match(error, { message: 'it is longer than 30 minutes' });
  await write('short.wav', 8000, 29 * 60 * 16_000);
  await t.rejects(encode('short.wav'), /encoded anyway/);
});

t.test('an encoder that is no longer needed is killed', async (t) => {
  await writeFile(join(wrapped, 'hang'), '');
  await write('a.wav', 8000, 1000);
  const abort = new AbortController();
  const encoded = encode('a.wav', abort.signal);
  encoded.catch(() => {});
  await waitFor('the encoder', () => childrenOf(process.pid).some(({ args }) => args.includes('sleep')));
  abort.abort();
  await t.rejects(encoded, /it was stopped/);
  t.strictSame(childrenOf(process.pid), []);
});

t.test('an ffmpeg that cannot be started is an error of its caller alone', async (t) => {
  await rm(join(wrapped, 'ffmpeg'));
  await write('b.wav', 8000, 1000);
  await t.rejects(encode('b.wav'), { code: 'ENCODER_FAILED', message: /could not be started.*ENOENT/ });
});
