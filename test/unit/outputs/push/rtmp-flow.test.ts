import { once } from 'node:events';
import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { TAG_AUDIO, TAG_VIDEO } from '../../../../src/media/containers/flv-tag.ts';
import type { FlvTag, TagType } from '../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../src/media/containers/tag-group.ts';
import { createRtmpPusher } from '../../../../src/outputs/push/rtmp-pusher.ts';
import { MESSAGE, uint32 } from '../../../../src/rtmp/message.ts';
import { atEndOfTick } from '../../../../src/runtime/tick.ts';
import { death, pushTarget, ready } from '../../../helpers/push-target.ts';
import { startScriptedServer } from '../../../helpers/scripted-rtmp-server.ts';
import type { ScriptedPeer } from '../../../helpers/scripted-rtmp-server.ts';
import { waitFor } from '../../../helpers/wait.ts';

// When bytes are sent, what counts as taken, and when the pusher is writable.
const create = createRtmpPusher();

function tag(type: TagType, data: Buffer): FlvTag {
  return { type, timestamp: 0, data, keyFrame: false, sequenceHeader: false };
}

void t.test('small groups are sent at once', async (t) => {
  const server = await startScriptedServer();
  t.teardown(() => server.stop());
  const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
  await ready(pusher);
  await waitFor('what was said before to leave', () => pusher.backlog === 0, { every: 1 });
  pusher.write(new TagGroup([tag(TAG_AUDIO, Buffer.alloc(100))]));
  t.equal(pusher.backlog, 0);
  const progress: number[] = [];
  pusher.on('progress', (bytes) => progress.push(bytes));
  await immediate();
  t.same(progress, [112], 'and is reported in the next tick');
  await pusher.close();
});

void t.test('a large key frame is sent at the end of its tick', async (t) => {
  const server = await startScriptedServer();
  t.teardown(() => server.stop());
  const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
  await ready(pusher);
  await waitFor('what was said before to leave', () => pusher.backlog === 0);
  const waits = await new Promise<number>((resolve) => {
    atEndOfTick(() => pusher.write(new TagGroup([tag(TAG_VIDEO, Buffer.alloc(100_000, 1))])));
    atEndOfTick(() => atEndOfTick(() => resolve(pusher.backlog)));
  });
  t.equal(waits, 0, 'the kernel has it');
  await pusher.close();
});

void t.test('progress is what has been acknowledged; a peer that hangs stalls', async (t) => {
  // Not the pong: its acknowledgement could arrive after the 2 MB below, and would look like one for them.
  const server = await startScriptedServer({
    onMessage: (peer, { type }) => type === MESSAGE.video && peer.send(MESSAGE.acknowledgement, uint32(peer.received)),
  });
  t.teardown(() => server.stop());
  const pusher = create(pushTarget(`${server.rtmpUrl}/name`, { stallTimeoutMs: 200 }));
  await ready(pusher);
  const progress: number[] = [];
  pusher.on('progress', (bytes) => progress.push(bytes));
  pusher.write(new TagGroup([tag(TAG_VIDEO, Buffer.alloc(10_000))]));
  const has = (wanted: number): boolean => server.peers[0]!.messages.some(({ type }) => type === wanted);
  await waitFor('the message', () => has(MESSAGE.video), { every: 1 });
  await waitFor('it to be taken', () => pusher.backlog === 0 && progress.at(-1) === 10_012, { every: 1 });
  t.equal(progress.at(-1), 10_012, 'the message and its header');
  // Only a peer that has acknowledged media is judged by its acknowledgements. The pong shows that the acknowledgement has been read.
  server.peers[0]!.send(4, Buffer.from('000600000007', 'hex'));
  await waitFor('a pong', () => has(MESSAGE.userControl), { every: 1 });

  server.peers[0]!.socket.pause();
  const died = death(pusher);
  for (let n = 0; n < 100; n++) pusher.write(new TagGroup([tag(TAG_VIDEO, Buffer.alloc(20_000))]));
  t.equal(pusher.writable, false);
  t.ok(pusher.backlog >= 2_000_000);
  t.match(await died, { code: 'DESTINATION_STALLED', message: 'The server has taken nothing for 0.2 s' });
});

void t.test('drain is emitted when there is room again', async (t) => {
  const acknowledging = await startScriptedServer({
    onMessage: (peer, { type }) => type === MESSAGE.video && peer.send(MESSAGE.acknowledgement, uint32(peer.received)),
  });
  const mute = await startScriptedServer();
  for (const [server, serverBuffer] of [
    [acknowledging, true],
    [acknowledging, false],
    [mute, true],
    [mute, false],
  ] as const) {
    t.teardown(() => server.stop());
    const pusher = createRtmpPusher({ serverBuffer })(pushTarget(`${server.rtmpUrl}/name`));
    await ready(pusher);
    t.ok(pusher.writable);
    let written = 0;
    for (; pusher.writable; written += 100_000) pusher.write(new TagGroup([tag(TAG_VIDEO, Buffer.alloc(100_000))]));
    t.equal(written, serverBuffer ? 600_000 : 100_000, 'without a buffer each turn takes one');
    await once(pusher, 'drain');
    t.ok(pusher.writable);
    await pusher.close();
  }
});

void t.test('drain is emitted after an acknowledgement that makes room', async (t) => {
  const server = await startScriptedServer();
  t.teardown(() => server.stop());
  const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
  await ready(pusher);
  const peer = server.peers[0]!;
  const write = async (bytes: number): Promise<void> => {
    const before = peer.received;
    for (let written = 0; written < bytes; written += 100_000)
      pusher.write(new TagGroup([tag(TAG_VIDEO, Buffer.alloc(100_000))]));
    await waitFor('all to arrive', () => peer.received >= before + bytes, { every: 1 });
  };
  const acknowledge = (): void => peer.send(MESSAGE.acknowledgement, uint32(peer.received));
  await write(100_000);
  acknowledge();
  await write(2_000_000);
  t.notOk(pusher.writable);
  const drained = once(pusher, 'drain');
  acknowledge();
  await drained;
  t.ok(pusher.writable);
  await pusher.close();
});

void t.test(
  'a server whose acknowledgements are not running totals, or begin before the media, is pushed to while it takes media',
  async (t) => {
    const step = 2_500_000;
    const cases: [string, (peer: ScriptedPeer, told: number) => number][] = [
      ['the bytes since the last one', (peer, told) => peer.received - told - (told % 1000)],
      ['the sum', (peer) => peer.received],
    ];
    for (const [name, count] of cases) {
      let told = 0;
      const acknowledge = (peer: ScriptedPeer): void => {
        peer.send(MESSAGE.acknowledgement, uint32(count(peer, told)));
        // It may send as much as it receives: 2 MB in total.
        peer.send(MESSAGE.data, Buffer.alloc(250_000));
        told = peer.received;
      };
      const server = await startScriptedServer({
        answers: {
          createStream: (peer, { transaction }) => (acknowledge(peer), peer.command('_result', transaction, null, 1)),
        },
        onMessage: (peer) => peer.received - told >= step && acknowledge(peer),
      });
      const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
      pusher.on('died', (error) => t.fail(error.message));
      await ready(pusher);
      for (let written = 0; written < 8 * step; written += 100_000) {
        await waitFor(`room for byte ${written}: ${name}`, () => pusher.writable, { every: 1 });
        pusher.write(new TagGroup([tag(TAG_VIDEO, Buffer.alloc(100_000))]));
      }
      await waitFor(`all to arrive: ${name}`, () => server.peers[0]!.received >= 8 * step, { every: 1 });
      await pusher.close();
      await server.stop();
    }
  },
);
