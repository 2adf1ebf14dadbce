import t from 'tap';
import { EcmaArray } from '../../../src/media/amf0.ts';
import { meaningOf, refusalOf, statusOf } from '../../../src/rtmp/refusals.ts';
import { createRedact } from '../../../src/rtmp/server-words.ts';

const plain = (words: string): string => words;

void t.test('a status is found at any position among other values', async (t) => {
  const status = { level: 'error', code: 'C', description: 'D' };
  t.same(statusOf([null, status]), status);
  t.same(statusOf([{ fmsVer: '1' }, new EcmaArray(status)]), status);
  t.same(statusOf([]), { level: '', code: '', description: '' });
  t.same(statusOf([[1], new Date(), 'text', { code: 5, description: {}, level: [] }]), {
    level: '',
    code: '',
    description: '',
  });
});

void t.test('which refusals are final', async (t) => {
  const final = (code: string): boolean => refusalOf('x', { level: 'error', code, description: '' }, plain).final;
  for (const code of [
    'NetStream.Publish.BadName',
    'NetStream.Publish.Denied',
    'NetStream.Record.NoAccess',
    'NetConnection.Connect.InvalidApp',
    'NetConnection.Connect.Rejected',
  ])
    t.ok(final(code), code);
  for (const code of [
    'NetStream.Failed',
    'NetConnection.Connect.AppShutdown',
    'Something.Else',
    '',
    '__proto__',
    'constructor',
  ])
    t.notOk(final(code), code);
});

void t.test('what a status means for a publish', async (t) => {
  const meaning = (level: string, code: string): string | undefined => meaningOf({ level, code, description: '' });
  t.equal(meaning('error', 'Anything'), 'end');
  t.equal(meaning('error', 'NetStream.Unpublish.Success'), 'end');
  for (const code of [
    'NetStream.Publish.BadName',
    'NetConnection.Connect.AppShutdown',
    'NetConnection.Connect.Closed',
    'NetConnection.Connect.IdleTimeOut',
  ])
    for (const level of ['status', '', 'error']) t.equal(meaning(level, code), 'end', code);
  t.equal(meaning('warning', 'NetStream.Publish.Failed'), 'doubt');
  t.equal(meaning('status', 'NetStream.Unpublish.Success'), 'doubt', 'may be about an earlier connection');
  t.equal(meaning('', 'NetStream.Unpublish.Success'), 'doubt');
  for (const level of ['error', 'warning', 'status'])
    for (const code of [
      'NetStream.Play.InsufficientBW',
      'NetStream.Play.StreamNotFound',
      'NetStream.Publish.Idle',
      'NetStream.Record.Failed',
      'NetConnection.Call.Failed',
      'NetConnection.Connect.ReconnectRequest',
    ])
      t.equal(meaning(level, code), undefined, `${level} ${code}`);
  t.equal(meaning('error', 'NetStream.Record.NoAccess'), 'end');
  t.equal(meaning('status', 'NetStream.Publish.Start'), undefined);
  t.equal(meaning('', 'toString'), undefined);
});

void t.test("the reason is in the server's own words", async (t) => {
  t.equal(
    refusalOf(
      'the publish',
      { level: 'error', code: 'NetStream.Publish.BadName', description: 'Already publishing' },
      plain,
    ).message,
    'The server refused the publish: NetStream.Publish.BadName: Already publishing',
  );
  t.equal(
    refusalOf('to connect', { level: '', code: '', description: '' }, plain).message,
    'The server refused to connect without giving a reason',
  );
});

void t.test('secrets are removed from descriptions, and from unknown codes', async (t) => {
  const redact = createRedact({ app: 'live', streamName: 'stream' });
  t.equal(
    refusalOf(
      'the publish',
      { level: 'error', code: 'NetStream.Publish.BadName', description: 'stream exists' },
      redact,
    ).message,
    'The server refused the publish: NetStream.Publish.BadName: *** exists',
  );
  t.equal(
    refusalOf('the publish', { level: 'error', code: 'No.stream', description: '' }, redact).message,
    'The server refused the publish: No.***',
  );
});
