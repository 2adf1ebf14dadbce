import t from 'tap';
import type { TlsTrust } from '../../src/net/tls-trust.ts';
import { createFlvTags } from '../helpers/flv-source.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { pushEngines, pushing, refusal } from '../helpers/push-engines.ts';
import { death, pushTarget } from '../helpers/push-target.ts';
import { startScriptedServer } from '../helpers/scripted-rtmp-server.ts';
import { startTlsTerminator } from '../helpers/tls-terminator.ts';

// RTMPS through both engines. Three servers: with an authority of the system, with that of rtmps_ca_file, and with an unknown one.
const server = await startNginxRtmp({ record: false });
t.teardown(() => server.stop());
const [system, extra, unknown] = await Promise.all([
  startTlsTerminator(server.port),
  startTlsTerminator(server.port),
  startTlsTerminator(server.port),
]);
for (const terminator of [system, extra, unknown]) t.teardown(() => terminator.stop());
// Where Node reads the system's authorities when they are first needed.
process.env['SSL_CERT_FILE'] = system.caFile;
delete process.env['SSL_CERT_DIR'];
const tags = await createFlvTags({ seconds: 1 });

for (const engine of pushEngines) {
  /** `pushing` if the server takes media, otherwise the code of the failure. */
  const outcome = async (trust: TlsTrust, port: number, host = 'localhost'): Promise<string> =>
    (await refusal(engine.createFactory(trust)(pushTarget(`rtmps://${host}:${port}/live/name`)), tags))?.code ??
    'pushing';

  t.test(`push_engine=${engine.name}: rtmps_ca_file is trusted in addition to the system's authorities`, async (t) => {
    t.equal(await outcome({}, system.port), 'pushing');
    t.equal(await outcome({}, extra.port), 'DESTINATION_TLS');
    const both = { caFile: extra.caFile };
    t.equal(await outcome(both, system.port), 'pushing');
    t.equal(await outcome(both, extra.port), 'pushing');
    t.equal(await outcome(both, unknown.port), 'DESTINATION_TLS');
    t.throws(() => engine.createFactory({ caFile: '/nowhere/ca.pem' }), { code: 'SETTINGS_INVALID' });
  });

  t.test(
    `push_engine=${engine.name}: a certificate is valid for its host only, unless that host is not verified`,
    async (t) => {
      t.equal(await outcome({}, system.port, 'example.org'), 'DESTINATION_TLS');
      const told: string[] = [];
      const insecure: TlsTrust = { insecureHosts: ['LocalHost'], onInsecure: (host) => told.push(host) };
      t.equal(await outcome(insecure, unknown.port), 'pushing');
      t.equal(await outcome(insecure, unknown.port, '127.0.0.1'), 'DESTINATION_TLS');
      t.strictSame(told, ['localhost'], 'never silently');
    },
  );

  t.test(`push_engine=${engine.name}: a lost connection does not count as an invalid certificate`, async (t) => {
    const closing = await startScriptedServer({ raw: (socket) => void socket.once('data', () => socket.destroy()) });
    t.teardown(() => closing.stop());
    t.equal(await outcome({}, closing.port), 'DESTINATION_LOST', 'during the handshake');
    const http = await startScriptedServer({
      raw: (socket) => void socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    });
    t.teardown(() => http.stop());
    t.equal(await outcome({}, http.port), 'DESTINATION_TLS', 'no TLS');

    const dying = await startScriptedServer();
    t.teardown(() => dying.stop());
    const terminator = await startTlsTerminator(dying.port);
    t.teardown(() => terminator.stop());
    const pusher = engine.createFactory({ caFile: terminator.caFile })(
      pushTarget(`rtmps://localhost:${terminator.port}/live/name`),
    );
    const died = death(pusher);
    const player = await pushing(pusher, tags);
    dying.peers[0]!.socket.destroy();
    t.match(await died, { code: 'DESTINATION_LOST', retryable: true }, 'while it pushes');
    player.stop();
    await pusher.close();
  });
}
