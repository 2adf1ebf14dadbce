import t from 'tap';
import { createRtmpPusher } from '../../src/outputs/push/rtmp-pusher.ts';
import { DEFAULT_TIMEOUTS } from '../../src/rtmp/rtmp-client.ts';
import { createFlvTags, writeTags } from '../helpers/flv-source.ts';
import { startNginxRtmp } from '../helpers/nginx-rtmp.ts';
import { death, pushTarget, ready } from '../helpers/push-target.ts';
import { startScriptedServer } from '../helpers/scripted-rtmp-server.ts';
import { startTlsTerminator } from '../helpers/tls-terminator.ts';
import { waitFor } from '../helpers/wait.ts';

// The gateway's own client, beyond what both engines have in common (rtmps.test.ts).
const server = await startNginxRtmp();
t.teardown(() => server.stop());
const terminator = await startTlsTerminator(server.port);
t.teardown(() => terminator.stop());
const url = (host: string): string => `rtmps://${host}:${terminator.port}/live/name`;

void t.test('a certificate of a trusted authority', async (t) => {
  const create = createRtmpPusher({ caFile: terminator.caFile, onInsecure: () => t.fail('verified') });
  for (const host of ['localhost', '127.0.0.1']) {
    const pusher = create(pushTarget(url(host)));
    let taken = 0;
    pusher.on('progress', (bytes) => (taken = bytes));
    await ready(pusher);
    const tags = await createFlvTags({ seconds: 1 });
    await writeTags(pusher, tags);
    await waitFor('progress', () => taken > 0);
    await pusher.close();
    t.ok((await (await fetch(server.statsUrl)).text()).includes('<naccepted>'));
  }
  t.same(terminator.serverNames, ['localhost', false], 'a name is indicated, an address is not');
});

void t.test('certificates that are not trusted', async (t) => {
  t.match(await death(createRtmpPusher()(pushTarget(url('localhost')))), {
    code: 'DESTINATION_TLS',
    retryable: false,
    message: /self-signed/,
  });
  const trusting = createRtmpPusher({ caFile: terminator.caFile });
  t.match(await death(trusting(pushTarget(url('example.org')))), {
    code: 'DESTINATION_TLS',
    message: /for another host/,
  });
});

void t.test('a host that is trusted without verification is reported', async (t) => {
  const told: string[] = [];
  const create = createRtmpPusher({ insecureHosts: ['localhost'], onInsecure: (host) => told.push(host) });
  const pusher = create(pushTarget(url('localhost')));
  await ready(pusher);
  await pusher.close();
  t.same(told, ['localhost']);
  t.match(await death(create(pushTarget(url('127.0.0.1')))), { code: 'DESTINATION_TLS' }, 'only that host');
});

void t.test('servers that do not speak TLS', async (t) => {
  const cases = [
    [(socket: import('node:net').Socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), 'DESTINATION_TLS'],
    [() => {}, 'DESTINATION_TIMEOUT'],
    [(socket: import('node:net').Socket) => void socket.destroy(), 'DESTINATION_LOST'],
  ] as const;
  for (const [raw, code] of cases) {
    const plain = await startScriptedServer({ raw });
    t.teardown(() => plain.stop());
    const tls = code === 'DESTINATION_TIMEOUT' ? 300 : DEFAULT_TIMEOUTS.tls;
    const create = createRtmpPusher({ timeouts: { ...DEFAULT_TIMEOUTS, tls } });
    t.equal((await death(create(pushTarget(`rtmps://localhost:${plain.port}/live/name`)))).code, code);
  }
});
