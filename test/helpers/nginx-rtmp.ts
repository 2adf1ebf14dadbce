import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, ServerProcess } from './server-process.ts';
import type { RtmpServer } from './server-process.ts';

const MODULE = '/usr/lib/nginx/modules/ngx_rtmp_module.so';

export interface NginxRtmpOptions {
  /** Default: `live`. */
  readonly applications?: readonly string[];
  /** Record every stream as `NAME.flv`. Default: true. */
  readonly record?: boolean;
  /** Called for every publish with the server's parameters (`app`, `name`, `tcurl`, `flashver`, and those of the query); returns the HTTP status to answer. */
  readonly onPublish?: (parameters: URLSearchParams) => number;
  /** Additional directives for each application, such as `push rtmp://…;`. */
  readonly applicationDirectives?: string;
  /** Additional directives for the RTMP server, such as `max_message 1M;`. */
  readonly serverDirectives?: string;
  /** Also listen on `::1`. */
  readonly ipv6?: boolean;
}

export interface NginxRtmp extends RtmpServer {
  /** nginx-rtmp's statistics as XML. */
  readonly statsUrl: string;
}

/** nginx with its RTMP module, one process, everything in a temporary folder. */
export async function startNginxRtmp(options: NginxRtmpOptions = {}): Promise<NginxRtmp> {
  const prefix = await mkdtemp(join(tmpdir(), 'nginx-rtmp-'));
  const recordDir = join(prefix, 'recordings');
  await mkdir(recordDir);
  const [port, statsPort, hook] = [await freePort(), await freePort(), await startHook(options.onPublish)];
  const hookPort = hook && (hook.address() as AddressInfo).port;
  const applications = (options.applications ?? ['live']).map(
    (name) => `application ${name} {
      live on;
      ${options.record === false ? '' : `record all; record_path ${recordDir}; record_suffix .flv;`}
      ${hookPort === undefined ? '' : `on_publish http://127.0.0.1:${hookPort}/;`}
      ${options.applicationDirectives ?? ''}
    }`,
  );
  // Without a master process, freezing the one process freezes the server.
  await writeFile(
    join(prefix, 'nginx.conf'),
    `load_module ${MODULE};
daemon off; master_process off; worker_processes 1;
pid ${prefix}/nginx.pid; error_log stderr info;
events { worker_connections 1024; }
rtmp { server {
    listen 127.0.0.1:${port};
    ${options.ipv6 ? `listen [::1]:${port};` : ''}
    chunk_size 4096;
    ${options.serverDirectives ?? ''}
    ${applications.join('\n')}
} }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${prefix}/${kind};`).join(' ')}
  server { listen 127.0.0.1:${statsPort}; location / { rtmp_stat all; } }
}
`,
  );
  const server = new ServerProcess('nginx', ['-p', prefix, '-c', join(prefix, 'nginx.conf'), '-e', 'stderr'], port);
  await server.start();

  return {
    rtmpUrl: `rtmp://127.0.0.1:${port}/${(options.applications ?? ['live'])[0]}`,
    port,
    recordDir,
    statsUrl: `http://127.0.0.1:${statsPort}/`,
    get pid() {
      return server.pid;
    },
    get output() {
      return server.output;
    },
    freeze: () => server.freeze(),
    resume: () => server.resume(),
    kill: () => server.kill(),
    async restart() {
      await server.kill();
      await server.start();
    },
    async stop() {
      await server.stop();
      hook?.close();
      hook?.closeAllConnections();
      await rm(prefix, { recursive: true, force: true });
    },
  };
}

/** The HTTP server behind `on_publish`. */
async function startHook(onPublish: NginxRtmpOptions['onPublish']): Promise<Server | undefined> {
  if (!onPublish) return undefined;
  const hook = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => response.writeHead(onPublish(new URLSearchParams(body))).end());
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  return hook;
}
