// Run with a low `ulimit -n`: starts encoders and connections while all file descriptors are in use, and again when they are free. Prints the results as JSON.
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SharedEncoders } from '../../src/renditions/shared-encoders.ts';
import type { GatewayError } from '../../src/errors.ts';
import { g711ToAac } from '../../src/ffmpeg/ffmpeg-audio-args.ts';
import { FfmpegProcess } from '../../src/ffmpeg/ffmpeg-process.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { openTransport } from '../../src/rtmp/transport.ts';
import { SoundLibrary } from '../../src/outputs/push/sound-library.ts';
import { silentWav } from './wav.ts';

const [program = '', port] = [process.argv[2], Number(process.argv[3])];
const shared = (await SharedEncoders.create({ program, streamsEach: 16, audioBatchMs: 100, logger: silentLogger }))!;
const media = mkdtempSync(join(tmpdir(), 'without-descriptors-'));
const sounds = new SoundLibrary(media, { codec: 'aac', bitrate: 128 }, silentLogger);

/** Result of a new push: whether its audio can share an encoder, and why ffmpeg or the connection failed. */
async function begin(): Promise<{ shared: boolean; ffmpeg: string; server: string }> {
  const coder = shared.open({ channels: 1, bitrate: 96 });
  const ffmpeg = await FfmpegProcess.start(
    g711ToAac('pcmu', { sampleRate: 48_000, channels: 2, bitrate: 128 }),
    'audio encoder',
    silentLogger,
  ).catch((error: Error) => error);
  await coder?.close();
  if (ffmpeg instanceof FfmpegProcess) await ffmpeg.close();
  const socket = await openTransport(
    { host: '127.0.0.1', addresses: ['127.0.0.1'], port },
    { tcp: 5000, tls: 5000 },
    new AbortController().signal,
  ).catch((error: Error) => error);
  if (!(socket instanceof Error)) socket.destroy();
  return {
    shared: coder !== undefined,
    ffmpeg: ffmpeg instanceof Error ? ffmpeg.message : 'started',
    server: socket instanceof Error ? socket.message : 'connected',
  };
}

/** Result of loading a sound file that is not in the cache. */
async function play(name: string): Promise<string> {
  return await sounds.load(name).then(
    () => 'encoded',
    (error: GatewayError) => `${error.code}: ${error.message}`,
  );
}

for (const name of ['before.wav', 'without.wav', 'few.wav', 'after.wav'])
  writeFileSync(join(media, name), silentWav(800));
const before = { ...(await begin()), sound: await play('before.wav') };
const taken: number[] = [];
try {
  for (;;) taken.push(openSync('/dev/null', 'r'));
} catch {
  // EMFILE
}
const without = { ...(await begin()), sound: await play('without.wav') };
// Enough for the file, but not for an ffmpeg.
for (const descriptor of taken.splice(0, 4)) closeSync(descriptor);
const few = await play('few.wav');
for (const descriptor of taken) closeSync(descriptor);
const after = { ...(await begin()), sound: await play('after.wav') };
rmSync(media, { recursive: true });
console.log(JSON.stringify({ before, without, few, after }));
