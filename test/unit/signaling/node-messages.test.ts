import t from 'tap';
import { asRoomPayload, parseNodeMessage } from '../../../src/signaling/manager/node-messages.ts';
import { RoomView } from '../../../src/signaling/manager/room-view.ts';
import { RoutedRooms } from '../../../src/signaling/manager/routed-rooms.ts';

const MESSAGES = [
  ['getUserData', { authToken: 'a' }],
  ['fail', { info: 'no' }],
  ['DataStatusEvent', { operationId: '1', status: 'ACCEPTED' }],
  ['OnDataEvent', { payload: 5 }],
  ['roomReply', { id: 1 }],
  ['roomEvent', { room: 'r', type: 'closed' }],
  ['roomStream', { room: 'r', stream: 's', status: 'ended' }],
  ['notifyStreamStatusEvent', { mediaSessionId: '1', status: 'STOPPED' }],
] as const;
const WRONG = [null, [], [null], 5, 'text', true, {}, { data: [] }, { message: 5 }, { message: 'x'.repeat(100) }];

t.test('each kind of message is accepted, and refused with an argument of another type', async (t) => {
  for (const [message, argument] of MESSAGES) {
    t.match(parseNodeMessage(JSON.stringify({ message, data: [argument, 5] })), { message, data: [argument, 5] });
    for (const wrong of [null, 5, 'text', [], [[]], true])
      t.equal(parseNodeMessage(JSON.stringify({ message, data: [wrong] })), undefined, `${message} ${String(wrong)}`);
    t.equal(parseNodeMessage(JSON.stringify({ message })), undefined);
    for (const [field, value] of Object.entries(argument)) {
      if (field === 'payload') continue;
      const changed = { ...argument, [field]: typeof value === 'object' ? 5 : { wrong: value } };
      t.equal(parseNodeMessage(JSON.stringify({ message, data: [changed] })), undefined, `${message}.${field}`);
    }
  }
  for (const wrong of WRONG) t.equal(parseNodeMessage(JSON.stringify(wrong)), undefined, JSON.stringify(wrong));
  for (const text of ['', '{', 'null', '\u0000']) t.equal(parseNodeMessage(text), undefined);
  t.match(parseNodeMessage('{"message":"constructor","data":[]}'), { message: 'constructor' }, 'passed on');
});

t.test('data of applications that looks like events of rooms reaches the page, and nothing else', async (t) => {
  const infos = [5, null, [], {}, 'x', [5], [null], [{ login: 5 }], { login: 'a' }, [[]], true, undefined];
  const names = ['STATE', 'JOINED', 'LEFT', 'PUBLISHED', 'UNPUBLISHED', 'FAILED', 'MESSAGE', 'OTHER', 5, null];
  const rooms = new RoutedRooms({ toHome: () => undefined, toPage: () => undefined, end: () => undefined });
  t.teardown(() => rooms.close());
  rooms.sent('sendData', { operationId: '1', payload: { command: 'join', options: { name: 'r' } } });
  rooms.homeLost();
  rooms.sent('sendData', { operationId: '1', payload: { command: 'join', options: { name: 'r' } } });
  for (const name of names)
    for (const info of infos) {
      const payload = { roomName: 'r', name, info };
      t.doesNotThrow(() => rooms.received('OnDataEvent', { payload }), JSON.stringify(payload));
      const parsed = asRoomPayload(payload);
      if (parsed) t.doesNotThrow(() => new RoomView('r').apply(parsed));
    }
  for (const payload of [5, null, [], 'x', undefined]) t.equal(asRoomPayload(payload), undefined);
});
