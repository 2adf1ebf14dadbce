import { EventEmitter } from 'node:events';
import t from 'tap';
import { listen } from '../../../src/runtime/listen.ts';

t.test('listeners of several events, and their removal', async (t) => {
  const emitter = new EventEmitter<{ size: [width: number, height: number]; end: [] }>();
  const seen: unknown[] = [];
  const stop = listen(emitter, { size: (...size) => seen.push(size), end: () => seen.push('end') });
  emitter.on('end', () => seen.push('another listener'));
  emitter.emit('size', 640, 360);
  emitter.emit('end');
  stop();
  stop();
  emitter.emit('size', 1, 1);
  emitter.emit('end');
  t.same(seen, [[640, 360], 'end', 'another listener', 'another listener']);
});
