import t from 'tap';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { banner } from '../../../src/observe/banner.ts';

const local = SettingsSchema.parse({});

t.test('names the addresses, and a place for the key', async (t) => {
  const text = banner(
    { ...local, rest_api_key: 'geheim' },
    { http: { http: 8081 }, ws: 8080, rtmpUrl: 'rtmp://r/live' },
  );
  for (const part of ['http://127.0.0.1:8081/', 'ws://127.0.0.1:8080', 'rtmp://r/live', "'Authorization: Bearer KEY'"])
    t.ok(text.includes(part), part);
  t.notMatch(text, 'geheim');
});

t.test('with TLS names https and wss', async (t) => {
  const text = banner(local, { http: { http: 8081, https: 8444 }, ws: 8080, wss: 8443 });
  t.match(text, 'https://127.0.0.1:8444/rest-api');
  t.match(text, 'wss://127.0.0.1:8443');
  t.notMatch(text, /http:|ws:|Authorization/);
});

t.test('a wildcard is shown as loopback, IPv6 in brackets', async (t) => {
  const shown = (host: string): string => banner({ ...local, listen_ip: host }, { http: { http: 1 }, ws: 2 });
  for (const host of ['0.0.0.0', '::']) t.match(shown(host), 'http://127.0.0.1:1/');
  t.match(shown('::1'), 'http://[::1]:1/');
});
