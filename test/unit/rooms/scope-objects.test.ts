import t from 'tap';
import type { ScopeLimits } from '../../../src/rooms/scope-entry.ts';
import { ScopeObjects } from '../../../src/rooms/scope-objects.ts';

const LIMITS: ScopeLimits = { members: 10, objects: 2, properties: 10, objectBytes: 1000, scopeBytes: 2000 };

t.test('objects are found by name, and their number is limited', async (t) => {
  const objects = new ScopeObjects(LIMITS);
  const score = objects.getOrCreate('score');
  t.equal(objects.getOrCreate('score'), score);
  t.equal(objects.get('score'), score);
  t.throws(() => objects.get('other'), { code: 'OBJECT_NOT_FOUND' });
  objects.getOrCreate('board');
  t.throws(() => objects.getOrCreate('third'), { code: 'LIMIT_REACHED' });
});

t.test('the bytes are those of all objects', async (t) => {
  const objects = new ScopeObjects(LIMITS);
  const [score, board] = [objects.getOrCreate('score'), objects.getOrCreate('board')];
  const empty = objects.bytes;
  objects.change(score, { type: 'set', key: 'a', value: 'text' }, 1000);
  t.ok(objects.bytes > empty);
  t.equal(objects.bytes, score.bytes + board.bytes);
  objects.remove(board);
  t.equal(objects.bytes, score.bytes);
});

t.test('an object without members goes, unless it is kept', async (t) => {
  const objects = new ScopeObjects(LIMITS);
  const [score, board] = [objects.getOrCreate('score'), objects.getOrCreate('board')];
  for (const object of [score, board]) object.members.add('ada').add('bob');
  board.acquired++;
  t.same(objects.of('ada'), ['score', 'board']);
  for (const id of ['ada', 'bob']) for (const name of ['score', 'board']) objects.disconnect(name, id);
  objects.disconnect('score', 'ada');
  t.same([...objects.byName.keys()], ['board']);
  t.equal(objects.bytes, board.bytes);
});
