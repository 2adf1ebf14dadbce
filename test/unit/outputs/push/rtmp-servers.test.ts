import t, { type Test } from 'tap';
import { TAG_VIDEO } from '../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../src/media/containers/tag-group.ts';
import { encodeAmf0, type Amf0Value } from '../../../../src/media/amf0.ts';
import type { Pusher } from '../../../../src/outputs/push/pusher.ts';
import { createRtmpPusher } from '../../../../src/outputs/push/rtmp-pusher.ts';
import { MESSAGE, uint32 } from '../../../../src/rtmp/message.ts';
import { encodeAmf3 } from '../../../helpers/amf3.ts';
import { death, pushTarget, ready } from '../../../helpers/push-target.ts';
import { startScriptedServer, type Answer, type ScriptedPeer } from '../../../helpers/scripted-rtmp-server.ts';
import { waitFor } from '../../../helpers/wait.ts';

// What servers say while they take media, or not.

const group = (bytes: number): TagGroup =>
  new TagGroup([{ type: TAG_VIDEO, timestamp: 0, data: Buffer.alloc(bytes), keyFrame: false, sequenceHeader: false }]);

/** The numbers of acknowledgements, by what has been received, what of it since the last one, and how many were sent. */
const ACKNOWLEDGEMENTS: Readonly<Record<string, (got: number, step: number, index: number) => number | undefined>> = {
  'a running total': (got) => got,
  'a constant': () => 131_325,
  'the bytes since the last one': (_, step) => step,
  'a total that is reset': (got, _, index) => (index % 7 === 6 ? 0 : got % 600_000),
  'a total that wraps at 2^32': (got) => (got + 2 ** 32 - 500_000) % 2 ** 32,
  'a total that wraps at 0xf0000000': (got) => (got + 0xf0000000 - 500_000) % 0xf0000000,
  'ahead of what was sent': (got) => got + 10_000_000,
  'far behind what was sent': (got) => Math.floor(got / 100),
  'first right, then constant': (got, _, index) => (index < 5 ? got : 700_000),
  'first constant, then right': (got, _, index) => (index < 5 ? 131_325 : got),
  'in turns': (got, _, index) => (index % 2 === 0 ? got : 131_325),
  'backwards once': (got, _, index) => (index === 5 ? got - 200_000 : got),
  zero: () => 0,
  nothing: () => undefined,
};

const STALL_MS = 400;

void t.test('whatever a server acknowledges, a push goes on while it reads, and ends when it does not', async (t) => {
  await Promise.all(
    Object.entries(ACKNOWLEDGEMENTS).map(async ([name, acknowledge]) => {
      let [told, index] = [0, 0];
      const server = await startScriptedServer({
        onMessage: (peer) => {
          if (peer.received - told < 131_072) return;
          const number = acknowledge(peer.received, peer.received - told, index++);
          told = peer.received;
          if (number !== undefined) peer.send(MESSAGE.acknowledgement, uint32(number));
        },
      });
      t.teardown(() => server.stop());
      const pusher = createRtmpPusher()(pushTarget(`${server.rtmpUrl}/name`, { stallTimeoutMs: STALL_MS }));
      const died = death(pusher);
      let error: Error | undefined;
      void died.then((reason) => (error = reason));
      await ready(pusher);
      const play = setInterval(() => {
        if (pusher.writable) pusher.write(group(20_000));
      }, 10);
      t.teardown(() => clearInterval(play));
      const peer = server.peers[0]!;
      // Longer than several stall timeouts.
      await waitFor(`media to be taken: ${name}`, () => error !== undefined || peer.received > 4_000_000, {
        timeout: 30_000,
      });
      t.equal(error, undefined, name);
      peer.socket.pause();
      const more = setInterval(() => pusher.writable && pusher.write(group(100_000)), 10);
      t.teardown(() => clearInterval(more));
      t.match(await died, { code: 'DESTINATION_STALLED' }, `${name}: frozen`);
      clearInterval(more);
      clearInterval(play);
      await pusher.close();
    }),
  );
});

void t.test(
  'a server that has acknowledged and stops doing so goes on to be pushed to, where that is known',
  async (t) => {
    const server = await startScriptedServer({
      onMessage: (peer) => peer.received < 200_000 && peer.send(MESSAGE.acknowledgement, uint32(peer.received)),
    });
    t.teardown(() => server.stop());
    const target = pushTarget(`${server.rtmpUrl}/name`, { stallTimeoutMs: 200, ignoresSilence: true });
    const pusher = createRtmpPusher()(target);
    pusher.on('died', (error) => t.fail(error.message));
    await ready(pusher);
    const play = setInterval(() => pusher.writable && pusher.write(group(20_000)), 10);
    t.teardown(() => clearInterval(play));
    await waitFor('media to be taken', () => server.peers[0]!.received > 4_000_000, { timeout: 30_000 });
    clearInterval(play);
    await pusher.close();
  },
);

/** A status in AMF3, in a command of the type for AMF0. */
const status3 = (level: string, code: string): Buffer =>
  Buffer.concat([encodeAmf0('onStatus', 0, null), encodeAmf3({ level, code, description: 'words' })]);
const status =
  (level: string, code: string, streamId = 1): ((peer: ScriptedPeer) => void) =>
  (peer) =>
    peer.send(MESSAGE.command, encodeAmf0('onStatus', 0, null, { level, code, description: 'words' }), streamId);
const command =
  (payload: Buffer, type: number = MESSAGE.command): ((peer: ScriptedPeer) => void) =>
  (peer) =>
    peer.send(type, payload);
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const notice = (...values: Amf0Value[]): Buffer => encodeAmf0('onBWDone', 0, ...values);
const cut = (bytes: Buffer, by: number): Buffer => bytes.subarray(0, bytes.length - by);
const ERROR = encodeAmf0('onStatus', 0, null, { level: 'error', code: 'NetStream.Failed', description: 'words' });
const START = encodeAmf0('onStatus', 0, null, { level: 'status', code: 'NetStream.Publish.Start', description: 'on' });

async function pushTo(
  t: Test,
  answers: Readonly<Record<string, Answer>> = {},
): Promise<{ pusher: Pusher; peer: ScriptedPeer; ended: () => Error | undefined; undecodable: () => number }> {
  const server = await startScriptedServer({ answers });
  t.teardown(() => server.stop());
  let undecodable = 0;
  let error: Error | undefined;
  const pusher = createRtmpPusher({ onUndecodable: () => undecodable++ })(pushTarget(`${server.rtmpUrl}/name`));
  pusher.on('died', (reason) => (error = reason));
  await ready(pusher);
  return { pusher, peer: server.peers[0]!, ended: () => error, undecodable: () => undecodable };
}

void t.test('what does not end a push that works', async (t) => {
  const cases: [name: string, undecodable: number, say: (peer: ScriptedPeer) => void][] = [
    ['an object in AMF3', 0, command(Buffer.concat([notice(), encodeAmf3({ a: [1, 'x', { b: null }] })]))],
    ['a status in AMF3', 0, command(status3('status', 'NetStream.Publish.Idle'))],
    ['a command of the type for AMF3', 0, command(Buffer.concat([hex('00'), notice(), encodeAmf3('x')]), 17)],
    ['the same without its first byte', 0, command(notice(), 17)],
    ['data in AMF3', 0, command(hex('00 ff ff'), 15)],
    ['a reference', 0, command(Buffer.concat([notice({ a: 1 }), hex('070000')]))],
    ['a typed object', 0, command(Buffer.concat([notice(), hex('10 0001 43 0001 61 0101 000009')]))],
    ['a reference that leads nowhere', 1, command(Buffer.concat([notice(), hex('070009')]))],
    ['a cut-off status', 1, command(cut(START, 10))],
    ['a status cut off after its level', 1, command(cut(START, 60))],
    ['a command of no bytes', 1, command(Buffer.alloc(0))],
    ['the same of the type for AMF3', 1, command(Buffer.alloc(0), 17)],
    ['a command without a name', 1, command(encodeAmf0(1, 2))],
    ['an unknown marker', 1, command(Buffer.concat([notice(), hex('04')]))],
    ['an unknown class', 1, command(Buffer.concat([notice(), hex('11 0a 07 03 43 00')]))],
    ['deep nesting', 1, command(Buffer.concat([notice(), Buffer.alloc(50_000, hex('0300016103'))]))],
    ['deep nesting in AMF3', 1, command(Buffer.concat([notice(), hex('11'), Buffer.alloc(50_000, hex('090301'))]))],
    ['a huge count', 1, command(Buffer.concat([notice(), hex('0a ffffffff 05')]))],
    ['an answer that nothing waits for', 1, command(Buffer.concat([encodeAmf0('_result', 99), hex('04')]))],
    ['the end of an earlier publish', 0, status('status', 'NetStream.Unpublish.Success')],
    ['a notice', 0, status('status', 'NetStream.Publish.Idle')],
    ['a failed call', 0, status('error', 'NetConnection.Call.Failed', 0)],
    ['a player', 0, status('error', 'NetStream.Play.StreamNotFound')],
    ['another stream', 0, status('error', 'NetStream.Failed', 7)],
    ['a warning', 0, status('warning', 'NetStream.Publish.Failed')],
    ['an error of releaseStream', 0, (peer) => peer.command('_error', 2, null, { level: 'error', code: 'X' })],
    ['other commands', 0, (peer) => (peer.command('onFCPublish', 0), peer.command('onBWDone', 0, 8192))],
  ];
  await Promise.all(
    cases.map(async ([name, count, say]) => {
      const { pusher, peer, ended, undecodable } = await pushTo(t);
      say(peer);
      // The pong shows that everything before has been read.
      peer.send(MESSAGE.userControl, hex('0006 00000007'));
      await waitFor(name, () => peer.messages.some(({ type }) => type === MESSAGE.userControl), { every: 1 });
      pusher.write(group(1000));
      await waitFor(name, () => peer.messages.some(({ type }) => type === MESSAGE.video), { every: 1 });
      t.same([ended(), undecodable()], [undefined, count], name);
      await pusher.close();
    }),
  );
});

void t.test('what ends a push, with its reason', async (t) => {
  const lost = (message: RegExp): object => ({ code: 'DESTINATION_LOST', message });
  const cases: [name: string, say: (peer: ScriptedPeer) => void, expected: object][] = [
    ['an error in AMF3', command(status3('error', 'NetStream.Failed')), lost(/Failed: words/)],
    ['an error that is cut off', command(cut(ERROR, 10)), lost(/NetStream\.Failed/)],
    ['a closed connection', status('status', 'NetConnection.Connect.Closed', 0), lost(/Connect\.Closed/)],
    [
      'an end that the server means',
      (peer) => (status('status', 'NetStream.Unpublish.Success')(peer), void peer.socket.end()),
      lost(/Unpublish\.Success: words/),
    ],
    ['an end as an error', status('error', 'NetStream.Unpublish.Success'), lost(/Unpublish\.Success/)],
    [
      'a close that is cut off',
      command(Buffer.concat([encodeAmf0('close', 0), hex('04')])),
      lost(/ended the connection/),
    ],
  ];
  await Promise.all(
    cases.map(async ([name, say, expected]) => {
      const { pusher, peer } = await pushTo(t);
      const died = death(pusher);
      say(peer);
      t.match(await died, expected, name);
      await pusher.close();
    }),
  );
});

void t.test('an end that is followed by silence is part of the reason', async (t) => {
  const server = await startScriptedServer();
  t.teardown(() => server.stop());
  const pusher = createRtmpPusher()(pushTarget(`${server.rtmpUrl}/name`, { stallTimeoutMs: 200 }));
  const died = death(pusher);
  await ready(pusher);
  const peer = server.peers[0]!;
  status('status', 'NetStream.Unpublish.Success')(peer);
  peer.socket.pause();
  const play = setInterval(() => pusher.writable && pusher.write(group(200_000)), 5);
  t.match(await died, { code: 'DESTINATION_STALLED', message: /taken nothing.*Unpublish\.Success: words/ });
  clearInterval(play);
  await pusher.close();
});

void t.test('answers in AMF3, and answers that cannot be decoded', async (t) => {
  const answer =
    (name: string, ...rest: Buffer[]): Answer =>
    (peer, { transaction }) =>
      peer.send(MESSAGE.command, Buffer.concat([encodeAmf0(name, transaction), ...rest]));
  const good: Record<string, Answer>[] = [
    {
      connect: answer(
        '_result',
        encodeAmf3({ fmsVer: 'X' }, { code: 'NetConnection.Connect.Success', level: 'status' }),
      ),
    },
    { createStream: answer('_result', encodeAmf3(null, 1)) },
    { publish: (peer) => peer.send(MESSAGE.command, status3('status', 'NetStream.Publish.Start'), 1) },
    { publish: (peer) => peer.send(MESSAGE.commandAmf3, Buffer.concat([hex('00'), START]), 1) },
    // About the connection before, in front of the answer.
    {
      publish: (peer) => {
        status('status', 'NetStream.Unpublish.Success')(peer);
        status('error', 'NetConnection.Call.Failed', 0)(peer);
        peer.send(MESSAGE.command, Buffer.alloc(0));
        peer.send(MESSAGE.command, START, 1);
      },
    },
    { publish: (peer) => (peer.send(MESSAGE.command, cut(START, 60), 1), peer.send(MESSAGE.command, START, 1)) },
    { publish: (peer) => peer.send(MESSAGE.command, cut(START, 10), 1) },
  ];
  for (const answers of good) await (await pushTo(t, answers)).pusher.close();

  const timeouts = { tcp: 5000, tls: 5000, handshake: 5000, command: 1000 };
  const bad: [Record<string, Answer>, RegExp][] = [
    [{ connect: answer('_result', hex('04')) }, /answer to connect cannot be decoded \(AMF0 marker 4/],
    [{ createStream: answer('_result', hex('05 11 ff')) }, /answer to createStream cannot be decoded/],
    [{ createStream: (peer) => peer.send(MESSAGE.command, hex('02 0007 5f726573756c74 00')) }, /createStream cannot/],
    [{ connect: (peer) => peer.send(MESSAGE.command, Buffer.alloc(0)) }, /connect cannot be decoded/],
    [{ publish: (peer) => peer.send(MESSAGE.command, cut(START, 60), 1) }, /answer to publish cannot be decoded/],
  ];
  for (const [answers, message] of bad) {
    const server = await startScriptedServer({ answers });
    t.teardown(() => server.stop());
    const pusher = createRtmpPusher({ timeouts })(pushTarget(`${server.rtmpUrl}/name`));
    t.match(await death(pusher), { code: 'DESTINATION_PROTOCOL', message });
    await pusher.close();
  }
});
