import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { readDirectly } from '../../src/runtime/pipe.ts';

/** Writes pieces of these sizes, each when the one before has been read. The bytes of a piece are equal and differ from those of the next one. */
const WRITER = `
  const sizes = JSON.parse(process.argv[1]);
  process.stdin.on('data', () => {
    const size = sizes.shift();
    if (size === undefined) process.exit();
    process.stdout.write(Buffer.alloc(size, sizes.length + 1));
  });`;

// Node reads into 64 KiB and cuts them to what was read; from version 26 on not always.
const SIZES = [1, 100, 8192, 32_768, 45_056, 60_000, 65_535, 65_536, 65_537, 200_000, 3];

for (const batchMs of [0, 5])
  t.test(`reads the bytes that a process writes, every ${batchMs} ms`, async (t) => {
    const child = spawn(process.execPath, ['-e', WRITER, JSON.stringify(SIZES)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    const read: Buffer[] = [];
    let [bytes, pieces, ofStream] = [0, 0, 0];
    const more = (data: Buffer): void => {
      read.push(data);
      bytes += data.length;
      const due = SIZES.slice(0, pieces + 1).reduce((sum, size) => sum + size, 0);
      if (bytes < due) return;
      pieces++;
      child.stdin.write('.');
    };
    child.stdout.on('data', () => ofStream++);
    t.type(readDirectly(child.stdout, { batchMs, read: more, failed: (reason) => t.fail(reason) }), 'object');
    child.stdin.write('.');
    await once(child.stdout, 'end');
    const expected = Buffer.concat(SIZES.map((size, index) => Buffer.alloc(size, SIZES.length - index)));
    t.ok(Buffer.concat(read).equals(expected), 'byte for byte');
    t.equal(ofStream, 0, 'without the stream');
  });

t.test('pauses without blocking the event loop', async (t) => {
  const writer = 'setInterval(() => process.stdout.write("x".repeat(1000)), 1)';
  const child = spawn(process.execPath, ['-e', writer], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  let [reads, bytes] = [0, 0];
  child.stdout.on('data', () => t.fail('a read by the stream'));
  const counted = new Promise<void>((resolve) => {
    const read = (data: Buffer): void => {
      reads++;
      bytes += data.length;
      if (bytes >= 300_000) resolve();
    };
    readDirectly(child.stdout, { batchMs: 20, read, failed: (reason) => t.fail(reason) });
  });
  await counted;
  t.ok(bytes / reads > 5000, `${Math.round(bytes / reads)} bytes a read`);
});
