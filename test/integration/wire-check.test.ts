import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { SettingsSchema } from '../../src/config/schema.ts';
import { DestinationPolicy } from '../../src/net/destination-policy.ts';
import { parseDestination } from '../../src/net/destination.ts';
import type { Verdict } from '../../src/views/push-view.ts';
import { WireCheck, type WireCheckOptions } from '../../src/outputs/push/platforms/wire-check.ts';
import { DEFAULT_TIMEOUTS } from '../../src/rtmp/rtmp-client.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { startScriptedServer, type ScriptedServerOptions } from '../helpers/scripted-rtmp-server.ts';
import { freePort } from '../helpers/server-process.ts';
import { startTlsTerminator } from '../helpers/tls-terminator.ts';
import { waitFor } from '../helpers/wait.ts';

const KEY = 'geheim-key-1234';
/** Short where no answer is expected. */
const SILENT = { ...DEFAULT_TIMEOUTS, tls: 400, handshake: 400, command: 1500 };
const policy = new DestinationPolicy(SettingsSchema.parse({ destination_allow_networks: '127.0.0.0/8' }), {
  lookup: async (host) => {
    if (host.endsWith('.example')) return ['127.0.0.1'];
    if (host.endsWith('.private')) return ['10.0.0.1'];
    throw Object.assign(new Error('no'), { code: 'ENOTFOUND' });
  },
});

const check = (url: string, options: Partial<WireCheckOptions> = {}, signal = new AbortController().signal) =>
  new WireCheck({
    resolve: (destination) => policy.resolve(destination),
    flashVersion: 'test',
    ...options,
  }).check(parseDestination(`${url}/${KEY}`, '', { streamNamePrefix: '', fullUrl: true }), undefined, signal);

const levels = (verdicts: readonly Verdict[]): string => verdicts.map((one) => `${one.check} ${one.level}`).join(', ');
const last = (verdicts: readonly Verdict[]): Verdict => verdicts.at(-1)!;

async function scripted(t: { teardown(end: () => Promise<void>): void }, options: ScriptedServerOptions = {}) {
  const server = await startScriptedServer(options);
  t.teardown(() => server.stop());
  return server;
}

t.test('a server that accepts: all steps, and nothing that touches the stream name', async (t) => {
  const server = await scripted(t);
  const verdicts = await check(server.rtmpUrl);
  t.equal(levels(verdicts), 'dns ok, policy ok, tcp ok, handshake ok, connect ok, createStream ok, streamKey ok');
  t.match(last(verdicts), { measured: /not checked/, remedy: /copy the key/ });
  for (const { measured } of verdicts.slice(2, -1)) t.match(measured, /^\d+ ms$/);
  const [peer] = server.peers;
  await waitFor('the farewell', () => peer!.commands.length === 3);
  t.strictSame(
    peer!.commands.map(({ name }) => name),
    ['connect', 'createStream', 'deleteStream'],
  );
  t.notMatch(JSON.stringify(peer!.commands), KEY);
  await waitFor('the end of the connection', () => peer!.socket.destroyed);
  t.equal(server.peers.length, 1);
});

t.test('a real server: nothing is published', async (t) => {
  const nginx = await startNginxRtmp();
  t.teardown(() => nginx.stop());
  const verdicts = await check(nginx.rtmpUrl);
  t.equal(last(verdicts).check, 'streamKey', levels(verdicts));
  t.ok(verdicts.every(({ level }) => level === 'ok'));
});

t.test('names and policy', async (t) => {
  t.match(await check('rtmp://nowhere.invalid/live'), [
    { check: 'dns', level: 'error', measured: /nowhere\.invalid.*ENOTFOUND/, remedy: /spelling/ },
  ]);
  const [dns, forbidden, ...more] = await check('rtmp://camera.private/live');
  t.match(
    [dns, forbidden],
    [
      { check: 'dns', level: 'ok' },
      { check: 'policy', level: 'error', remedy: /operator/ },
    ],
  );
  t.strictSame(more, [], 'nothing is connected to');
});

t.test('servers that refuse or hang: the step, the reason, the remedy', async (t) => {
  const refuse = (code: string) => ({
    answers: {
      connect: (peer: import('../helpers/scripted-rtmp-server.ts').ScriptedPeer, command: never) =>
        peer.reject(command, code, `no ${KEY} here`),
    },
  });
  const cases: [string, string, ScriptedServerOptions | undefined, RegExp, RegExp?][] = [
    ['no server', 'tcp', undefined, /refused the TCP connection/, /port/],
    ['silence', 'handshake', { raw: () => undefined }, /did not answer the handshake within 0\.4 s/, /RTMP/],
    ['HTTP', 'handshake', { raw: (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n') }, /./],
    ['hang up', 'handshake', { raw: (socket) => socket.destroy() }, /closed the connection|lost/],
    [
      'refusal',
      'connect',
      refuse('NetConnection.Connect.InvalidApp') as never,
      /InvalidApp: no \*\*\* here/,
      /application/,
    ],
    ['no answer to connect', 'connect', { answers: { connect: () => undefined } }, /did not answer connect/],
    [
      'authentication',
      'connect',
      {
        answers: {
          connect: (peer, command) =>
            peer.reject(
              command,
              'NetConnection.Connect.Rejected',
              '[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ',
            ),
        },
      },
      /requires a user and a password/,
      /USER:PASSWORD/,
    ],
    [
      'refused stream',
      'createStream',
      { answers: { createStream: (peer, command) => peer.reject(command, 'NetStream.Failed', 'full') } },
      /refused createStream: NetStream\.Failed: full/,
      /does not accept streams/,
    ],
    ['no stream', 'createStream', { answers: { createStream: () => undefined } }, /did not answer createStream/],
    [
      'rubbish',
      'createStream',
      { answers: { createStream: (peer, { transaction }) => peer.command('_result', transaction, null, 'x') } },
      /without a stream id/,
    ],
  ];
  for (const [name, step, script, measured, remedy = /\w/] of cases) {
    const url = script ? (await scripted(t, script)).rtmpUrl : `rtmp://127.0.0.1:${await freePort()}/live`;
    const verdicts = await check(url, script && /^(silence|no )/.test(name) ? { timeouts: SILENT } : {});
    t.match(last(verdicts), { check: step, level: 'error', measured, remedy }, name);
    t.ok(
      verdicts.slice(0, -1).every(({ level }) => level === 'ok'),
      name,
    );
    t.notMatch(JSON.stringify(verdicts), KEY, name);
  }
});

t.test('TLS: the certificate, its host, and servers without TLS', async (t) => {
  const server = await scripted(t);
  const [own, other] = await Promise.all([
    startTlsTerminator(server.port),
    startTlsTerminator(server.port, { subjectAltName: 'DNS:other.example' }),
  ]);
  t.teardown(() => Promise.all([own.stop(), other.stop()]).then(() => undefined));
  const rtmps = (port: number): string => `rtmps://127.0.0.1:${port}/live`;

  const trusted = await check(rtmps(own.port), { caFile: own.caFile });
  t.equal(
    levels(trusted),
    'dns ok, policy ok, tcp ok, tls ok, handshake ok, connect ok, createStream ok, streamKey ok',
  );
  t.match(trusted[3], { measured: /^TLSv1\.[23], certificate of .* until .* GMT, \d+ ms$/ });

  for (const [url, options, measured] of [
    [rtmps(own.port), {}, /self-signed/],
    [rtmps(other.port), { caFile: other.caFile }, /for another host/],
    [rtmps(server.port), {}, /does not speak TLS on that port/],
  ] as const)
    t.match(last(await check(url, options)), { check: 'tls', level: 'error', measured, remedy: /\w/ });

  const hanging = await scripted(t, { raw: () => undefined });
  t.match(last(await check(rtmps(hanging.port), { timeouts: SILENT })), {
    check: 'tls',
    level: 'error',
    measured: /within 0\.4 s/,
  });

  const insecure = await check(rtmps(other.port), { insecureHosts: ['127.0.0.1'] });
  t.match(insecure[3], { check: 'tls', level: 'warning', measured: /not verified/ });
  t.match(last(insecure), { check: 'streamKey', level: 'ok' });
});

t.test('a client that leaves ends the connection at once', async (t) => {
  let closed: Promise<unknown> | undefined;
  const server = await scripted(t, { raw: (socket) => void (closed = once(socket.resume(), 'close')) });
  const left = new AbortController();
  const checking = check(
    server.rtmpUrl,
    { timeouts: { tcp: 1e5, tls: 1e5, handshake: 1e5, command: 1e5 } },
    left.signal,
  );
  await waitFor('the connection', () => closed !== undefined);
  await sleep(20);
  left.abort();
  await t.rejects(checking);
  await closed;
});
