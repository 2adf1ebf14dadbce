import t from 'tap';
import { Destinations, Recordings, renewToken } from '../../../../src/web/client/index.js';
import { replaceGlobals } from '../../../helpers/replace-globals.ts';

/** Methods, paths, keys and bodies of the requests. The shapes are compared with those of the server by wire-types.test.ts. */
function fakeGateway(answer: unknown) {
  const asked: unknown[] = [];
  replaceGlobals(t, {
    fetch: async (url: string, { method, body, headers }: { method: string; body?: string; headers: object }) => {
      asked.push([method, url, ...(body === undefined ? [] : [JSON.parse(body)])]);
      t.match(headers, { authorization: 'Bearer KEY' });
      return new Response(answer === undefined ? null : JSON.stringify(answer));
    },
  });
  return asked;
}

t.test('destinations', async (t) => {
  const asked = fakeGateway([]);
  const destinations = new Destinations({ url: 'http://gateway:8081/', apiKey: 'KEY' });
  t.strictSame(await destinations.list(), []);
  await destinations.save({ name: 'Ours', platform: 'youtube', streamKey: 'k' });
  await destinations.change('a/b', { comply: null });
  await destinations.remove('ours');
  await destinations.groups();
  await destinations.saveGroup({ name: 'Sunday', destinationIds: ['ours'] });
  await destinations.changeGroup('sunday', { onPublish: ['stream1'] });
  await destinations.removeGroup('sunday');
  await destinations.check('stream1', 'sunday');
  await destinations.goLive('stream1', 'sunday', { check: false });
  await destinations.end('stream1', 'sunday');
  const [one, group] = ['http://gateway:8081/api/v1/destinations', 'http://gateway:8081/api/v1/destination-groups'];
  const push = (method: string): string => `http://gateway:8081/rest-api/push/${method}`;
  const live = { streamName: 'stream1', groupId: 'sunday' };
  t.strictSame(asked, [
    ['GET', one],
    ['POST', one, { name: 'Ours', platform: 'youtube', streamKey: 'k' }],
    ['PATCH', `${one}/a%2Fb`, { comply: null }],
    ['DELETE', `${one}/ours`],
    ['GET', group],
    ['POST', group, { name: 'Sunday', destinationIds: ['ours'] }],
    ['PATCH', `${group}/sunday`, { onPublish: ['stream1'] }],
    ['DELETE', `${group}/sunday`],
    ['POST', push('check'), live],
    ['POST', push('startup'), { ...live, check: false }],
    ['POST', push('terminate'), live],
  ]);
});

t.test('a renewed token', async (t) => {
  const asked = fakeGateway({ stream: 'a b', sessions: 1, expiresAt: null });
  t.match(await renewToken('a b', 'KEY'), { sessions: 1 });
  t.strictSame(asked, [['POST', '/api/v1/streams/a%20b/token']]);
});

t.test('recordings', async (t) => {
  const asked = fakeGateway({ recordings: [], next: null });
  const recordings = new Recordings({ apiKey: 'KEY' });
  await recordings.start('stream1');
  await recordings.stop('stream1');
  t.strictSame(await recordings.list(), { recordings: [], next: null });
  await recordings.list({ stream: 'a b', limit: 5 });
  await recordings.remove('r1');
  t.strictSame(asked, [
    ['POST', '/rest-api/stream/startRecording', { streamName: 'stream1' }],
    ['POST', '/rest-api/stream/stopRecording', { streamName: 'stream1' }],
    ['GET', '/api/v1/recordings'],
    ['GET', '/api/v1/recordings?stream=a+b&limit=5'],
    ['DELETE', '/api/v1/recordings/r1'],
  ]);
});
