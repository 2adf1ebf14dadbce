import { once } from 'node:events';
import t from 'tap';
import { toH264, type FfmpegCommandLine } from '../../src/ffmpeg/ffmpeg-args.ts';
import { ffmpegMemory } from '../../src/ffmpeg/ffmpeg-memory.ts';
import { FfmpegProcess } from '../../src/ffmpeg/ffmpeg-process.ts';
import { SupervisedFfmpeg } from '../../src/ffmpeg/supervised-ffmpeg.ts';
import { silentLogger } from '../../src/observe/logger.ts';
import { childrenOf } from '../helpers/processes.ts';
import { waitFor } from '../helpers/wait.ts';

const command = (width: number): FfmpegCommandLine =>
  toH264('flv', { width, height: 64, stretch: true, rate: 30, bitrate: 100 }, 1_000_000);
const create = (): SupervisedFfmpeg => new SupervisedFfmpeg(command(64), 'video encoder', silentLogger);
const nothingRuns = (): Promise<unknown> => waitFor('all processes to end', () => childrenOf(process.pid).length === 0);

t.test('an ffmpeg that does not read its input is replaced', async (t) => {
  const ffmpeg = create();
  await ffmpeg.start();
  const [hanging] = childrenOf(process.pid);
  process.kill(hanging!.pid, 'SIGSTOP');
  const again = once(ffmpeg, 'started');
  ffmpeg.write(Buffer.alloc(3 * 1024 * 1024));
  t.notOk(ffmpeg.running);
  await again;
  await ffmpeg.close();
  await nothingRuns();
});

t.test('the command is replaced while the first ffmpeg starts', async (t) => {
  const ffmpeg = create();
  const started = once(ffmpeg, 'started');
  void ffmpeg.start();
  await ffmpeg.replace(command(128));
  await started;
  t.match(
    childrenOf(process.pid).map(({ args }) => args.join(' ')),
    [/scale=128/],
  );
  await ffmpeg.close();
  await nothingRuns();
});

t.test('closing waits for an ffmpeg that was replaced', async (t) => {
  for (const leave of [
    (ffmpeg: SupervisedFfmpeg) => ffmpeg.replace(command(128)),
    (ffmpeg: SupervisedFfmpeg) => ffmpeg.restart('for a test'),
  ]) {
    const ffmpeg = create();
    await ffmpeg.start();
    // It ends two seconds later, by SIGKILL.
    process.kill(childrenOf(process.pid)[0]!.pid, 'SIGSTOP');
    const leaving = leave(ffmpeg);
    await ffmpeg.close();
    t.strictSame(childrenOf(process.pid), []);
    await leaving;
  }
});

t.test('an ffmpeg that uses too much memory is ended, with the figures as the reason', async (t) => {
  const ffmpeg = await FfmpegProcess.start(command(64), 'video encoder', silentLogger);
  t.teardown(() => ffmpegMemory.setLimit(0));
  ffmpegMemory.setLimit(1);
  const died = once(ffmpeg, 'died');
  await ffmpegMemory.measure();
  t.match(await died, [/it used \d+ MB of memory, and 1 MB are allowed \(max_encoder_memory_mb\)/]);
  await nothingRuns();
});

t.test('an ffmpeg that dies repeatedly is not restarted any more', async (t) => {
  const ffmpeg = create();
  const failed = once(ffmpeg, 'failed');
  ffmpeg.on('started', () => process.kill(childrenOf(process.pid)[0]!.pid, 'SIGKILL'));
  await ffmpeg.start();
  t.match(await failed, [{ code: 'ENCODER_FAILED', message: /failed 5 times/ }]);
  t.notOk(ffmpeg.running);
  await ffmpeg.close();
  await nothingRuns();
});
