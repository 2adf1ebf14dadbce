import { PassThrough } from 'node:stream';
import t from 'tap';
import { readDirectly } from '../../../src/runtime/pipe.ts';
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

  constructor() {
    Object.assign(this.stream, { _handle: this.handle });
  }

  attach(batchMs: number, read = (data: Buffer): unknown => this.read.push(data.toString())): string | undefined {
    return readDirectly(this.stream, { batchMs, read, failed: (reason) => this.failures.push(reason) });
  }

  /** Node has read `text`, of which it says that it is `length` bytes long. */
  arrive(text: string, length = text.length): void {
    this.handle.bytesRead += length;
    this.handle.onread(new Uint8Array(Buffer.from(text)).buffer);
  }
}

t.test('a stream without the expected handle is left alone', async (t) => {
  const handles = [undefined, null, {}, { ...new FakePipe().handle, bytesRead: undefined }, { onread: () => {} }];
  for (const _handle of handles) {
    const stream = Object.assign(new PassThrough(), { _handle });
    const reason = readDirectly(stream, { batchMs: 5, read: () => t.fail(), failed: () => t.fail() });
    t.equal(reason, 'the stream has no handle that can be read directly');
  }
});

t.test('what is read does not reach the stream, the end does', async (t) => {
  const pipe = new FakePipe();
  t.equal(pipe.attach(0), undefined);
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

t.test('pauses after a read, and reads a full pipe until it is empty', async (t) => {
  const pipe = new FakePipe();
  pipe.attach(5);
  const sizes: [bytes: number, reading: boolean][] = [
    [1000, false],
    [64 * 1024, true],
    [30_000, true],
    [2000, false],
    [30_000, false],
  ];
  for (const [bytes, reading] of sizes) {
    pipe.reading = true;
    pipe.arrive('x'.repeat(bytes));
    t.equal(pipe.reading, reading, `${bytes} bytes`);
  }
  await waitFor('the end of the pause', () => pipe.reading);
  t.equal(pipe.stops, 3);
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
