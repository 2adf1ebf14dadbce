import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { WebSocketServer, type WebSocket as ServerSocket } from 'ws';
import { ClientError, Session } from '../../../../src/web/client/index.js';
import { replaceGlobals } from '../../../helpers/replace-globals.ts';

interface Received {
  readonly message: string;
  readonly data: Record<string, unknown>;
  readonly socket: ServerSocket;
}

/** A peer connection without media: these tests are about signalling. */
class FakePeerConnection {
  connectionState = 'new';
  onconnectionstatechange: (() => void) | undefined;
  ontrack: ((event: { track: unknown }) => void) | undefined;
  answer: { sdp: string } | undefined;
  readonly transceivers: { sender: { track: unknown }; receiver: { track: { kind: string } } }[] = [];
  static last: FakePeerConnection;

  constructor() {
    FakePeerConnection.last = this;
  }
  addTransceiver(track: unknown): object {
    const transceiver = {
      sender: { track: typeof track === 'string' ? null : track },
      receiver: { track: { kind: this.transceivers.length === 0 ? 'audio' : 'video' } },
    };
    this.transceivers.push(transceiver);
    return transceiver;
  }
  async createOffer(): Promise<{ type: string; sdp: string }> {
    return { type: 'offer', sdp: 'v=0 offer' };
  }
  async setLocalDescription(): Promise<void> {}
  async setRemoteDescription(answer: { sdp: string }): Promise<void> {
    if (answer.sdp === 'bad') throw new Error('no SDP');
    this.answer = answer;
  }
  fail(): void {
    this.connectionState = 'failed';
    this.onconnectionstatechange?.();
  }
  close(): void {
    this.connectionState = 'closed';
  }
}
// The delays of the library are shortened: these tests are about the order of events. A gateway has two seconds for its answer.
const { setTimeout: realSetTimeout } = globalThis;
replaceGlobals(t, {
  setTimeout: (callback: () => void, delay = 0) => realSetTimeout(callback, delay / (delay < 10_000 ? 50 : 5)),
});

const track = { stop: () => {}, addEventListener: () => {} };
class FakeMediaStream {
  getAudioTracks(): unknown[] {
    return [track];
  }
  getVideoTracks(): unknown[] {
    return [track];
  }
  getTracks(): unknown[] {
    return [track, track];
  }
}
replaceGlobals(t, {
  RTCPeerConnection: FakePeerConnection,
  MediaStream: FakeMediaStream,
  // As on a page that is not a secure context.
  crypto: { getRandomValues: (bytes: Uint8Array) => webcrypto.getRandomValues(bytes) },
});
const stream = new FakeMediaStream() as never;

/** The gateway's side of the protocol. Tests send the answers. */
async function startServer(t: Test, port = 0) {
  const server = new WebSocketServer({ host: '127.0.0.1', port });
  await once(server, 'listening');
  const received: Received[] = [];
  const waiting: (() => void)[] = [];
  server.on('connection', (socket) => {
    socket.on('message', (raw) => {
      const { message, data } = JSON.parse(String(raw)) as { message: string; data: [Record<string, unknown>] };
      received.push({ message, data: data[0], socket });
      if (message === 'connection')
        say(socket, 'getUserData', { ...data[0], authToken: 'token-1', status: 'ESTABLISHED' });
      for (const wake of waiting.splice(0)) wake();
    });
  });
  const close = async (): Promise<void> => {
    for (const socket of server.clients) socket.terminate();
    await new Promise((resolve) => server.close(resolve));
  };
  t.teardown(close);
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    port: (server.address() as AddressInfo).port,
    close,
    /** Returns the next message with this name and drops earlier ones. */
    async next(message: string): Promise<Received> {
      for (;;) {
        const at = received.findIndex((one) => one.message === message);
        if (at >= 0) return received.splice(0, at + 1).at(-1)!;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}

const say = (socket: ServerSocket, message: string, ...data: unknown[]): void =>
  socket.send(JSON.stringify({ message, data }));
const status = ({ socket, data }: Received, value: string, info?: string): void =>
  say(socket, 'notifyStreamStatusEvent', { mediaSessionId: data.mediaSessionId, name: data.name, status: value, info });

/** Returns a function that resolves with the next state, one after the other. */
function states(emitter: { on(name: 'state', listener: (state: string, info?: string) => void): unknown }) {
  const seen: string[] = [];
  const waiting: (() => void)[] = [];
  emitter.on('state', (state) => {
    seen.push(state);
    for (const wake of waiting.splice(0)) wake();
  });
  return async (): Promise<string> => {
    while (seen.length === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    return seen.shift()!;
  };
}

t.test('the token is sent with each connection, and a refusal has the reason of the gateway', async (t) => {
  const server = await startServer(t);
  let token = 'one';
  const session = await Session.connect(server.url, { token: async () => token });
  t.teardown(() => session.close());
  const first = await server.next('connection');
  t.strictSame(first.data['custom'], { token: 'one' });
  token = 'two';
  first.socket.terminate();
  t.strictSame((await server.next('connection')).data['custom'], { token: 'two' });

  const refusing = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  t.teardown(() => refusing.close());
  await once(refusing, 'listening');
  let code: string | undefined = undefined;
  refusing.on('connection', (socket) =>
    socket.once('message', () => {
      say(socket, 'fail', { apiMethod: 'connection', status: 'FAILED', info: 'The token has expired.', code });
      socket.close(1008);
    }),
  );
  const url = `ws://127.0.0.1:${(refusing.address() as AddressInfo).port}`;
  await t.rejects(Session.connect(url, { token: 'old' }), {
    code: 'CONNECTION_REFUSED',
    message: 'The token has expired.',
  });
  code = 'TOKEN_EXPIRED';
  await t.rejects(Session.connect(url, { token: 'old' }), { code, reasonCode: code, remedy: /new token/ });
  const noToken = (): never => {
    throw new Error('logged out');
  };
  await t.rejects(Session.connect(url, { token: noToken }), { code: 'CONNECTION_REFUSED', message: 'logged out' });
  await t.rejects(Session.connect('no address'), { code: 'DISCONNECTED', name: 'ClientError' });
});

t.test('connect, ping, publish with rtmpUrl, transponder events, stop', async (t) => {
  const server = await startServer(t);
  const session = await Session.connect(server.url);
  t.teardown(() => session.close());
  t.equal(session.state, 'established');
  const hello = await server.next('connection');
  t.match(hello.data, { appKey: 'defaultApp', mediaProviders: ['WebRTC'], clientVersion: '2.0' });
  t.match(hello.data.authToken, /^[0-9a-f]{32}$/, 'a secret of its own from the beginning');
  t.equal(session.authToken, hello.data.authToken);
  say(hello.socket, 'ping');
  hello.socket.send('not JSON');
  hello.socket.send('{"message":"ping"}');
  t.equal((await server.next('pong')).data, null);

  const publishing = session.publish({ name: 'stream1', stream, rtmpUrl: 'rtmp://host/app' });
  const offer = await server.next('publishStream');
  t.match(offer.data, {
    name: 'stream1',
    published: true,
    hasAudio: true,
    hasVideo: true,
    status: 'PENDING',
    record: false,
    mediaProvider: 'WebRTC',
    sdp: 'v=0 offer',
    rtmpUrl: 'rtmp://host/app',
  });
  say(offer.socket, 'setRemoteSDP', offer.data.mediaSessionId, 'v=0 answer', true);
  status(offer, 'PUBLISHING');
  const publication = await publishing;
  t.equal(FakePeerConnection.last.answer?.sdp, 'v=0 answer');
  t.equal(publication.state, 'publishing');

  const payload = { mediaSessionId: 'x', rtmpUrl: 'rtmp://host/app', status: 'retrying', reason: 'refused' };
  const event = new Promise((resolve) => publication.on('transponder', resolve));
  say(offer.socket, 'notifyStreamEvent', { mediaSessionId: offer.data.mediaSessionId, type: 'other', payload: {} });
  say(offer.socket, 'notifyStreamEvent', { mediaSessionId: offer.data.mediaSessionId, type: 'transponder', payload });
  t.same(await event, payload);

  const stopped = Promise.all([publication.stop(), publication.stop()]);
  const stop = await server.next('unPublishStream');
  t.equal(stop.data.mediaSessionId, offer.data.mediaSessionId);
  status(stop, 'UNPUBLISHED', 'Stopped by user');
  await stopped;
  t.equal(publication.state, 'ended');
  t.equal(FakePeerConnection.last.connectionState, 'closed');
});

t.test('refusals have the message of the gateway', async (t) => {
  const server = await startServer(t);
  const session = await Session.connect(server.url);
  t.teardown(() => session.close());
  const publishing = session.publish({ name: 'taken', stream });
  status(await server.next('publishStream'), 'FAILED', 'Stream name is already in use');
  await t.rejects(publishing, { code: 'STREAM_FAILED', message: 'Stream name is already in use' });

  const coded = session.publish({ name: 'taken', stream });
  const { data, socket } = await server.next('publishStream');
  const { mediaSessionId } = data;
  say(socket, 'notifyStreamStatusEvent', { mediaSessionId, status: 'FAILED', info: 'no', code: 'STREAM_NAME_IN_USE' });
  await t.rejects(coded, { code: 'STREAM_FAILED', reasonCode: 'STREAM_NAME_IN_USE', remedy: /another name/ });

  const playing = session.play({ name: 'nobody' });
  status(await server.next('playStream'), 'FAILED', 'Stream not found');
  await t.rejects(playing, { code: 'STREAM_FAILED', message: 'Stream not found' });

  const answered = session.publish({ name: 's', stream });
  const offer = await server.next('publishStream');
  say(offer.socket, 'setRemoteSDP', offer.data.mediaSessionId, 'bad', true);
  await t.rejects(answered, { code: 'STREAM_FAILED', message: 'no SDP' });
});

t.test('media that does not reach the gateway', async (t) => {
  const server = await startServer(t);
  const session = await Session.connect(server.url);
  t.teardown(() => session.close());
  const answered = async () => {
    const publishing = session.publish({ name: 's', stream });
    const offer = await server.next('publishStream');
    say(offer.socket, 'setRemoteSDP', offer.data.mediaSessionId, 'v=0 answer', true);
    return { publishing, offer };
  };
  const blocked = { code: 'MEDIA_BLOCKED', message: /a firewall seems to block UDP\. Use another network/ };

  const failed = await answered();
  const refused = t.rejects(failed.publishing, blocked, 'the browser has found no way');
  const { last } = FakePeerConnection;
  while (!last.answer) await new Promise((resolve) => setTimeout(resolve, 1));
  last.fail();
  await refused;

  const { publishing, offer } = await answered();
  const { mediaSessionId } = offer.data;
  const info = 'Failed by ICE timeout';
  say(offer.socket, 'notifyStreamStatusEvent', { mediaSessionId, status: 'FAILED', info, code: 'PUBLISHER_LOST' });
  await t.rejects(publishing, blocked, 'the gateway has found none');

  const { publishing: late } = await answered();
  await t.rejects(late, blocked, 'nobody says anything in time');
});

t.test('a stream that was stopped at the gateway is not published again', async (t) => {
  const server = await startServer(t);
  const session = await Session.connect(server.url);
  t.teardown(() => session.close());
  const publishing = session.publish({ name: 's', stream });
  const offer = await server.next('publishStream');
  status(offer, 'PUBLISHING');
  const publication = await publishing;
  const state = states(publication);
  status(offer, 'UNPUBLISHED', 'Stopped by rest /terminate');
  t.equal(await state(), 'ended');
});

t.test('a publication whose token has expired goes on with a new token, or ends', async (t) => {
  const server = await startServer(t);
  const expire = async (token: string | (() => string)) => {
    const session = await Session.connect(server.url, { token });
    t.teardown(() => session.close());
    t.strictSame((await server.next('connection')).data['custom'], { token: 'old' });
    const publishing = session.publish({ name: 's', stream });
    const offer = await server.next('publishStream');
    status(offer, 'PUBLISHING');
    const publication = await publishing;
    const state = states(publication);
    const { mediaSessionId } = offer.data;
    say(offer.socket, 'notifyStreamStatusEvent', {
      mediaSessionId,
      status: 'FAILED',
      info: 'no',
      code: 'TOKEN_EXPIRED',
    });
    return state;
  };
  const ended = await expire('old');
  t.equal(await ended(), 'ended');

  const session = await Session.connect(server.url, { token: 'old' });
  t.teardown(() => session.close());
  const publishing = session.publish({ name: 's', stream });
  status(await server.next('publishStream'), 'PUBLISHING');
  const lost = states(await publishing);
  FakePeerConnection.last.fail();
  t.equal(await lost(), 'resuming');
  const again = await server.next('publishStream');
  const { mediaSessionId } = again.data;
  say(again.socket, 'notifyStreamStatusEvent', { mediaSessionId, status: 'FAILED', info: 'no', code: 'TOKEN_EXPIRED' });
  t.equal(await lost(), 'ended', 'it has expired during an interruption');

  const tokens = ['old', 'new'];
  const resumed = await expire(() => tokens.shift()!);
  t.equal(await resumed(), 'resuming');
  t.strictSame((await server.next('connection')).data['custom'], { token: 'new' });
  status(await server.next('publishStream'), 'PUBLISHING');
  t.equal(await resumed(), 'publishing');
});

t.test('session and publication continue after a restart of the gateway', async (t) => {
  const server = await startServer(t);
  const session = await Session.connect(server.url);
  t.teardown(() => session.close());
  const { authToken } = (await server.next('connection')).data;
  const publishing = session.publish({ name: 's', stream });
  const first = await server.next('publishStream');
  status(first, 'PUBLISHING');
  const publication = await publishing;
  const [sessionState, publicationState] = [states(session), states(publication)];

  await server.close();
  t.equal(await publicationState(), 'resuming');
  t.equal(await sessionState(), 'reconnecting');
  const next = await startServer(t, server.port);
  t.equal(await sessionState(), 'established');
  t.equal((await next.next('connection')).data.authToken, authToken, 'the same owner of the stream');
  const refused = await next.next('publishStream');
  status(refused, 'FAILED', 'Stream name is already in use');
  const again = await next.next('publishStream');
  t.not(again.data.mediaSessionId, first.data.mediaSessionId);
  t.equal(again.data.name, 's');
  status(again, 'PUBLISHING');
  t.equal(await publicationState(), 'publishing');

  const why = new Promise((resolve) => publication.on('state', (_state, info, error) => resolve([info, error])));
  FakePeerConnection.last.fail();
  t.equal(await publicationState(), 'resuming', 'after the loss of the media connection');
  const lost = 'The media connection to the gateway was lost';
  t.match(await why, [lost, { code: 'DISCONNECTED', message: lost }]);
  status(await next.next('publishStream'), 'PUBLISHING');
  t.equal(await publicationState(), 'publishing');
  session.close();
  t.equal(await publicationState(), 'ended');
  t.equal(await sessionState(), 'closed');
});

t.test('a stream that is published again has the current tracks of its senders', async (t) => {
  const server = await startServer(t);
  const session = await Session.connect(server.url);
  t.teardown(() => session.close());
  const publishing = session.publish({ name: 's', stream });
  status(await server.next('publishStream'), 'PUBLISHING');
  const publication = await publishing;
  const next = states(publication);
  const screen = { kind: 'video' };
  for (const replacement of [screen, null]) {
    const before = FakePeerConnection.last;
    before.transceivers[1]!.sender.track = replacement;
    before.fail();
    t.equal(await next(), 'resuming');
    status(await server.next('publishStream'), 'PUBLISHING');
    t.equal(await next(), 'publishing');
    t.not(FakePeerConnection.last, before);
    t.strictSame(
      FakePeerConnection.last.transceivers.map(({ sender }) => (sender.track === track ? 'the first' : sender.track)),
      ['the first', replacement],
    );
  }
});

t.test('the gateway is asked to stop what the page ends', async (t) => {
  const server = await startServer(t);
  const publish = async () => {
    const session = await Session.connect(server.url);
    t.teardown(() => session.close());
    const publishing = session.publish({ name: 's', stream });
    const offer = await server.next('publishStream');
    status(offer, 'PUBLISHING');
    return { session, publication: await publishing, id: offer.data.mediaSessionId };
  };
  const closed = await publish();
  closed.session.close();
  t.match(
    (await server.next('unPublishStream')).data,
    { mediaSessionId: closed.id, name: 's' },
    'close() of the session',
  );
  t.equal(closed.publication.state, 'ended');

  const lost = await publish();
  FakePeerConnection.last.fail();
  await lost.publication.stop();
  t.match(
    (await server.next('unPublishStream')).data,
    { mediaSessionId: lost.id, name: 's' },
    'stop() while the media path is lost',
  );

  const resuming = await publish();
  FakePeerConnection.last.fail();
  const attempt = await server.next('publishStream');
  await resuming.publication.stop();
  t.equal(
    (await server.next('unPublishStream')).data.mediaSessionId,
    attempt.data.mediaSessionId,
    'the pending attempt',
  );
  t.equal(
    (await server.next('unPublishStream')).data.mediaSessionId,
    resuming.id,
    'and the stream that it would have continued',
  );

  const closing = await publish();
  FakePeerConnection.last.fail();
  closing.session.close();
  t.equal(
    (await server.next('unPublishStream')).data.mediaSessionId,
    closing.id,
    'close() of the session while it is resuming',
  );

  const away = await publish();
  const state = states(away.publication);
  await server.close();
  t.equal(await state(), 'resuming');
  await away.publication.stop();
  t.equal(away.publication.state, 'ended');
  const back = await startServer(t, server.port);
  t.match(
    (await back.next('unPublishStream')).data,
    { mediaSessionId: away.id, name: 's' },
    'as soon as there is a connection',
  );
  lost.session.close();
});

t.test('no gateway', async (t) => {
  const server = await startServer(t);
  await server.close();
  const error = await Session.connect(server.url).then(
    () => t.fail('connected'),
    (error: unknown) => error,
  );
  t.ok(error instanceof ClientError);
  t.match(error, { code: 'DISCONNECTED', message: `The gateway does not answer at ${server.url}. Is it running?` });
});
