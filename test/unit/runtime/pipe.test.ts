import { closeSync, openSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import t, { type Test } from 'tap';
import { readDirectly, type DirectReads } from '../../../src/runtime/pipe.ts';
import { Ticker } from '../../../src/runtime/ticker.ts';
import { waitFor } from '../../helpers/wait.ts';

/** A pipe whose handle is played by the test, and everything that it reads. */
class FakePipe {
  readonly stream = new PassThrough();
  readonly read: string[] = [];
  readonly failures: string[] = [];
  /** What the stream's own reader got. */
  readonly ofStream: (string | undefined)[] = [];
  reading = true;
  stops = 0;
  readonly handle = {
    bytesRead: 100,
    onread: (memory: ArrayBuffer | undefined): unknown =>
      this.ofStream.push(memory === undefined ? undefined : Buffer.from(memory).toString()),
    readStart: () => void (this.reading = true),
    readStop: () => {
      this.reading = false;
      this.stops++;
    },
  };

  constructor(fd = 0) {
    Object.assign(this.stream, { _handle: Object.assign(this.handle, { fd }) });
  }

  attach(batchMs: number, read = (data: Buffer): unknown => this.read.push(data.toString())): DirectReads | string {
    return readDirectly(this.stream, { batchMs, read, failed: (reason) => this.failures.push(reason) });
  }

  /** Node has read `text`, of which it says that it is `length` bytes long. */
  arrive(text: string, length = text.length): void {
    this.handle.bytesRead += length;
    this.handle.onread(new Uint8Array(Buffer.from(text)).buffer);
  }
}

/** A file descriptor from which `text` is read. */
function openFile(t: Test, text: string): number {
  const file = path.join(t.testdir(), 'file');
  writeFileSync(file, text);
  const fd = openSync(file, 'r');
  t.teardown(() => closeSync(fd));
  return fd;
}

t.test('a stream without the expected handle is left alone', async (t) => {
  const handles = [
    undefined,
    null,
    {},
    { ...new FakePipe().handle, bytesRead: undefined },
    { ...new FakePipe().handle, fd: -1 },
    { onread: () => {} },
  ];
  for (const _handle of handles) {
    const stream = Object.assign(new PassThrough(), { _handle });
    const reason = readDirectly(stream, { batchMs: 5, read: () => t.fail(), failed: () => t.fail() });
    t.equal(reason, 'the stream has no handle that can be read directly');
  }
});

t.test('what is read does not reach the stream, the end does', async (t) => {
  const pipe = new FakePipe();
  t.type(pipe.attach(0), 'object');
  pipe.arrive('abc');
  pipe.arrive('de---', 2);
  pipe.handle.onread(undefined);
  t.strictSame(pipe.read, ['abc', 'de']);
  t.strictSame(pipe.ofStream, [undefined]);
  t.equal(pipe.stops, 0, 'no pauses without batches');
});

t.test('lengths that cannot be give the pipe back to its stream', async (t) => {
  for (const length of [4, -1, NaN]) {
    const pipe = new FakePipe();
    pipe.attach(0);
    pipe.arrive('abc', length);
    pipe.arrive('def');
    t.strictSame(pipe.read, []);
    t.strictSame(pipe.ofStream, ['abc', 'def'], `${length} of 3 bytes`);
    t.strictSame(pipe.failures, [`a read of ${length} bytes does not fit its memory`]);
  }
});

t.test('a reader that throws does not throw out of the I/O callback', async (t) => {
  const pipe = new FakePipe();
  pipe.attach(0, () => {
    throw new Error('of the reader');
  });
  t.doesNotThrow(() => pipe.arrive('abc'));
  t.strictSame(pipe.failures, ['what was read could not be processed']);
  t.strictSame(pipe.ofStream, []);
});

t.test('reads in batches after a read, until the pipe says that it has ended', async (t) => {
  const pipe = new FakePipe(openFile(t, 'defg'));
  pipe.attach(5);
  pipe.arrive('abc');
  t.notOk(pipe.reading);
  await waitFor('Node to read again', () => pipe.reading);
  t.strictSame(pipe.read, ['abc', 'defg']);
  pipe.arrive('hi');
  t.strictSame(pipe.read, ['abc', 'defg', 'hi']);
  t.equal(pipe.stops, 2);
  pipe.stream.destroy();
});

t.test('where an answer is expected, there are no batches for a moment', async (t) => {
  const pipe = new FakePipe(openFile(t, ''));
  const { hurry } = pipe.attach(10_000) as DirectReads;
  pipe.arrive('abc');
  t.notOk(pipe.reading, 'batches');
  hurry();
  t.ok(pipe.reading, 'read at once');
  pipe.arrive('answer');
  t.ok(pipe.reading, 'what comes with it, too');
  await waitFor(
    'batches again',
    () => {
      pipe.arrive('def');
      return !pipe.reading;
    },
    { every: 1 },
  );
  pipe.stream.destroy();
});

t.test('a pipe that was full is read again before the next batch', async (t) => {
  const BATCH_MS = 60;
  const pipe = new FakePipe(openFile(t, 'x'.repeat(60_000)));
  pipe.attach(BATCH_MS);
  let batches = 0;
  t.teardown(Ticker.every(BATCH_MS).listen(() => void batches++));
  pipe.arrive('abc');
  await waitFor('the end of the file', () => pipe.reading, { every: 1 });
  t.equal(batches, 1);
  t.equal(pipe.read[1]?.length, 60_000);
});

t.test('a closed pipe is not read again', async (t) => {
  const pipe = new FakePipe();
  pipe.attach(1);
  pipe.arrive('abc');
  const closed = new Promise((resolve) => pipe.stream.once('close', resolve));
  pipe.stream.destroy();
  await closed;
  await new Promise((resolve) => setTimeout(resolve, 10));
  t.notOk(pipe.reading);
});
