import t from 'tap';
import { endedSession, routeOf } from '../../../src/signaling/manager/route-message.ts';

t.test('messages of a page: to the manager, to a session, to the node of a stream, or to the home node', async (t) => {
  const session = { mediaSessionId: 'id', name: 'cam' };
  t.strictSame(routeOf('roomStream', session), { to: 'nowhere' }, 'no page speaks for a node');
  t.strictSame(routeOf('publishStream', session), { to: 'stream', ...session, places: true });
  t.strictSame(routeOf('playStream', session), { to: 'stream', ...session, places: false });
  t.strictSame(routeOf('availableStream', session), { to: 'session', mediaSessionId: '', name: 'cam' });
  for (const message of ['unPublishStream', 'stopStream', 'sendStreamEvent', 'snapshot'])
    t.strictSame(routeOf(message, session), { to: 'session', ...session });
  t.strictSame(routeOf('stopStream', { mediaSessionId: 'id' }), {
    to: 'session',
    mediaSessionId: 'id',
    name: undefined,
  });
  for (const message of ['sendData', 'call', 'pushLogs', '__proto__'])
    t.strictSame(routeOf(message, session), { to: 'home' });
});

t.test('what is malformed is left to a node', async (t) => {
  for (const argument of [undefined, null, 5, 'x', [], {}, { mediaSessionId: 5, name: {} }, { mediaSessionId: '' }]) {
    t.strictSame(routeOf('publishStream', argument), { to: 'home' });
    t.strictSame(routeOf('availableStream', argument), { to: 'home' });
  }
});

t.test('a session ends with its last status', async (t) => {
  const status = (name: unknown) => ({ mediaSessionId: 'id', status: name });
  for (const final of ['UNPUBLISHED', 'STOPPED', 'FAILED'])
    t.equal(endedSession('notifyStreamStatusEvent', status(final)), 'id');
  for (const other of ['PUBLISHING', 'PLAYING', undefined, 5])
    t.equal(endedSession('notifyStreamStatusEvent', status(other)), undefined);
  t.equal(endedSession('notifyStreamEvent', status('FAILED')), undefined);
  t.equal(endedSession('notifyStreamStatusEvent', { status: 'FAILED' }), undefined);
});
