import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, ServerProcess } from './server-process.ts';
import type { RtmpServer } from './server-process.ts';

export interface NodeMediaServerOptions {
  /** Record every stream as `APP/NAME/TIME.flv`. Default: true. */
  readonly record?: boolean;
}

/** node-media-server in a process of its own, because its context is global. It sends no acknowledgements. */
export async function startNodeMediaServer(options: NodeMediaServerOptions = {}): Promise<RtmpServer> {
  const folder = await mkdtemp(join(tmpdir(), 'node-media-server-'));
  const recordDir = join(folder, 'recordings');
  const port = await freePort();
  const config = {
    bind: '127.0.0.1',
    rtmp: { port },
    store: { path: join(folder, 'data') },
    ...(options.record === false ? {} : { record: { path: recordDir, auto: true } }),
  };
  const script = `
    const NodeMediaServer = require(${JSON.stringify(createRequire(import.meta.url).resolve('node-media-server'))});
    const server = new NodeMediaServer(${JSON.stringify(config)});
    server.run();
    process.on('SIGTERM', () => server.stop().then(() => process.exit(0)));`;
  const server = new ServerProcess(process.execPath, ['-e', script], port);
  await server.start();

  return {
    rtmpUrl: `rtmp://127.0.0.1:${port}/live`,
    port,
    recordDir,
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
      await rm(folder, { recursive: true, force: true });
    },
  };
}
