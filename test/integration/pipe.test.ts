import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { readDirectly } from '../../src/runtime/pipe.ts';

/** Writes pieces of these sizes, each when the one before has been read; all bytes of a piece are alike, and other than those of the next. */
const WRITER = `
  const sizes = JSON.parse(process.argv[1]);
  process.stdin.on('data', () => {
    const size = sizes.shift();
    if (size === undefined) process.exit();
    process.stdout.write(Buffer.alloc(size, sizes.length + 1));
  });`;

t.test('what is read are the bytes that were written, in pieces of any size', async (t) => {
  // Node reads into 64 KiB, which it cuts to what came: not always, since version 26, where much of it is used.
  const sizes = [1, 100, 8192, 32_768, 45_056, 60_000, 65_535, 65_536, 65_537, 200_000, 3];
  const child = spawn(process.execPath, ['-e', WRITER, JSON.stringify(sizes)], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const read: Buffer[] = [];
  let [bytes, pieces, ofStream] = [0, 0, 0];
  const more = (data: Buffer): void => {
    read.push(data);
    bytes += data.length;
    const due = sizes.slice(0, pieces + 1).reduce((sum, size) => sum + size, 0);
    if (bytes < due) return;
    pieces++;
    child.stdin.write('.');
  };
  child.stdout.on('data', () => ofStream++);
  readDirectly(child.stdout, more);
  child.stdin.write('.');
  await once(child.stdout, 'end');
  const expected = Buffer.concat(sizes.map((size, index) => Buffer.alloc(size, sizes.length - index)));
  t.ok(Buffer.concat(read).equals(expected), 'byte for byte');
  t.equal(ofStream, 0, 'without the stream');
});
