import t from 'tap';
import { LocalDirectory } from '../../../src/streams/directory.ts';

t.test('a name is owned until every claim has been released, and the next owner has a greater epoch', async (t) => {
  const directory = new LocalDirectory('node-1');
  const first = await directory.claim('cam');
  const second = await directory.claim('cam');
  t.match([first, second], [{ streamName: 'cam', epoch: 1 }, { epoch: 1 }]);
  t.strictSame(await directory.owner('cam'), { node: 'node-1', epoch: 1 });
  t.equal(await directory.owner('other'), undefined);
  first.release();
  first.release();
  t.ok(await directory.owner('cam'), 'a claim is released once');
  second.release();
  t.equal(await directory.owner('cam'), undefined);
  const third = await directory.claim('cam');
  t.ok(third.epoch > second.epoch);
  t.notOk(third.lost.aborted);
});
