import t from 'tap';
import {
  identityOf,
  isSameRecord,
  parseRecord,
  recordOf,
  withView,
} from '../../../../src/outputs/push/record/push-record.ts';
import type { StartRequest } from '../../../../src/outputs/push/transponder-control.ts';

const request: StartRequest = {
  streamName: 'show',
  rtmpUrl: 'rtmp://host/live',
  videoCodec: 'source',
  audioCodec: 'auto',
};
const now = new Date('2026-01-02T03:04:05.678Z');
const view = { muted: false, soundEnabled: false };

t.test('a push goes on with the codecs that its publisher sent, after a restart or on another node', async (t) => {
  const started = recordOf(request, now.toISOString());
  const passed = withView(started, {
    ...view,
    codecs: { video: 'av01', audio: 'Opus', why: 'the server announced it' },
  });
  const stored = parseRecord(JSON.stringify(passed));
  t.match(stored.order, { videoCodec: 'source', audioCodec: 'auto' });
  t.strictSame(identityOf('id', stored, now).published, { video: 'av1', audio: 'opus' });
  t.strictSame(withView(stored, view), stored, 'a change that says nothing about codecs keeps them');
  const partly = withView(stored, { ...view, codecs: { video: 'avc1', audio: 'Opus', why: '' } });
  t.strictSame(identityOf('id', partly, now).published, { audio: 'opus' });
});

t.test('H.264 and AAC, with which a push begins anyway, are not stored', async (t) => {
  const started = recordOf(request, now.toISOString());
  const after = withView(started, {
    ...view,
    codecs: { video: 'avc1', audio: 'mp4a', why: 'the server said nothing' },
  });
  t.ok(isSameRecord(after, started));
  t.equal(identityOf('id', after, now).published, undefined);
  t.equal(identityOf('id', parseRecord(JSON.stringify(started)), now).published, undefined);
});
