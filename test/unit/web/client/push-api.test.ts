import t from 'tap';
import { PushApi, RestError } from '../../../../src/web/client/index.js';
import { replaceGlobals } from '../../../helpers/replace-globals.ts';

interface Call {
  readonly url: string;
  readonly init: { readonly method: string; readonly body: string; readonly headers: Record<string, string> };
}

/** The library with the answers of a fake gateway. */
function createApi(answer: () => Response | Promise<Response>, options = {}) {
  const calls: Call[] = [];
  replaceGlobals(t, {
    fetch: async (url: string, init: Call['init']) => {
      calls.push({ url, init });
      return answer();
    },
  });
  return { api: new PushApi(options), calls };
}

t.test('methods, paths and bodies', async (t) => {
  const { api, calls } = createApi(() => new Response(''), { url: 'http://gateway:8081/rest-api/', apiKey: 'k' });
  await api.startup({ streamName: 's', rtmpUrl: 'rtmp://h/a' });
  await api.check({ streamName: 's', platform: 'youtube', streamKey: 'k' });
  await api.find();
  await api.mute('1');
  await api.unmute('1');
  await api.soundOn('1', 'a.wav', true);
  await api.soundOff('1');
  await api.standby('1', true, { text: 'Back soon' });
  await api.standby('1', false);
  await api.terminate('1');
  t.same(
    calls.map(({ url, init }) => [new URL(url).pathname.replace('/rest-api/push/', ''), JSON.parse(init.body)]),
    [
      ['startup', { streamName: 's', rtmpUrl: 'rtmp://h/a' }],
      ['check', { streamName: 's', platform: 'youtube', streamKey: 'k' }],
      ['find', {}],
      ['mute', { mediaSessionId: '1' }],
      ['unmute', { mediaSessionId: '1' }],
      ['sound_on', { mediaSessionId: '1', soundFile: 'a.wav', loop: true }],
      ['sound_off', { mediaSessionId: '1' }],
      ['standby', { mediaSessionId: '1', on: true, text: 'Back soon' }],
      ['standby', { mediaSessionId: '1', on: false }],
      ['terminate', { mediaSessionId: '1' }],
    ],
  );
  t.match(calls[0]?.init, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer k' },
  });
});

t.test('errors have the code and the message of the gateway', async (t) => {
  const answer = (status: number, body: string) => createApi(() => new Response(body, { status })).api;
  const conflict = answer(
    409,
    JSON.stringify({ status: 409, exception: 'TRANSPONDER_EXISTS', message: 'It is pushed there already.' }),
  );
  const error: unknown = await conflict
    .startup({ streamName: 's', rtmpUrl: 'rtmp://h/a' })
    .catch((error: unknown) => error);
  t.ok(error instanceof RestError);
  t.match(error, { status: 409, code: 'TRANSPONDER_EXISTS', message: 'It is pushed there already.' });
  t.same(await answer(404, '{"exception":"TRANSPONDER_NOT_FOUND"}').find(), [], 'no transponder is an empty list');
  await t.rejects(answer(404, '{"exception":"ROUTE_NOT_FOUND"}').find(), { code: 'ROUTE_NOT_FOUND' });
  await t.rejects(answer(502, '<html>Bad gateway').mute('1'), { status: 502, code: 'UNKNOWN' });
  await t.rejects(createApi(() => Promise.reject(new TypeError('fetch failed'))).api.mute('1'), {
    status: 0,
    code: 'DISCONNECTED',
  });
});
