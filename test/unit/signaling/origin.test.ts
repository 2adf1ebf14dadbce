import t from 'tap';
import { createOriginCheck } from '../../../src/signaling/origin.ts';

const settings = { listen_ip: '127.0.0.1', allow_anonymous: false, cors_origins: ['https://studio.example.com'] };

t.test('on loopback: programs, pages of this machine, and those that are listed', async (t) => {
  const allows = createOriginCheck(settings);
  for (const origin of [
    undefined,
    'http://127.0.0.1:8081',
    'http://localhost',
    'http://[::1]:3000',
    'https://app.localhost',
    'https://studio.example.com',
    'HTTPS://Studio.Example.com',
  ])
    t.ok(allows(origin), String(origin));
  for (const origin of [
    'https://evil.example',
    'null',
    '',
    'http://127.0.0.1.evil.example',
    'https://studio.example.com.evil.example',
    'http://localhost.evil.example',
  ])
    t.notOk(allows(origin), origin);
});

t.test('beyond loopback every page may connect', async (t) => {
  for (const open of [{ listen_ip: '0.0.0.0' }, { allow_anonymous: true }, { cors_origins: ['*'] }])
    t.ok(createOriginCheck({ ...settings, ...open })('https://shop.example'));
});
