import diagnostics from 'node:diagnostics_channel';
import t from 'tap';
import { FfmpegProcess } from '../../src/ffmpeg/ffmpeg-process.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { wrapFfmpeg } from '../helpers/wrapped-ffmpeg.ts';

await wrapFfmpeg(
  t,
  `case "$*" in *mjpeg*) echo output; exit 0;; *wav*) echo output; exec >&-; sleep 0.2; exit 0;; esac`,
);

t.test('output that arrives while ffmpeg is being started reaches the caller', async (t) => {
  const block = (): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  diagnostics.subscribe('child_process', block);
  t.teardown(() => diagnostics.unsubscribe('child_process', block));
  for (let times = 0; times < 8; times++) {
    const line = { inputOptions: ['-f', 'flv'], input: 'pipe:0', outputOptions: ['-f', 'mjpeg'], output: 'pipe:1' };
    const process = await FfmpegProcess.start(line, 'test', silentLogger);
    const chunks: Buffer[] = [];
    process.on('output', (chunk) => chunks.push(chunk));
    await process.finish();
    t.equal(Buffer.concat(chunks).toString(), 'output\n');
  }
});

t.test('an ffmpeg that needs time to end after its output is not killed', async (t) => {
  const line = { inputOptions: ['-f', 'flv'], input: 'pipe:0', outputOptions: ['-f', 'wav'], output: 'pipe:1' };
  const process = await FfmpegProcess.start(line, 'test', silentLogger);
  await t.resolves(process.finish());
});
