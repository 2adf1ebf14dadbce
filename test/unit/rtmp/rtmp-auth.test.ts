import { createHash } from 'node:crypto';
import t from 'tap';
import { appendQuery, parseAuthRequest, responseQuery, userQuery } from '../../../src/rtmp/rtmp-auth.ts';

void t.test('what a rejection asks for', async (t) => {
  t.equal(parseAuthRequest('[ Server.Reject ] : no such application'), undefined);
  t.same(parseAuthRequest('[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : '), { kind: 'user' });
  t.same(
    parseAuthRequest(
      '[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=bob&salt=s1&challenge=c+/1==&opaque=o1==',
    ),
    {
      kind: 'response',
      salt: 's1',
      challenge: 'c+/1==',
      opaque: 'o1==',
    },
  );
  t.match(
    parseAuthRequest('[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=bob&salt=s1&challenge=c1'),
    { opaque: undefined },
  );
  for (const reason of ['authfailed', 'nosuchuser', 'expired'])
    t.same(parseAuthRequest(`[ authmod=adobe ] : ?reason=${reason}&opaque=x`), { kind: 'failed' });
  t.same(parseAuthRequest('[ AccessManager.Reject ] : [ code=403 need auth; authmod=llnw ] : '), { kind: 'unknown' });
  t.same(parseAuthRequest('authmod=adobe'), { kind: 'failed' });
});

void t.test('the proof depends on the password, the salt and both challenges', async (t) => {
  const md5 = (text: string): string => createHash('md5').update(text).digest('base64');
  const request = { salt: 'salt', challenge: 'theirs', opaque: undefined };
  t.equal(
    responseQuery('bob', 'secret', request, 'ours'),
    `authmod=adobe&user=bob&challenge=ours&response=${md5(`${md5('bobsaltsecret')}theirsours`)}`,
  );
  const opaque = { ...request, opaque: 'opaque' };
  t.equal(
    responseQuery('bob', 'secret', opaque, 'ours'),
    `authmod=adobe&user=bob&challenge=ours&response=${md5(`${md5('bobsaltsecret')}opaqueours`)}&opaque=opaque`,
  );
  t.notMatch(responseQuery('bob', 'secret', request), /secret/);
  t.equal(userQuery('b&b='), 'authmod=adobe&user=b%26b%3D', 'a name cannot add parameters');
});

void t.test('a query is appended to an existing one', async (t) => {
  t.equal(appendQuery('live', ''), 'live');
  t.equal(appendQuery('live', 'a=1'), 'live?a=1');
  t.equal(appendQuery('live?x=y', 'a=1'), 'live?x=y&a=1');
});
