import { once } from 'node:events';
import t from 'tap';
import type { Test } from 'tap';
import { TAG_AUDIO, TAG_SCRIPT, TAG_VIDEO } from '../../../../src/media/containers/flv-tag.ts';
import type { FlvTag, TagType } from '../../../../src/media/containers/flv-tag.ts';
import { TagGroup } from '../../../../src/media/containers/tag-group.ts';
import { createRtmpPusher } from '../../../../src/outputs/push/rtmp-pusher.ts';
import { decodeAmf0, encodeAmf0 } from '../../../../src/media/amf0.ts';
import { DEFAULT_TIMEOUTS } from '../../../../src/rtmp/rtmp-client.ts';
import { MESSAGE, uint32 } from '../../../../src/rtmp/message.ts';
import { death, pushTarget, ready } from '../../../helpers/push-target.ts';
import { startScriptedServer } from '../../../helpers/scripted-rtmp-server.ts';
import type { Answer, ScriptedPeer, ScriptedServerOptions } from '../../../helpers/scripted-rtmp-server.ts';
import { waitFor } from '../../../helpers/wait.ts';

const create = createRtmpPusher();

/** Short timeouts are for tests that expect them, so that a busy machine is not mistaken for a silent server. */
const QUICK = { tcp: 300, tls: 300, handshake: 300, command: 300 };
const patience = (code: string): typeof QUICK => (code === 'DESTINATION_TIMEOUT' ? QUICK : DEFAULT_TIMEOUTS);

function tag(type: TagType, data: Buffer, timestamp = 0): FlvTag {
  return { type, timestamp, data, keyFrame: false, sequenceHeader: false };
}

/** The reason for which a push to such a server fails. */
async function deathBy(
  t: Test,
  options: ScriptedServerOptions,
  path = 'name',
  timeouts = DEFAULT_TIMEOUTS,
): ReturnType<typeof death> {
  const server = await startScriptedServer(options);
  t.teardown(() => server.stop());
  const pusher = createRtmpPusher({ timeouts })(pushTarget(`${server.rtmpUrl}/${path}`));
  const error = await death(pusher);
  await pusher.close();
  return error;
}
void t.test('the order on the wire', async (t) => {
  const server = await startScriptedServer();
  t.teardown(() => server.stop());
  const pusher = create(pushTarget(`${server.rtmpUrl}/FB-123-0-Abc?ds=1&s_l=1&a=X%2fYZ`, { flashVersion: 'FMLE/9' }));
  await ready(pusher);
  const video = Buffer.alloc(100_000, 1);
  const meta = encodeAmf0('onMetaData', { width: 640 });
  pusher.write(new TagGroup([tag(TAG_SCRIPT, meta)]));
  pusher.write(new TagGroup([tag(TAG_VIDEO, video, 0x01000001)]));
  pusher.write(new TagGroup([tag(TAG_AUDIO, Buffer.from([0xaf, 1, 2]), 0x01000002)]));
  await Promise.all([pusher.close(), pusher.close()]);

  const peer = server.peers[0]!;
  t.same(
    peer.commands.map(({ name }) => name),
    ['connect', 'releaseStream', 'FCPublish', 'createStream', 'publish', 'FCUnpublish', 'deleteStream'],
  );
  t.match(peer.commands[0]!.values[0], {
    app: 'live',
    type: 'nonprivate',
    flashVer: 'FMLE/9',
    tcUrl: `rtmp://127.0.0.1:${server.port}/live`,
  });
  const key = 'FB-123-0-Abc?ds=1&s_l=1&a=X%2fYZ';
  t.same(peer.commands[4], { name: 'publish', transaction: 5, values: [null, key, 'live'], streamId: 1 });
  t.same(peer.commands[1]!.values, [null, key]);
  t.same(peer.commands[5]!.values, [null, key]);
  t.same(peer.commands[6]!.values, [null, 1]);

  t.same(
    peer.messages.map(({ type }) => type),
    [MESSAGE.windowAcknowledgementSize, MESSAGE.data, MESSAGE.video, MESSAGE.audio],
  );
  t.same(
    peer.messages.map(({ timestamp }) => timestamp),
    [0, 0, 0x01000001, 0x01000002],
  );
  t.match(decodeAmf0(peer.messages[1]!.payload), ['@setDataFrame', 'onMetaData', { width: 640 }]);
  t.ok(peer.messages[2]!.payload.equals(video));
});

void t.test('a group for several destinations is sent to each with its own stream id and chunk size', async (t) => {
  const group = new TagGroup([tag(TAG_VIDEO, Buffer.alloc(10_000, 1))]);
  for (const [streamId, chunkSize] of [
    [1, 65_536],
    [2, 65_536],
    [2, 4096],
  ] as const) {
    const server = await startScriptedServer({
      answers: { createStream: (peer, { transaction }) => peer.command('_result', transaction, null, streamId) },
    });
    t.teardown(() => server.stop());
    const pusher = createRtmpPusher({ chunkSize })(pushTarget(`${server.rtmpUrl}/name`));
    await ready(pusher);
    pusher.write(group);
    await pusher.close();
    t.match(server.peers[0]!.messages.at(-1), { type: MESSAGE.video, streamId, payload: group.tags[0]!.data });
  }
});

void t.test('queries of the application stay in the application', async (t) => {
  const server = await startScriptedServer();
  t.teardown(() => server.stop());
  const target = pushTarget(`${server.rtmpUrl}/x/y`);
  const pusher = create(target);
  await ready(pusher);
  await pusher.close();
  t.match(server.peers[0]!.commands[0]!.values[0], { app: 'live/x', tcUrl: `rtmp://127.0.0.1:${server.port}/live/x` });
});

void t.test("the server's description is the reason, without the key", async (t) => {
  const badName: Answer = (peer) =>
    peer.status('error', 'NetStream.Publish.BadName', 'live/s3cr3t is already published, s3cr3t!');
  const error = await deathBy(t, { answers: { publish: badName } }, 's3cr3t?token=abcdef');
  t.equal(error.code, 'DESTINATION_REFUSED');
  t.match(error.message, /NetStream\.Publish\.BadName: live\/\*\*\* is already published/);
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    t.notMatch(`${cause.message}${cause.stack}`, /s3cr3t|abcdef/);
});

void t.test('a name that was accepted before is retried, other refusals are not', async (t) => {
  for (const [code, resumed] of [
    ['NetStream.Publish.BadName', 'DESTINATION_LOST'],
    ['NetStream.Publish.Denied', 'DESTINATION_REFUSED'],
  ] as const) {
    const server = await startScriptedServer({ answers: { publish: (peer) => peer.status('error', code, 'no') } });
    t.teardown(() => server.stop());
    for (const resumes of [false, true]) {
      const pusher = create(pushTarget(`${server.rtmpUrl}/name`, { resumes }));
      const error = await death(pusher);
      t.match(error, { code: resumes ? resumed : 'DESTINATION_REFUSED', message: `${code}: no` });
      await waitFor('the connection to end, though the server does not', () => server.peers.at(-1)!.socket.destroyed, {
        every: 1,
      });
      await pusher.close();
    }
  }
});

void t.test('refusals at every step', async (t) => {
  const cases: [string, ScriptedServerOptions['answers'], string][] = [
    [
      'unknown application',
      { connect: (peer, command) => peer.reject(command, 'NetConnection.Connect.InvalidApp', 'no app') },
      'DESTINATION_REFUSED',
    ],
    [
      'server restarts',
      { connect: (peer, command) => peer.reject(command, 'NetConnection.Connect.AppShutdown', 'later') },
      'DESTINATION_LOST',
    ],
    [
      'createStream',
      { createStream: (peer, command) => peer.reject(command, 'NetStream.Failed', '') },
      'DESTINATION_LOST',
    ],
    [
      'createStream without a number',
      { createStream: (peer, { transaction }) => peer.command('_result', transaction, null, 'one') },
      'DESTINATION_PROTOCOL',
    ],
    [
      'createStream with a number that is no stream',
      { createStream: (peer, { transaction }) => peer.command('_result', transaction, null, -1) },
      'DESTINATION_PROTOCOL',
    ],
    [
      'publish by _error',
      { publish: (peer, command) => peer.reject(command, 'NetStream.Publish.Denied', 'no') },
      'DESTINATION_REFUSED',
    ],
    [
      'publish by _error behind a _result',
      {
        publish: (peer, command) => (
          peer.command('_result', command.transaction, null),
          peer.reject(command, 'NetStream.Publish.Denied', 'no')
        ),
      },
      'DESTINATION_REFUSED',
    ],
    [
      'an _error without words',
      { connect: (peer, { transaction }) => peer.command('_error', transaction) },
      'DESTINATION_LOST',
    ],
    ['hung up on connect', { connect: (peer) => void peer.socket.end() }, 'DESTINATION_LOST'],
    ['hung up on publish', { publish: (peer) => void peer.socket.destroy() }, 'DESTINATION_LOST'],
    ['silent on connect', { connect: () => {} }, 'DESTINATION_TIMEOUT'],
    ['silent on publish', { publish: () => {} }, 'DESTINATION_TIMEOUT'],
    [
      'answers to releaseStream do not matter',
      { releaseStream: (peer, command) => peer.reject(command, 'NetConnection.Call.Failed', ''), publish: () => {} },
      'DESTINATION_TIMEOUT',
    ],
    [
      'a user is wanted',
      {
        connect: (peer, command) =>
          peer.reject(command, 'NetConnection.Connect.Rejected', '[ code=403 need auth; authmod=adobe ]'),
      },
      'DESTINATION_AUTHENTICATION',
    ],
  ];
  await Promise.all(
    cases.map(async ([name, answers, code]) =>
      t.equal((await deathBy(t, { answers: answers! }, 'name', patience(code))).code, code, name),
    ),
  );
});

void t.test('peers that are not RTMP servers', async (t) => {
  const drip = (socket: import('node:net').Socket): void => {
    const timer = setInterval(() => socket.write(Buffer.from([3])), 20);
    socket.once('close', () => clearInterval(timer));
  };
  const cases: [string, ScriptedServerOptions, string][] = [
    ['HTTP', { raw: (socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n') }, 'DESTINATION_PROTOCOL'],
    ['nothing at all', { raw: () => {} }, 'DESTINATION_TIMEOUT'],
    ['half a handshake', { raw: (socket) => void socket.write(Buffer.alloc(2000, 3)) }, 'DESTINATION_TIMEOUT'],
    ['one byte now and then', { raw: drip }, 'DESTINATION_TIMEOUT'],
    ['closes at once', { raw: (socket) => void socket.end() }, 'DESTINATION_LOST'],
    [
      'random bytes after the handshake',
      { raw: (socket) => void socket.write(Buffer.alloc(100_000, Buffer.from([3, 255, 17]))) },
      'DESTINATION_PROTOCOL',
    ],
    [
      'an AMF bomb',
      {
        answers: {
          connect: (peer) => peer.send(MESSAGE.command, Buffer.alloc(500_000, Buffer.from('0300016103', 'hex'))),
        },
      },
      'DESTINATION_PROTOCOL',
    ],
    [
      'a nameless command',
      { answers: { connect: (peer) => peer.send(MESSAGE.command, encodeAmf0(1, 2)) } },
      'DESTINATION_PROTOCOL',
    ],
    [
      'an empty command',
      { answers: { connect: (peer) => peer.send(MESSAGE.command, Buffer.alloc(0)) } },
      'DESTINATION_PROTOCOL',
    ],
    ['endless small talk', { answers: { connect: (peer) => void endless(peer.socket) } }, 'DESTINATION_PROTOCOL'],
  ];
  await Promise.all(
    cases.map(async ([name, options, code]) =>
      t.equal((await deathBy(t, options, 'name', patience(code))).code, code, name),
    ),
  );
});

/** Sends meaningless messages as fast as they are read. */
function endless(socket: import('node:net').Socket): void {
  const message = Buffer.from('030000000000010801000000aa', 'hex');
  const block = Buffer.concat(Array.from({ length: 5000 }, () => message));
  const more = (): void => {
    while (!socket.destroyed && socket.write(block));
  };
  socket.on('drain', more);
  more();
}

void t.test('status messages during a publish', async (t) => {
  const says = async (say: Answer): ReturnType<typeof death> => {
    const server = await startScriptedServer({ answers: { ping: say } });
    t.teardown(() => server.stop());
    const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
    const died = death(pusher);
    await ready(pusher);
    say(server.peers[0]!, { name: '', transaction: 0, values: [], streamId: 0 });
    return died;
  };
  t.match(await says((peer) => peer.status('error', 'NetStream.Publish.Denied', 'out of time')), {
    code: 'DESTINATION_REFUSED',
    message: /out of time/,
  });
  const unpublished: Answer = (peer) => peer.status('status', 'NetStream.Unpublish.Success', 'thrown out');
  t.match(await says((peer, command) => (unpublished(peer, command), void peer.socket.end())), {
    code: 'DESTINATION_LOST',
    message: /thrown out/,
  });
  t.match(await says((peer) => peer.command('close', 0, null)), { code: 'DESTINATION_LOST' });
  t.match(await says((peer) => void peer.socket.resetAndDestroy()), { code: 'DESTINATION_LOST' });
  t.match(await says((peer) => void peer.socket.end()), {
    code: 'DESTINATION_LOST',
    message: 'The server closed the connection',
  });
});

/** Sends it in the same packet as the start of the publish. */
const behindStart =
  (say: Answer): Answer =>
  (peer, command) => {
    peer.socket.cork();
    peer.status('status', 'NetStream.Publish.Start', 'Started');
    say(peer, command);
    peer.socket.uncork();
  };

void t.test('status messages in the same packet as Publish.Start', async (t) => {
  const badName: Answer = (peer) => peer.status('error', 'NetStream.Publish.BadName', 'taken');
  const cases: [string, Answer, object][] = [
    ['a refusal', badName, { code: 'DESTINATION_REFUSED', message: /BadName: taken/ }],
    [
      'a refusal and the end of the connection',
      (peer, command) => (badName(peer, command), void peer.socket.end()),
      { code: 'DESTINATION_REFUSED', message: /BadName: taken/ },
    ],
    [
      'a refusal that may heal',
      (peer) => peer.status('error', 'NetStream.Publish.Failed', 'later'),
      { code: 'DESTINATION_LOST', message: /Failed: later/ },
    ],
    [
      'the command close',
      (peer) => peer.command('close', 0, null),
      { code: 'DESTINATION_LOST', message: 'The server ended the connection' },
    ],
    [
      'too long a message',
      (peer) => void peer.socket.write(Buffer.from([5, 0, 0, 0, 0xff, 0xff, 0xff, 18, 1, 0, 0, 0, 1])),
      { code: 'DESTINATION_PROTOCOL' },
    ],
  ];
  await Promise.all(
    cases.map(async ([name, say, expected]) =>
      t.match(await deathBy(t, { answers: { publish: behindStart(say) } }), expected, name),
    ),
  );
});

void t.test('status messages before the publish command', async (t) => {
  const say = (code: string, then: (peer: ScriptedPeer) => void): ScriptedServerOptions['answers'] => ({
    FCPublish: (peer) => {
      peer.status('error', code, 'account suspended');
      then(peer);
    },
    createStream: () => {},
  });
  const words = /account suspended/;
  /** Until a command counts as not answered. Those before it are answered at once. */
  const SILENT = { ...DEFAULT_TIMEOUTS, command: 2000 };
  t.match(
    await deathBy(t, { answers: say('NetStream.Publish.Denied', () => {})! }),
    { code: 'DESTINATION_REFUSED', message: words },
    'a last word',
  );
  t.match(
    await deathBy(t, { answers: say('NetStream.Publish.Denied', (peer) => peer.socket.end())! }),
    { code: 'DESTINATION_REFUSED', message: words },
    'a last word, and the end',
  );
  t.match(
    await deathBy(t, { answers: say('NetStream.Publish.Failed', (peer) => peer.socket.end())! }),
    { code: 'DESTINATION_LOST', message: words },
    'why it hung up',
  );
  t.match(
    await deathBy(t, { answers: say('NetStream.Publish.Failed', () => {})! }, 'name', SILENT),
    { code: 'DESTINATION_TIMEOUT', message: /createStream/ },
    'that it did not hang up but fell silent',
  );

  const releaseStream: Answer = (peer) => peer.status('error', 'NetStream.Failed', 'no such stream');
  const publish = behindStart((peer) => peer.command('close', 0, null));
  t.match(
    await deathBy(t, { answers: { releaseStream, publish } }),
    { code: 'DESTINATION_LOST', message: 'The server ended the connection' },
    'an objection to something else does not matter',
  );
});

void t.test('a name that is accepted and refused afterwards', async (t) => {
  const server = await startScriptedServer({
    onMessage: (peer, { type }) => type === MESSAGE.video && peer.send(MESSAGE.acknowledgement, uint32(peer.received)),
  });
  t.teardown(() => server.stop());
  const refused = async (resumes: boolean, media: boolean): ReturnType<typeof death> => {
    const pusher = create(pushTarget(`${server.rtmpUrl}/name`, { resumes }));
    const died = death(pusher);
    await ready(pusher);
    if (media) pusher.write(new TagGroup([tag(TAG_VIDEO, Buffer.alloc(1000))]));
    if (media) await once(pusher, 'progress');
    server.peers.at(-1)!.status('error', 'NetStream.Publish.BadName', 'taken');
    return died;
  };
  t.match(await refused(false, false), { code: 'DESTINATION_REFUSED', message: /taken/ });
  t.match(
    await refused(true, false),
    { code: 'DESTINATION_LOST', message: /taken/ },
    'the server has taken media of this push before',
  );
  t.match(
    await refused(false, true),
    { code: 'DESTINATION_LOST', message: /taken/ },
    'it has taken some in this connection',
  );
});

void t.test('pings are answered and windows acknowledged', async (t) => {
  const server = await startScriptedServer({
    answers: {
      connect(peer, { transaction }) {
        peer.send(MESSAGE.windowAcknowledgementSize, uint32(1000));
        peer.send(MESSAGE.setPeerBandwidth, Buffer.concat([uint32(50_000), Buffer.from([2])]));
        peer.send(MESSAGE.commandAmf3, Buffer.concat([Buffer.from([0]), encodeAmf0('_result', transaction, null, {})]));
      },
    },
  });
  t.teardown(() => server.stop());
  const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
  await ready(pusher);
  const peer = server.peers[0]!;
  peer.send(MESSAGE.setPeerBandwidth, Buffer.concat([uint32(2_500_000), Buffer.from([2])]));
  peer.send(MESSAGE.userControl, Buffer.from('000000000001', 'hex'));
  peer.send(4, Buffer.from('000600000007', 'hex'));
  const pong = await waitFor('a pong', () => peer.messages.find(({ type }) => type === MESSAGE.userControl), {
    every: 1,
  });
  t.equal(pong.payload.toString('hex'), '000700000007');
  const [acknowledgement, ...more] = peer.messages.filter(({ type }) => type === MESSAGE.acknowledgement);
  t.ok(acknowledgement!.payload.readUInt32BE() >= 3073);
  t.same(more, [], 'the next one only when the window is full again');
  t.same(
    peer.messages
      .filter(({ type }) => type === MESSAGE.windowAcknowledgementSize)
      .map(({ payload }) => payload.readUInt32BE()),
    [50_000],
    'the smaller window counts',
  );
  await pusher.close();
});

void t.test('a server that keeps pinging and reads nothing is disconnected', async (t) => {
  const server = await startScriptedServer();
  t.teardown(() => server.stop());
  const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
  const died = death(pusher);
  await ready(pusher);
  const { socket } = server.peers[0]!;
  socket.pause();
  let most = 0;
  const pings = Buffer.alloc(18 * 5000, Buffer.from('030000000000060400000000000600000000', 'hex'));
  const ping = (): void => {
    most = Math.max(most, pusher.backlog);
    if (!socket.destroyed) socket.write(pings, ping);
  };
  ping();
  t.match(await died, { code: 'DESTINATION_PROTOCOL' });
  t.ok(most < 200_000, 'and its pongs do not pile up');
});

void t.test('close() emits nothing, is idempotent and quick, at every step', async (t) => {
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  for (const silent of ['raw', 'connect', 'createStream', 'publish']) {
    const server = await startScriptedServer(
      silent === 'raw' ? { raw: () => {} } : { answers: { [silent]: () => {} } },
    );
    const pusher = createRtmpPusher()(pushTarget(`${server.rtmpUrl}/name`));
    for (const event of ['ready', 'died', 'progress', 'drain'] as const)
      pusher.on(event, () => t.fail(`${event} after close`));
    if (silent !== 'raw')
      await waitFor(silent, () => server.peers[0]?.commands.some(({ name }) => name === silent), { every: 1 });
    await Promise.all([pusher.close(), pusher.close()]);
    await pusher.close();
    pusher.write(new TagGroup([tag(TAG_AUDIO, Buffer.alloc(1))]));
    t.same([pusher.writable, pusher.backlog], [false, 0], silent);
    await server.stop();
  }
  const server = await startScriptedServer();
  t.teardown(() => server.stop());
  const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
  await ready(pusher);
  t.equal(timers(), before + 1, 'only that of liveness');
  server.peers[0]!.socket.pause();
  await pusher.close();
  t.pass('a server that does not read is disconnected after a second');
  t.equal(timers(), before, 'no timer stays');
});

void t.test('events are not emitted before the caller can listen', async (t) => {
  const pusher = create(pushTarget('rtmp://127.0.0.1:1/live/name', { localAddress: 'nonsense' }));
  t.match(await death(pusher), { code: 'PUSHER_FAILED' });
});

const reconnectRequest = (peer: ScriptedPeer, tcUrl?: string): void =>
  peer.command('onStatus', 0, null, {
    level: 'status',
    code: 'NetConnection.Connect.ReconnectRequest',
    description: 'moving name',
    ...(tcUrl !== undefined && { tcUrl }),
  });

void t.test('a server may ask for another connection at any time; the push goes on', async (t) => {
  for (const step of ['connect', 'publish', 'later'] as const) {
    const server = await startScriptedServer({
      answers: {
        connect: (peer, { transaction }) => {
          peer.command('_result', transaction, {}, { code: 'NetConnection.Connect.Success' });
          if (step === 'connect') reconnectRequest(peer, '/elsewhere');
        },
        publish: (peer) => {
          if (step === 'publish') reconnectRequest(peer, '/elsewhere');
          peer.status('status', 'NetStream.Publish.Start', 'Started');
        },
      },
    });
    t.teardown(() => server.stop());
    const pusher = create(pushTarget(`${server.rtmpUrl}/name`));
    pusher.on('died', (error) => t.fail(error.message));
    const asked = once(pusher, 'reconnect');
    await ready(pusher);
    if (step === 'later') reconnectRequest(server.peers[0]!, '/elsewhere');
    t.strictSame((await asked)[0], { tcUrl: '/elsewhere', description: 'moving ***' }, step);
    t.match(server.peers[0]!.commands[0]!.values[0], { capsEx: 1 }, 'the server knows that it may');
    const again = once(pusher, 'reconnect');
    reconnectRequest(server.peers[0]!);
    t.strictSame((await again)[0], { description: 'moving ***' });
    await pusher.close();
  }
});

void t.test('a name that is refused again is told apart from other refusals', async (t) => {
  for (const [code, expected] of [
    ['NetStream.Publish.BadName', true],
    ['NetStream.Publish.Failed', false],
  ] as const) {
    const server = await startScriptedServer({ answers: { publish: (peer) => peer.status('error', code, 'no') } });
    t.teardown(() => server.stop());
    const pusher = create(pushTarget(`${server.rtmpUrl}/name`, { resumes: true }));
    const [error, nameInUse] = (await once(pusher, 'died')) as [Error, boolean];
    t.match(error, { code: 'DESTINATION_LOST' });
    t.equal(nameInUse, expected);
    await pusher.close();
  }
});
