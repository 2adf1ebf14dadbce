import { copyFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { Certificate } from '../../../src/net/certificate.ts';
import { silentLogger } from '../../../src/observe/logger.ts';
import { makeCertificate } from '../../helpers/certificate.ts';
import { waitFor } from '../../helpers/wait.ts';

/** Two certificates for different names, and the files in which one of them is in use. */
async function prepare(
  t: Test,
): Promise<{ certFile: string; keyFile: string; use: (which: 'old' | 'new', part: 'cert' | 'key') => void }> {
  const [made, renewed] = await Promise.all([makeCertificate('DNS:old.test'), makeCertificate('DNS:new.test')]);
  t.teardown(() => Promise.all([made.remove(), renewed.remove()]));
  const folder = t.testdir();
  const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  const use = (which: 'old' | 'new', part: 'cert' | 'key'): void => {
    const { certificateFile: cert, keyFile: key } = which === 'old' ? made : renewed;
    copyFileSync({ cert, key }[part], files[part]);
  };
  use('old', 'cert');
  use('old', 'key');
  return { certFile: files.cert, keyFile: files.key, use };
}

async function connectTo(server: Server): Promise<TLSSocket> {
  const socket = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
  });
  await once(socket, 'secureConnect');
  return socket;
}

async function nameShownBy(server: Server): Promise<string | undefined> {
  const socket = await connectTo(server);
  const { subjectaltname } = socket.getPeerCertificate();
  socket.destroy();
  return subjectaltname;
}

t.test('a renewed certificate is used without a restart, and connections are kept', async (t) => {
  const { certFile, keyFile, use } = await prepare(t);
  const warnings: unknown[] = [];
  const logger = {
    ...silentLogger,
    warn: (...what: unknown[]) => warnings.push(what),
    info: () => undefined,
  } as unknown as typeof silentLogger;
  const certificate = new Certificate({ certFile, keyFile, logger, watchMs: 5 });
  const server = createServer(certificate.secureOptions, (_, response) => response.end('still here'));
  certificate.keepCurrent(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    certificate.close();
    server.closeAllConnections();
    server.close();
  });
  const early = await connectTo(server);
  t.equal(await nameShownBy(server), 'DNS:old.test');

  use('new', 'cert');
  await waitFor('the warning', () => warnings.length > 0, { every: 5 });
  t.match(warnings[0], [{ reason: /are not a PEM certificate and its key/ }]);
  t.equal(await nameShownBy(server), 'DNS:old.test', 'half a renewal changes nothing');

  use('new', 'key');
  await waitFor('the new certificate', async () => (await nameShownBy(server)) === 'DNS:new.test', { every: 5 });
  early.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  const [answer] = (await once(early, 'data')) as [Buffer];
  t.match(String(answer), /still here|200 OK/, 'a connection of before goes on');
});

t.test('files that are not a certificate and its key are named', async (t) => {
  const { certFile, keyFile } = await prepare(t);
  t.throws(() => new Certificate({ certFile: '/nowhere/cert.pem', keyFile, logger: silentLogger }), {
    code: 'SETTINGS_INVALID',
    message: /: \/nowhere\/cert\.pem cannot be read \(ENOENT\)/,
  });
  writeFileSync(certFile, 'nonsense');
  t.throws(() => new Certificate({ certFile, keyFile, logger: silentLogger }), {
    code: 'SETTINGS_INVALID',
    message: /are not a PEM certificate and its key/,
  });
});

t.test('only authenticated encryption with forward secrecy is accepted', async (t) => {
  const { certFile, keyFile } = await prepare(t);
  const certificate = new Certificate({ certFile, keyFile, logger: silentLogger });
  const server = createServer(certificate.secureOptions);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    certificate.close();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const negotiate = async (options: ConnectionOptions): Promise<string> => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    try {
      await once(socket, 'secureConnect');
      return `${socket.getProtocol()} ${socket.getCipher().name}`;
    } finally {
      socket.destroy();
    }
  };
  for (const ciphers of ['AES128-SHA', 'ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384', 'AES128-GCM-SHA256'])
    await t.rejects(negotiate({ maxVersion: 'TLSv1.2', ciphers }), ciphers);
  await t.rejects(negotiate({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
  t.match(await negotiate({ maxVersion: 'TLSv1.2' }), /^TLSv1\.2 ECDHE-ECDSA-\S+(?:GCM|CHACHA20)\S*$/);
  t.match(await negotiate({}), /^TLSv1\.3 /);
});
