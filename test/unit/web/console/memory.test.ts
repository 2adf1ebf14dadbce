import t from 'tap';
import { replaceGlobals } from '../../../helpers/replace-globals.ts';
import { rememberPublication, takeLeftPublication, withoutSecrets } from '../../../../src/web/console/memory.js';

const stored = new Map<string, string>();
replaceGlobals(t, {
  sessionStorage: {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  },
});

t.test('destinations without secrets', async (t) => {
  const cases: [url: string, full: boolean, kept: string, complete: boolean][] = [
    ['rtmp://host/live', false, 'rtmp://host/live', true],
    [' rtmps://host:443/live/ ', false, 'rtmps://host:443/live', true],
    ['rtmp://[::1]:1935/live', false, 'rtmp://[::1]:1935/live', true],
    ['rtmp://host/', false, 'rtmp://host/', false],
    ['', false, '', true],
    ['rtmp://user:SECRET@host/live', false, 'rtmp://host/live', false],
    ['rtmp://host/live?key=SECRET', false, 'rtmp://host/live', false],
    ['rtmp://host/live/?user=u&pass=SECRET', false, 'rtmp://host/live', false],
    ['rtmp://host/live#SECRET', false, 'rtmp://host/live', false],
    ['rtmp://host/live/SECRET', false, 'rtmp://host/live', false],
    ['rtmp://host/live/SECRET', true, 'rtmp://host/live/', false],
    ['rtmp://host/live/instance/SECRET?token=SECRET', true, 'rtmp://host/live/', false],
    ['rtmp://host/live2?backup=1/SECRET', true, 'rtmp://host/', false],
    ['rtmp://host/SECRET', true, 'rtmp://host/', false],
    ['rtmp://host/live;SECRET', false, 'rtmp://host/live', false],
    ['rtmp://host/live token=SECRET', false, 'rtmp://host/live', false],
    ['rtmp://user:SECRET', false, '', false],
    ['rtmp://user:12/SECRET@host/live', false, '', false],
    ['rtmp://user:12?SECRET@host/live', false, '', false],
    ['SECRET', true, '', false],
    ['https://host/SECRET', false, '', false],
  ];
  for (const [typed, full, url, complete] of cases)
    t.same(withoutSecrets(typed, full), { url, full, complete }, `${typed} ${full}`);
});

t.test('a publication is resumed once, and only while the gateway holds it', async (t) => {
  const left = { name: 'evening', resolution: '640x360', leftAt: Date.now() - 5000 };
  rememberPublication(left);
  t.match(takeLeftPublication(15_000), { ...left, heldUntil: left.leftAt + 15_000 });
  t.equal(takeLeftPublication(15_000), undefined, 'a second time');
  rememberPublication(left);
  t.equal(takeLeftPublication(1000), undefined, 'too late');
  rememberPublication(left);
  rememberPublication(undefined);
  t.equal(takeLeftPublication(15_000), undefined, 'nothing to resume');
  stored.set('webrtc-transponder.publication', '{');
  t.equal(takeLeftPublication(15_000), undefined, 'invalid');
});
