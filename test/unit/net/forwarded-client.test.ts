import t from 'tap';
import { ForwardedClients } from '../../../src/net/forwarded-client.ts';

const KEY = Buffer.alloc(32, 1).toString('base64');
const OTHER = Buffer.alloc(32, 2).toString('base64');

t.test('an address that was signed a moment ago with the same key is believed, nothing else', async (t) => {
  const clients = new ForwardedClients(KEY);
  const now = 1_700_000_000_000;
  for (const address of ['203.0.113.9', '2001:db8::1', '::ffff:10.0.0.1']) {
    const header = clients.sign(address, now);
    t.equal(clients.verify(header, now + 59_000), address);
    t.equal(clients.verify(header, now + 61_000), undefined, 'too old');
    t.equal(clients.verify(header, now - 61_000), undefined, 'from the future');
    t.equal(new ForwardedClients(OTHER).verify(header, now), undefined, 'another key');
    t.equal(clients.verify(header.replace(address, '198.51.100.1'), now), undefined, 'another address');
    t.equal(clients.verify(header.slice(0, -1), now), undefined, 'cut');
    t.equal(clients.verify(header.replace(String(now), String(now + 1)), now), undefined, 'another time');
  }
  for (const header of [undefined, '', 'x', ['a', 'b'], '1.2.3.4 1 a', `${'1'.repeat(200)} 1 a`, '1.2.3.4  '])
    t.equal(clients.verify(header, now), undefined, JSON.stringify(header));
  t.equal(clients.verify(clients.sign('not an address', now), now), undefined);
});
