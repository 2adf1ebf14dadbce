import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from './certificate.ts';
import { freePort, ServerProcess } from './server-process.ts';

const OPERATIONS = new URL('../../docs/operations.md', import.meta.url);

export interface ReverseProxy {
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  stop(): Promise<void>;
}

/** nginx before a gateway, exactly as docs/operations.md has it but for ports and certificate. */
export async function startReverseProxy(gateway: {
  readonly ws: number;
  readonly http: number;
}): Promise<ReverseProxy> {
  const [prefix, certificate, port] = [
    await mkdtemp(join(tmpdir(), 'reverse-proxy-')),
    await makeCertificate(),
    await freePort(),
  ];
  const documented = /^```nginx\n(.*?)^```$/ms.exec(await readFile(OPERATIONS, 'utf8'))![1]!;
  const server = documented
    .replace('listen 443', `listen 127.0.0.1:${port}`)
    .replace(/(ssl_certificate +).*;/, `$1${certificate.certificateFile};`)
    .replace(/(ssl_certificate_key +).*;/, `$1${certificate.keyFile};`)
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${gateway.ws}`)
    .replaceAll('127.0.0.1:8081', `127.0.0.1:${gateway.http}`);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${prefix}/${kind};`)
    .join(' ');
  await writeFile(
    join(prefix, 'nginx.conf'),
    `daemon off; master_process off; pid ${prefix}/nginx.pid; error_log stderr info; events {}\nhttp { access_log off; ${paths}\n${server}}\n`,
  );
  const nginx = new ServerProcess('nginx', ['-p', prefix, '-c', join(prefix, 'nginx.conf'), '-e', 'stderr'], port);
  await nginx.start();
  return {
    url: `https://127.0.0.1:${port}`,
    async stop() {
      await nginx.stop();
      await Promise.all([certificate.remove(), rm(prefix, { recursive: true, force: true })]);
    },
  };
}
