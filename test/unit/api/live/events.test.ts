import t, { type Test } from 'tap';
import { SignJWT } from 'jose';
import { GatewayError } from '../../../../src/errors.ts';
import { EVENT_TYPES } from '../../../../src/hooks/events.ts';
import { describeEvent } from '../../../../src/api/live/describe-event.ts';
import { LiveFeed, type FeedMessage } from '../../../../src/api/live/live-feed.ts';
import { Timeline } from '../../../../src/api/live/timeline.ts';
import { ClientSessions } from '../../../../src/sessions/client-sessions.ts';
import { StreamRegistry } from '../../../../src/streams/stream-registry.ts';
import { FakeTransponders } from '../../../helpers/fake-transponders.ts';
import { createHttpApp } from '../../../helpers/http-app.ts';
import { localRooms } from '../../../helpers/local-rooms.ts';
import { waitFor } from '../../../helpers/wait.ts';

const AT = '2026-01-01T00:00:00.000Z';
const publisher = { id: 'p', close() {} };

interface Received {
  readonly event: string;
  readonly id: string;
  readonly data: any; // eslint-disable-line @typescript-eslint/no-explicit-any
}

/** Follows the events of a gateway. */
async function follow(t: Test, url: string, headers: Record<string, string> = {}) {
  const abort = new AbortController();
  t.teardown(() => abort.abort());
  const response = await fetch(url, { headers, signal: abort.signal });
  const messages: Received[] = [];
  const read = async (): Promise<void> => {
    let rest = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + chunk).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2)));
        messages.push({ event: fields.event, id: fields.id, data: JSON.parse(fields.data) });
      }
    }
  };
  const ended = read().catch(() => undefined);
  return { response, messages, ended, stop: () => abort.abort() };
}

t.test('every event has words', (t) => {
  for (const type of EVENT_TYPES) {
    const { text } = describeEvent({ type, timestamp: AT, data: { destination: 'rtmp://a/b', reason: 'x.' } });
    t.not(text, type);
    t.notMatch(text, /null|\.\./, text);
  }
  t.match(describeEvent({ type: 'push.ended', timestamp: AT, data: { code: 'DESTINATION_REFUSED' } }), {
    level: 'error',
  });
  t.match(describeEvent({ type: 'push.ended', timestamp: AT, data: { code: 'TERMINATED' } }), { level: 'info' });
  t.end();
});

t.test('the timeline is bounded', (t) => {
  const timeline = new Timeline(10);
  for (let count = 0; count < 1000; count++)
    timeline.add({ type: 'stream.lost', timestamp: AT, data: { stream: `s${count}` } });
  t.strictSame(
    timeline.after(0).map(({ stream }) => stream),
    Array.from({ length: 10 }, (_, index) => `s${990 + index}`),
  );
  t.equal(timeline.after(998).length, 2);
  t.end();
});

t.test('a snapshot, then changes, of what the client may see', async (t) => {
  const secret = 'x'.repeat(32);
  const { app, http, control, registry } = await createHttpApp({ jwt_secret: secret, rest_api_key: 'k' });
  t.teardown(() => app.close());
  const token = (streams: string[], seconds = 3600) =>
    new SignJWT({ act: ['read'], streams })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('s')
      .setExpirationTime(Math.ceil(Date.now() / 1000) + seconds)
      .sign(Buffer.from(secret));
  const url = `http://127.0.0.1:${(await app.listen()).http}/api/v1/events`;
  registry.publish('cam', publisher);
  const all = await follow(t, url, { 'x-api-key': 'k' });
  t.match(all.response.headers.get('content-type'), /^text\/event-stream/);
  const limited = await follow(t, url, { authorization: `Bearer ${await token(['cam*'])}` });
  await waitFor('the snapshots', () => all.messages.length > 0 && limited.messages.length > 0);
  t.match(all.messages[0], {
    event: 'snapshot',
    data: {
      items: [{ kind: 'stream', key: 'cam', fields: { status: 'live', viewers: 0, recording: false } }],
      timeline: [],
    },
  });
  const { mediaSessionId: id } = await control.start({ streamName: 'cam', rtmpUrl: 'rtmp://h/app/KEY' });
  registry.publish('other', publisher);
  await waitFor('the changes', () => all.messages.length > 1 && limited.messages.length > 1);
  t.match(all.messages[1], {
    event: 'change',
    data: { items: [{ key: 'other' }, { kind: 'push', key: id }], gone: [] },
  });
  t.strictSame(
    limited.messages[1]!.data.items.map(({ key }: { key: string }) => key),
    [id],
  );
  t.notMatch(JSON.stringify(all.messages), 'KEY');
  control.change({ ...control.views.get(id)!, bitrate: 1000 });
  await waitFor('the numbers', () => all.messages.length > 2);
  t.strictSame(all.messages[2]!.data, { items: [{ kind: 'push', key: id, numbers: [1000, 0, 0, 0, 0] }], gone: [] });
  await control.terminate(id);
  await waitFor('its end', () => all.messages.length > 3);
  t.strictSame(all.messages[3]!.data, { items: [], gone: [{ kind: 'push', key: id }] });

  t.equal((await http.inject('/api/v1/events')).statusCode, 401);
  t.equal((await http.inject({ url: '/api/v1/events?x=1', headers: { 'x-api-key': 'k' } })).statusCode, 400);
  const short = await follow(t, url, { authorization: `Bearer ${await token(['*'], 1)}` });
  await short.ended;
  t.pass('it ends with the token');
});

t.test('streams say which room they belong to', async (t) => {
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
  for (const name of ['alone', 'in-room']) registry.publish(name, { id: 'p', close() {} });
  const rooms = localRooms();
  t.teardown(() => rooms.close(new GatewayError('SHUTTING_DOWN', 'The test is over.')));
  const member = await rooms.join({ scope: 'chat/lobby', login: 'ann', door: 'wcs', receive: () => {} } as never);
  await member.publish('in-room');
  const feed = new LiveFeed({
    ...{ registry, rooms, control: new FakeTransponders(), sessions: new ClientSessions() },
    ...{ recorders: { isRecording: () => false }, streamNamePrefix: '' },
  });
  t.teardown(() => feed.close());
  const messages: FeedMessage[] = [];
  feed.subscribe({ sees: () => true, eventsOnly: false, send: (message) => messages.push(message) });
  const { items } = messages[0]!.data as { items: { key: string; fields: { room?: string } }[] };
  t.strictSame(
    items.map(({ key, fields }) => [key, fields.room]),
    [
      ['alone', undefined],
      ['in-room', 'chat/lobby'],
    ],
  );
});

t.test('clients resume after the last event, and are counted', async (t) => {
  const registry = new StreamRegistry({ resumeWindowMs: 0, maxStreams: 10 });
  const control = new FakeTransponders();
  const options = { registry, control, sessions: new ClientSessions(), recorders: { isRecording: () => false } };
  const feed = new LiveFeed({ ...options, streamNamePrefix: '', intervalMs: 5 });
  t.teardown(() => feed.close());
  const subscribe = (lastId?: string, eventsOnly = false) => {
    const messages: FeedMessage[] = [];
    const leave = feed.subscribe(
      { sees: () => true, eventsOnly, send: (message) => void messages.push(message) },
      lastId,
    );
    return { messages, leave };
  };
  feed.add({ type: 'stream.published', timestamp: AT, data: { stream: 'a' } });
  const first = subscribe();
  t.match(first.messages[0]!.data, { resumed: false, timeline: [{ id: 1, stream: 'a', type: 'stream.published' }] });
  feed.add({ type: 'stream.lost', timestamp: AT, data: { stream: 'a', until: AT } });
  t.match(first.messages[1], { event: 'event', data: { id: 2, level: 'warning' } });
  first.leave();
  feed.add({ type: 'stream.resumed', timestamp: AT, data: { stream: 'a' } });
  const again = subscribe(first.messages[1]!.id);
  t.match(again.messages[0]!.data, { resumed: true, timeline: [{ id: 3 }] });
  t.match(subscribe('other-2').messages[0]!.data, { resumed: false, timeline: [{ id: 1 }, { id: 2 }, { id: 3 }] });
  const events = subscribe(undefined, true);
  registry.publish('cam', publisher);
  await waitFor('the change', () => again.messages.length > 1);
  t.equal(events.messages.length, 1, 'it gets no streams');
  t.equal(feed.size, 3);
});

t.test('there is a limit', async (t) => {
  const { app } = await createHttpApp({ max_event_clients: '1' });
  t.teardown(() => app.close());
  const url = `http://127.0.0.1:${(await app.listen()).http}/api/v1/events`;
  const one = await follow(t, url);
  const refused = await fetch(url);
  t.match(await refused.json(), { exception: 'LIMIT_REACHED' });
  one.stop();
  await waitFor('a place', async () => (await follow(t, url)).response.status === 200);
});

t.test('settings have their sources, and no secrets', async (t) => {
  const { app, http } = await createHttpApp(
    { rest_api_key: 's3cret-key', max_streams: '7' },
    {
      settingSources: new Map([
        ['max_streams', 'file'],
        ['rest_api_key', 'environment'],
      ] as const),
    },
  );
  t.teardown(() => app.close());
  const answer = await http.inject({ url: '/api/v1/settings', headers: { 'x-api-key': 's3cret-key' } });
  t.notMatch(answer.body, 's3cret');
  const find = (key: string) => answer.json().find((one: { key: string }) => one.key === key);
  t.strictSame(find('max_streams'), { key: 'max_streams', source: 'file', set: true, value: 7, default: 500 });
  t.strictSame(find('rest_api_key'), { key: 'rest_api_key', source: 'environment', set: true, secret: true });
});
