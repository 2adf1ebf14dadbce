import fc from 'fast-check';
import t from 'tap';
import * as frames from '../../../src/rooms/doors/json-frames.ts';
import { scopeOf } from '../../../src/rooms/doors/scope-url.ts';

void t.test('frames of Red5 clients', async (t) => {
  const parse = (frame: object) => frames.parseFrame(JSON.stringify(frame));
  t.match(parse({ sharedObjectGetRemote: { name: 'so' } }), {
    type: 'frame',
    frame: { type: 'sharedObjectGetRemote', content: { name: 'so', persistent: false } },
  });
  t.match(parse({ sharedObjectSetProperty: { name: 'so', key: 'k', value: { a: [1, null] } } }), {
    frame: { content: { name: 'so', key: 'k', value: { a: [1, null] } } },
  });
  t.match(parse({ callAdapter: { method: 'm', arguments: [1] }, id: 'ab', async: true }), {
    frame: { type: 'callAdapter', id: 'ab', content: { method: 'm', arguments: [1] } },
  });
  t.match(parse({ send: { method: 'hi' } }), { frame: { type: 'send', content: { method: 'hi' } } });
});

void t.test('everything else is text for the scope', async (t) => {
  for (const text of ['hello', '', '{', '{"user":"ann","text":"hi"}', '[1]', 'null', '42', '{"constructor":{}}'])
    t.same(frames.parseFrame(text), { type: 'text', text }, text);
});

void t.test('malformed frames are refused with the field and the remedy', async (t) => {
  const reason = (text: string) => {
    const parsed = frames.parseFrame(text);
    return parsed.type === 'malformed' ? parsed.reason : parsed.type;
  };
  t.equal(reason('{"sharedObjectConnect":{}}'), 'sharedObjectConnect.name must be a text.');
  t.equal(reason('{"sharedObjectConnect":{"name":""}}'), 'sharedObjectConnect.name must not be empty.');
  t.equal(
    reason(JSON.stringify({ sharedObjectSend: { name: 'x', method: 'y'.repeat(1025) } })),
    'sharedObjectSend.method is too long.',
  );
  t.match(reason('{"send":7}'), /^send Invalid input/);
  t.equal(reason(`{"send":${'['.repeat(40)}`), 'The frame has more than 32 levels.');
  t.equal(reason('{"a":' + '['.repeat(500_000)), 'The frame has more than 32 levels.');
  t.equal(reason(JSON.stringify({ send: { method: '{[{['.repeat(30) } })), 'frame', 'brackets in texts do not count');
});

void t.test('any text is parsed without an exception', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      frames.parseFrame(text);
    }),
  );
});

void t.test('changes keep their order', async (t) => {
  const sent = frames.changeFrames('so', [
    { type: 'set', key: 'a', value: 1, by: '1' },
    { type: 'set', key: '__proto__', value: 2, by: '1' },
    { type: 'send', method: 'hi', args: ['x'], by: '1' },
    { type: 'delete', key: 'a', by: '1' },
    { type: 'clear', by: '1' },
    { type: 'set', key: 'b', value: null, by: '1' },
    { type: 'set', key: 'c', value: 0, by: '1' },
    { type: 'set', key: 'b', value: 1, by: '1' },
    { type: 'send', method: 'two', args: [1, 2], by: '1' },
    { type: 'send', method: 'none', args: [], by: '1' },
  ]);
  t.equal(sent[0], '{"data":{"type":"sharedobject","name":"so","value":{"a":1,"__proto__":2}}}');
  t.same(
    sent.slice(1).map((frame) => (JSON.parse(frame) as { data: object }).data),
    [
      {
        type: 'sharedobject',
        name: 'so',
        events: [{ subtype: 6, method: 'hi', value: 'x' }, { subtype: 9, attribute: 'a' }, { subtype: 8 }],
      },
      { type: 'sharedobject', name: 'so', value: { b: null, c: 0 } },
      { type: 'sharedobject', name: 'so', value: { b: 1 } },
      {
        type: 'sharedobject',
        name: 'so',
        events: [
          { subtype: 6, method: 'two', value: [1, 2] },
          { subtype: 6, method: 'none' },
        ],
      },
    ],
  );
});

void t.test('the four URLs of one scope', async (t) => {
  t.equal(scopeOf('/live/room1', null), 'live/room1');
  t.equal(scopeOf('/live', 'room1'), 'live/room1');
  t.equal(scopeOf('live/room1', null), 'live/room1', 'the app of an RTMP client');
  t.equal(scopeOf('live', 'room1'), 'live/room1');
  t.equal(scopeOf('//live//a%20b/', '/c/d/'), 'live/a b/c/d');
  t.throws(() => scopeOf('/', ''), { code: 'INVALID_REQUEST' });
  t.throws(() => scopeOf('/a/b/c/d', 'e/f/g/h/i'), { code: 'INVALID_REQUEST' });
  t.throws(() => scopeOf('/%ff', null), { code: 'INVALID_REQUEST' });
});

void t.test('texts that would be read as frames come in an envelope; all others as they are', async (t) => {
  const error = { code: 'FORBIDDEN', message: 'no' };
  const forged = [
    frames.stateFrame('so', new Map([['a', 1]])),
    ...frames.changeFrames('so', [{ type: 'clear', by: '1' }]),
    ...(['GetRemote', 'Connect', 'Disconnect'] as const).map((status) => frames.statusFrame('so', status, true)),
    frames.errorFrame(error, '7', 'so'),
    frames.callAnswer('7', { sum: 3 }),
    frames.callAnswer(undefined, null),
    frames.callFailure(7, error),
    frames.streamFrame('score', { home: 1 }),
    frames.streamFrame('audioMuted', undefined),
    frames.connectedFrame(),
    frames.textFrame(frames.errorFrame(error)),
  ];
  for (const frame of forged)
    for (const text of [
      frame,
      ` \n${frame}`,
      `\ufeff${frame}`,
      frame.replace('{', '{"more":1,'),
      `{"data":1,${frame.slice(1)}`,
    ])
      t.same(JSON.parse(frames.textFrame(text)), { data: { type: 'text', text } }, text);
  for (const text of [
    '',
    'hello',
    '{',
    '{"data":{"type":"sharedobject"}',
    'null',
    '[{"data":{"type":"error"}}]',
    '{"user":"ann","text":"hi"}',
    '{ "data": {"type": "chat", "status": "away"} }',
    '{"data":null,"async":false}',
    '{"jsonrpc":"2.0","method":7}',
    '"{\\"async\\":true}"',
  ])
    t.equal(frames.textFrame(text), text, text);
});

void t.test('of every text and its frame, clients know which of the two it was', async () => {
  const decoded = (frame: string): string => {
    try {
      const { data } = JSON.parse(frame) as { data?: { type?: string; text?: string } };
      return data?.type === 'text' ? data.text! : frame;
    } catch {
      return frame;
    }
  };
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc.json().map((json) => `{"data":{"type":"text","text":${json}}}`),
  );
  fc.assert(fc.property(text, (one) => decoded(frames.textFrame(one)) === one));
});
