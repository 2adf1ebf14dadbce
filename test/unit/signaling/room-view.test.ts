import t from 'tap';
import type { RoomPayload } from '../../../src/rooms/doors/room-api.ts';
import { RoomView } from '../../../src/signaling/manager/room-view.ts';

const roomName = 'r';

t.test('a second state becomes the events that lead to it', async (t) => {
  const view = new RoomView(roomName);
  const told: RoomPayload[] = [
    { roomName, name: 'STATE', info: ['ann', { login: 'ben', name: 'b1' }, { login: 'ben', name: 'b2' }] },
    { roomName, name: 'JOINED', info: 'cat' },
    { roomName, name: 'PUBLISHED', info: { login: 'cat', name: 'c1' } },
    { roomName, name: 'UNPUBLISHED', info: { login: 'ben', name: 'b1' } },
    { roomName, name: 'FAILED', info: { login: 'nobody', name: 'x' } },
    { roomName, name: 'MESSAGE', info: { from: 'cat', text: 'hello' } },
    { roomName, name: 'JOINED', info: 'dan' },
    { roomName, name: 'LEFT', info: 'dan' },
  ];
  for (const payload of told) view.apply(payload);
  t.strictSame(view.return(['ann', { login: 'ben', name: 'b2' }, { login: 'cat', name: 'c1' }]), []);
  t.strictSame(
    view.return([
      { login: 'ben', name: 'b3' },
      { login: 'cat', name: 'c1' },
      { login: 'eve', name: 'e1' },
    ]),
    [
      { roomName, name: 'LEFT', info: 'ann' },
      { roomName, name: 'UNPUBLISHED', info: { login: 'ben', name: 'b2' } },
      { roomName, name: 'PUBLISHED', info: { login: 'ben', name: 'b3' } },
      { roomName, name: 'JOINED', info: 'eve' },
      { roomName, name: 'PUBLISHED', info: { login: 'eve', name: 'e1' } },
    ],
  );
  t.strictSame(view.return(['eve']), [
    { roomName, name: 'LEFT', info: 'ben' },
    { roomName, name: 'LEFT', info: 'cat' },
    { roomName, name: 'UNPUBLISHED', info: { login: 'eve', name: 'e1' } },
  ]);
});
