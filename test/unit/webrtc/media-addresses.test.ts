import type { NetworkInterfaceInfo } from 'node:os';
import t from 'tap';
import { mediaAddresses } from '../../../src/webrtc/media-addresses.ts';

const address = (family: 'IPv4' | 'IPv6', text: string, internal = false) =>
  ({ family, address: text, internal }) as NetworkInterfaceInfo;
const LAN = {
  lo: [address('IPv4', '127.0.0.1', true), address('IPv6', '::1', true)],
  eth0: [address('IPv6', 'fe80::1'), address('IPv4', '192.168.1.5'), address('IPv6', '2001:db8::5')],
  eth1: [address('IPv4', '10.0.0.5')],
};
const OFFLINE = { lo: LAN.lo };
const ALONE = { ip: '', ip_local: '', listen_ip: '127.0.0.1' };

t.test('only this machine is admitted: loopback, and the own address for Firefox', async (t) => {
  t.strictSame(mediaAddresses(ALONE, LAN), [{ ip: '127.0.0.1' }, { ip: '192.168.1.5', isExtra: true }]);
  t.strictSame(mediaAddresses(ALONE, OFFLINE), [{ ip: '127.0.0.1' }]);
  t.strictSame(mediaAddresses(ALONE, { lo: undefined }), [{ ip: '127.0.0.1' }]);
});

t.test('other machines are admitted: all addresses', async (t) => {
  t.strictSame(mediaAddresses({ ...ALONE, listen_ip: '0.0.0.0' }, LAN), [{ ip: '0.0.0.0', announced: '192.168.1.5' }]);
  t.strictSame(mediaAddresses({ ...ALONE, listen_ip: '192.168.1.5' }, LAN), [
    { ip: '0.0.0.0', announced: '192.168.1.5' },
  ]);
  t.strictSame(mediaAddresses({ ...ALONE, listen_ip: '::' }, LAN), [{ ip: '::', announced: '2001:db8::5' }]);
  t.strictSame(mediaAddresses({ ...ALONE, listen_ip: '0.0.0.0' }, OFFLINE), [
    { ip: '0.0.0.0', announced: '127.0.0.1' },
  ]);
  t.strictSame(
    mediaAddresses({ ...ALONE, ip: 'media.example.com' }, LAN),
    [{ ip: '0.0.0.0', announced: 'media.example.com' }],
    'behind a proxy for the rest',
  );
});

t.test('only ip_local is bound', async (t) => {
  t.strictSame(mediaAddresses({ ...ALONE, ip_local: '127.0.0.1' }, LAN), [{ ip: '127.0.0.1' }]);
  t.strictSame(mediaAddresses({ ip: '203.0.113.7', ip_local: '10.0.0.5', listen_ip: '0.0.0.0' }, LAN), [
    { ip: '10.0.0.5', announced: '203.0.113.7' },
  ]);
  t.strictSame(mediaAddresses({ ...ALONE, ip_local: '0.0.0.0' }, LAN), [{ ip: '0.0.0.0', announced: '192.168.1.5' }]);
  t.strictSame(mediaAddresses({ ...ALONE, ip_local: '::' }, OFFLINE), [{ ip: '::', announced: '::1' }]);
});
