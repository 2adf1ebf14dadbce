import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { createAuthorizer } from '../../../src/access/create-authorizer.ts';
import { HlsServer } from '../../../src/api/hls/hls-server.ts';
import { SettingsSchema } from '../../../src/config/schema.ts';
import { Certificate } from '../../../src/net/certificate.ts';
import { httpConnectionLimit } from '../../../src/net/connection-limit.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import type { Packagers } from '../../../src/outputs/hls/packagers.ts';
import { ViewerSessions } from '../../../src/outputs/hls/viewer-sessions.ts';
import { makeCertificate } from '../../helpers/certificate.ts';
import { createHttpApp } from '../../helpers/http-app.ts';
import { waitFor } from '../../helpers/wait.ts';

/** Limits of the HTTP listeners, on real ports. */

type Settings = Record<string, string>;
interface Options {
  readonly certificate?: Certificate;
  readonly requestTimeoutMs?: number;
}

const packagers = { sessions: new ViewerSessions({ total: 10, perClient: 10 }) } as unknown as Packagers;

/** The port of each kind of HTTP server. */
const SERVERS: Readonly<Record<string, (t: Test, settings: Settings, options?: Options) => Promise<number>>> = {
  'hls.port': async (t, more, options) => {
    const key = options?.certificate ? 'hls.https.port' : 'hls.port';
    const settings = SettingsSchema.parse({ [key]: '0', ...more });
    const server = await HlsServer.create({
      settings,
      key,
      authorizer: createAuthorizer(settings, silentLogger),
      packagers,
      allowOrigin: () => true,
      connections: httpConnectionLimit(settings),
      logger: silentLogger,
      ...options,
    });
    t.teardown(() => server.close());
    return server.port;
  },
  'http.port': async (t, settings, options) => {
    const connections = httpConnectionLimit(SettingsSchema.parse(settings));
    const { app } = await createHttpApp(settings, { connections, ...options });
    t.teardown(() => app.close());
    const { http, https } = await app.listen();
    return https ?? http;
  },
};

async function open(t: Test, port: number, localAddress = '127.0.0.1'): Promise<{ closed: boolean }> {
  const socket: Socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined);
  t.teardown(() => socket.destroy());
  const state = { closed: false };
  socket.resume().once('close', () => (state.closed = true));
  await once(socket, 'connect');
  return state;
}

const ask = (port: number, headers: Record<string, string> = {}, localAddress = '127.0.0.1'): Promise<number> =>
  new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: '/none', headers, localAddress, agent: false };
    get(options, (response: IncomingMessage) => resolve(response.resume().statusCode!)).on('error', reject);
  });
const from = (client: string) => ({ 'x-forwarded-for': client });

for (const [name, listen] of Object.entries(SERVERS)) {
  t.test(`${name}: connections of one address, and in all`, async (t) => {
    const port = await listen(t, { max_http_connections_per_ip: '3', max_http_connections: '5' });
    const opened: { closed: boolean }[] = [];
    for (let count = 0; count < 6; count++) opened.push(await open(t, port));
    await waitFor('the refusals', () => opened.filter(({ closed }) => closed).length === 3);
    t.same(
      opened.map(({ closed }) => closed),
      [false, false, false, true, true, true],
    );
    t.equal(await ask(port, {}, '127.0.0.2'), 404, 'another address is served');
    const others: { closed: boolean }[] = [];
    for (let count = 0; count < 3; count++) others.push(await open(t, port, '127.0.0.3'));
    await waitFor('the limit of all', () => others.filter(({ closed }) => closed).length >= 1);
  });

  t.test(`${name}: behind a proxy, one client does not lock others out`, async (t) => {
    const settings = { max_http_connections_per_ip: '2', max_http_requests_per_second: '1' };
    const port = await listen(t, { ...settings, trust_proxy: '127.0.0.9' });
    const proxied = [];
    for (let count = 0; count < 5; count++) proxied.push(await open(t, port, '127.0.0.9'));
    const statuses: number[] = [];
    for (let count = 0; count < 12; count++) statuses.push(await ask(port, from('192.0.2.1'), '127.0.0.9'));
    t.same([statuses[0], statuses.at(-1)], [404, 429]);
    t.equal(await ask(port, from('192.0.2.2'), '127.0.0.9'), 404, 'another client of the proxy');
    t.same(new Set(proxied.map(({ closed }) => closed)), new Set([false]), 'its connections count in total only');
    const forged: number[] = [];
    for (let count = 0; count < 12; count++) forged.push(await ask(port, from(`192.0.2.${count}`), '127.0.0.8'));
    t.equal(forged.at(-1), 429, 'nobody else is believed');
  });

  t.test(`${name}: wrong keys are counted for each client, also behind a proxy`, async (t) => {
    const settings = { rest_api_key: 'k'.repeat(20), max_failed_logins_per_minute: '3', trust_proxy: '127.0.0.9' };
    const port = await listen(t, settings);
    const path = name === 'http.port' ? '/api/v1/me' : '/x/x.m3u8';
    const guess = (client: string, key: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const headers = { ...from(client), 'x-api-key': key };
        const options = { host: '127.0.0.1', port, path, headers, localAddress: '127.0.0.9', agent: false };
        get(options, (response) => resolve(response.resume().statusCode!)).on('error', reject);
      });
    const statuses: number[] = [];
    for (let count = 0; count < 5; count++) statuses.push(await guess('192.0.2.1', `guess ${count}`));
    t.same(statuses, [401, 401, 401, 429, 429]);
    t.equal(await guess('192.0.2.2', 'guess'), 401, 'another client is only refused');
    t.not(await guess('192.0.2.2', 'k'.repeat(20)), 429);
  });

  t.test(`${name}: TLS handshakes that are not finished`, async (t) => {
    const { certificateFile: certFile, keyFile, remove } = await makeCertificate();
    const certificate = new Certificate({ certFile, keyFile, logger: silentLogger });
    t.teardown(async () => {
      certificate.close();
      await remove();
    });
    const port = await listen(t, {}, { certificate, requestTimeoutMs: 250 });
    const silent = await open(t, port);
    const half = connect(port, '127.0.0.1').on('error', () => undefined);
    t.teardown(() => half.destroy());
    let closed = false;
    half.resume().once('close', () => (closed = true));
    // The beginning of a ClientHello.
    half.write(Buffer.from('16030102000100', 'hex'));
    await waitFor('both to be closed', () => closed && silent.closed);
    t.pass();
  });
}
