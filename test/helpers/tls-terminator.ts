import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:tls';
import { makeCertificate } from './certificate.ts';

export interface TlsTerminatorOptions {
  /** Subject alternative names of the certificate, in OpenSSL's notation. Default: `DNS:localhost,IP:127.0.0.1`. */
  readonly subjectAltName?: string;
}

export interface TlsTerminator {
  readonly port: number;
  /** PEM file of the certificate authority that clients must trust. */
  readonly caFile: string;
  /** Names that clients sent with SNI; `false` for none. */
  readonly serverNames: (string | false)[];
  stop(): Promise<void>;
}

/** Terminates TLS on 127.0.0.1 with a certificate of its own and forwards to `targetPort`. */
export async function startTlsTerminator(
  targetPort: number,
  options: TlsTerminatorOptions = {},
): Promise<TlsTerminator> {
  const certificate = await makeCertificate(options.subjectAltName);
  const serverNames: (string | false)[] = [];
  const connections = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    connections.add(socket);
    return socket.once('close', () => connections.delete(socket));
  };
  const server = createServer(
    { key: await readFile(certificate.keyFile), cert: await readFile(certificate.certificateFile) },
    (outer) => {
      serverNames.push((outer as { servername?: string | false }).servername ?? false);
      const inner = keep(connect(targetPort, '127.0.0.1'));
      for (const [socket, other] of [
        [outer, inner],
        [inner, outer],
      ] as const) {
        socket.on('error', () => {});
        socket.on('close', () => other.destroy());
        socket.pipe(other);
      }
    },
  );
  // Also before the handshake: connections that never complete it must not outlive the server.
  server.on('connection', keep);
  // Clients that refuse the certificate abort the handshake, which some tests expect.
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    caFile: certificate.certificateFile,
    serverNames,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of connections) socket.destroy();
      await closed;
      await certificate.remove();
    },
  };
}
