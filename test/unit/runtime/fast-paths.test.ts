import t from 'tap';
import type { Logger } from '../../../src/observe/logger.ts';
import { FastPaths } from '../../../src/runtime/fast-paths.ts';
import { captureSpawn } from '../../../src/runtime/spawn-capture.ts';

/** Fast paths, and what they log. */
function create(): { paths: FastPaths; log: unknown[] } {
  const log: unknown[] = [];
  const write = (level: string) => (first: unknown, text?: string) => void log.push([level, text ?? first]);
  const logger = { debug: write('debug'), info: write('info'), warn: write('warn') } as unknown as Logger;
  return { paths: new FastPaths({ enabled: true, logger }), log };
}

t.test('each change of a path is one log line', async (t) => {
  const { paths, log } = create();
  t.strictSame(Object.fromEntries(paths.states), {
    young_generation: false,
    worker_pipe: false,
    worker_channel: false,
    pipe_reads: false,
  });
  for (let i = 0; i < 2; i++) paths.activate('pipe_reads');
  t.equal(paths.states.get('pipe_reads'), true);
  t.strictSame(paths.active, ['pipe_reads']);
  for (let i = 0; i < 2; i++) paths.fallBack('pipe_reads', 'tried');
  t.equal(paths.states.get('pipe_reads'), false);
  t.strictSame(log, [
    ['debug', 'fast path in use'],
    ['warn', 'fast path unavailable'],
  ]);
});

t.test('captures the child process that is started, and none of the others', async (t) => {
  const { spawn } = await import('node:child_process');
  const started: (number | undefined)[] = [];
  const start = (): void => void started.push(spawn('true').pid);
  const { child, result } = await captureSpawn(async () => {
    start();
    await Promise.resolve();
    start();
    return 'done';
  });
  t.equal(result, 'done');
  t.equal(child?.pid, started[0]);
  t.equal((await captureSpawn(async () => 1)).child, undefined, 'nothing where none is started');
  await t.rejects(
    captureSpawn(() => Promise.reject(new Error('not started'))),
    { message: 'not started' },
  );
});
