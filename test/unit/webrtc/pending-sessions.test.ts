import t from 'tap';
import { PendingSessions } from '../../../src/webrtc/pending-sessions.ts';

t.test('a client has a few slots and gets each back once', async (t) => {
  const pending = new PendingSessions({ perClient: 2, total: 10 });
  const leave = pending.enter('192.0.2.1');
  pending.enter('192.0.2.1');
  t.throws(() => pending.enter('192.0.2.1'), { code: 'LIMIT_REACHED', message: /max_pending_sessions_per_ip/ });
  t.doesNotThrow(() => pending.enter('192.0.2.2'), 'another client is not concerned');
  leave();
  leave();
  t.equal(pending.size, 2, 'a slot is freed once');
  pending.enter('192.0.2.1');
  t.throws(() => pending.enter('192.0.2.1'), { code: 'LIMIT_REACHED' });
});

t.test('all clients together have a limit, too', async (t) => {
  const pending = new PendingSessions({ perClient: 2, total: 3 });
  const leave = pending.enter('192.0.2.1');
  pending.enter('192.0.2.2');
  pending.enter();
  t.throws(() => pending.enter('192.0.2.3'), { code: 'LIMIT_REACHED', message: /max_pending_sessions\)/ });
  leave();
  t.doesNotThrow(() => pending.enter('192.0.2.3'));
});

t.test('an IPv6 client is its /64, an IPv4-mapped address is IPv4', async (t) => {
  const pending = new PendingSessions({ perClient: 1, total: 10 });
  pending.enter('2001:db8:0:1::1');
  t.throws(() => pending.enter('2001:db8:0:1:ffff::2'), { code: 'LIMIT_REACHED' });
  t.doesNotThrow(() => pending.enter('2001:db8:0:2::1'));
  pending.enter('::ffff:192.0.2.1');
  t.throws(() => pending.enter('192.0.2.1'), { code: 'LIMIT_REACHED' });
  pending.enter('fe80::1%eth0');
  t.throws(() => pending.enter('fe80::2%eth1'), { code: 'LIMIT_REACHED' });
});

t.test('clients without a known address only count in total', async (t) => {
  const pending = new PendingSessions({ perClient: 1, total: 2 });
  pending.enter();
  pending.enter();
  t.throws(() => pending.enter(), { code: 'LIMIT_REACHED', message: /^2 sessions/ });
});
