import type { FastifyRequest } from 'fastify';
import t from 'tap';
import { headerCredentials, queryCredentials } from '../../../../src/api/authorize.ts';
import { SettingsSchema } from '../../../../src/config/schema.ts';
import { iceServerLinks } from '../../../../src/api/whip/whip-link-header.ts';
import {
  checkIfMatch,
  readBody,
  readQuery,
  readStreamName,
  resumeKey,
  SDP,
} from '../../../../src/api/whip/whip-requests.ts';

const request = (parts: object): FastifyRequest =>
  ({ headers: {}, params: {}, query: {}, ...parts }) as unknown as FastifyRequest;

t.test('If-Match: lists, asterisks, strong comparison', async (t) => {
  for (const [header, expected] of [
    [undefined, 'none'],
    [' ', 'none'],
    ['*', 'any'],
    ['"*"', 'any'],
    ['"a"', 'matches'],
    ['"b", "a"', 'matches'],
    ['"b","c"', 'fails'],
    ['W/"a"', 'fails'],
    ['a', 'fails'],
  ] as const)
    t.equal(checkIfMatch(header, '"a"'), expected, String(header));
});

t.test('the media type is compared without its parameters', async (t) => {
  const read = (type?: string) => readBody(request({ headers: { 'content-type': type }, body: 'v=0' }), SDP);
  for (const type of ['application/sdp', 'Application/SDP; charset=utf-8', 'application/sdp ;x=y'])
    t.equal(read(type), 'v=0');
  for (const type of [undefined, '', 'text/plain', 'application/sdpx', 'application/json;application/sdp'])
    t.throws(() => read(type), { code: 'UNSUPPORTED_MEDIA_TYPE' }, String(type));
});

t.test('rtmpUrl may be given several times, and its errors do not show it', async (t) => {
  const read = (query: object) => readQuery(request({ query }));
  t.strictSame(read({}), { rtmpUrls: [], tcpOnly: false, record: false });
  for (const [mode, record] of [
    ['live', false],
    ['record', true],
    ['append', true],
    ['x', false],
  ] as const)
    t.equal(read({ mode }).record, record, mode);
  t.equal(read({ mode: ['record', 'record'] }).record, false);
  t.strictSame(read({ rtmpUrl: 'rtmp://a/b' }).rtmpUrls, ['rtmp://a/b']);
  t.strictSame(
    read({ rtmpUrl: ['rtmp://a/b', 'rtmp://c/d', 'rtmp://a/b'] }).rtmpUrls,
    ['rtmp://a/b', 'rtmp://c/d'],
    'duplicates are dropped',
  );
  t.equal(read({ transport: 'TCP', signal: 'true', mode: 'live', keyFramerate: '30', x: ['y', 'z'] }).tcpOnly, true);
  t.equal(read({ transport: ['tcp', 'udp'] }).tcpOnly, false);
  for (const rtmpUrl of [
    '',
    'geheim\n',
    ['rtmp://a/b', ''],
    'geheim'.padEnd(5000, 'x'),
    new Array<string>(33).fill('rtmp://geheim'),
  ])
    t.throws(() => read({ rtmpUrl }), { code: 'INVALID_REQUEST', message: /^(?!.*geheim).*rtmpUrl must/ });
});

t.test('a missing stream name is an invalid request', async (t) => {
  t.throws(() => readStreamName(request({ params: {} })), {
    code: 'INVALID_REQUEST',
    message: 'The name of the stream must have 1 to 256 characters and no control characters.',
  });
});

t.test('a stream is continued by a client with the same credentials', async (t) => {
  const of = (headers: object, query: object = {}) => resumeKey(queryCredentials(request({ headers, query }), 'whip'));
  t.equal(of({}), undefined);
  t.equal(of({ authorization: 'Bearer k' }), of({}, { token: 'k' }));
  t.equal(of({ authorization: 'bearer  k ' }), of({ 'x-api-key': 'k' }));
  t.not(of({ authorization: 'Bearer k' }), of({ authorization: 'Bearer l' }));
  t.not(of({}, { username: 'u', password: 'p' }), of({}, { username: 'u', password: 'q' }));
  t.not(of({}, { username: 'k' }), of({}, { password: 'k' }));
  t.notMatch(of({}, { token: 'geheim' }), /geheim/);
  t.equal(
    resumeKey(headerCredentials(request({ query: { token: 'k' } }), 'whip')),
    undefined,
    'RFC 9725 uses only the header',
  );
});

t.test('Link headers from the settings', async (t) => {
  const settings = SettingsSchema.parse({
    ice_servers: 'stun:stun.example.net, turns:[2001:db8::1]:5349?transport=tcp alice p4/ss=',
  });
  t.strictSame(iceServerLinks(settings.ice_servers), [
    '<stun:stun.example.net>; rel="ice-server"',
    '<turns:[2001:db8::1]:5349?transport=tcp>; rel="ice-server"; username="alice"; credential="p4/ss="; credential-type="password"',
  ]);
  for (const ice_servers of [
    'turn:t.example.net',
    'stun:s u p',
    'http://x',
    'turn:t u "p"',
    'turn:t?transport=sctp u p',
    'stun:>;<',
  ])
    t.throws(() => SettingsSchema.parse({ ice_servers }), /list of stun:HOST:PORT/, ice_servers);
});
