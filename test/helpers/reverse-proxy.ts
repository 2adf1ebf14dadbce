import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from './certificate.ts';
import { freePort, ServerProcess } from './server-process.ts';

const OPERATIONS = new URL('../../docs/operations.md', import.meta.url);

export interface ReverseProxy {
  /** `https://127.0.0.1:PORT`, and the path prefix with a slash at its end if there is one. */
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * nginx in front of a gateway, as in docs/operations.md except for ports and certificate: the first nginx block there is the server, the second one
 * has its locations for a gateway below a path prefix.
 */
export async function startReverseProxy(
  gateway: { readonly ws: number; readonly http: number },
  { prefixed = false } = {},
): Promise<ReverseProxy> {
  const [prefix, certificate, port] = [
    await mkdtemp(join(tmpdir(), 'reverse-proxy-')),
    await makeCertificate(),
    await freePort(),
  ];
  const [root, below] = [...(await readFile(OPERATIONS, 'utf8')).matchAll(/^```nginx\n(.*?)^```$/gms)].map(
    ([, block]) => block!,
  );
  const documented = prefixed ? root!.replace(/^ +location [^]*(?=^\}$)/m, below!) : root!;
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
    url: `https://127.0.0.1:${port}${prefixed ? '/gw/' : ''}`,
    async stop() {
      await nginx.stop();
      await Promise.all([certificate.remove(), rm(prefix, { recursive: true, force: true })]);
    },
  };
}
