import t from 'tap';
import { isRefusedByBrowsers, portsRefusedByBrowsers } from '../../../src/config/browser-ports.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';

/** Node's `fetch` follows the same standard with a list of its own; nothing is connected to. */
async function isRefusedByFetch(port: number): Promise<boolean> {
  const dispatcher = {
    dispatch: (): never => {
      throw new Error('would connect');
    },
  };
  const error: unknown = await fetch(`http://127.0.0.1:${port}/`, { dispatcher } as unknown as RequestInit).catch(
    (reason: Error) => reason.cause,
  );
  return (error as Error).message === 'bad port';
}

t.test('the ports that are refused', async (t) => {
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const ports = [
    ...range(1, 1024),
    1719,
    1720,
    1723,
    2049,
    3659,
    4045,
    4190,
    ...range(5050, 5070),
    ...range(5990, 6010),
    ...range(6560, 6700),
    8000,
    8080,
    8081,
    8443,
    8444,
    10_000,
    10_080,
  ];
  const differing: number[] = [];
  for (const port of ports) if ((await isRefusedByFetch(port)) !== isRefusedByBrowsers(port)) differing.push(port);
  t.strictSame(differing, []);
  t.ok(isRefusedByBrowsers(10_080));
});

t.test('the settings that name one', async (t) => {
  const settings = (values: object) => SettingsSchema.parse(values);
  t.strictSame(portsRefusedByBrowsers(settings({})), [], 'none by default');
  t.strictSame(
    portsRefusedByBrowsers(
      settings({ 'ws.port': '10080', 'http.port': '6000', rtc_port: '6667', embedded_rtmp_port: '6668' }),
    ),
    ['ws.port', 'http.port'],
    'no browser speaks RTMP',
  );
  const hidden = { 'wss.port': '6665', 'https.port': '6666', embedded_http_flv_port: '6669' };
  t.strictSame(
    portsRefusedByBrowsers(settings({ ...hidden, embedded_rtmp_server: 'false' })),
    [],
    'what does not listen',
  );
  t.strictSame(
    portsRefusedByBrowsers(settings({ ...hidden, embedded_rtmp_server: 'true', tls_cert: 'c', tls_key: 'k' })),
    ['wss.port', 'https.port', 'embedded_http_flv_port'],
  );
});
