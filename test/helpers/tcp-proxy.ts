import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Cuts what is open now. */
  cut(): void;
  close(): Promise<void>;
}

/** A TCP proxy on loopback that cuts each connection once `dropAfterBytes` have gone through it: a server that accepts and drops. */
export async function startTcpProxy(targetPort: number, dropAfterBytes = Infinity): Promise<TcpProxy> {
  const open = new Set<Socket>();
  let accepted = 0;
  const server = createServer((client) => {
    accepted += 1;
    let passed = 0;
    const target = connect(targetPort, '127.0.0.1');
    for (const [from, to] of [[client, target], [target, client]] as const) {
      open.add(from);
      from.on('error', () => undefined).on('close', () => {
        open.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
    client.on('data', (chunk) => {
      passed += chunk.length;
      if (passed > dropAfterBytes) client.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => open.forEach((socket) => void socket.destroy());
  return {
    port: (server.address() as { port: number }).port,
    get accepted() {
      return accepted;
    },
    cut,
    async close() {
      server.close();
      cut();
      await once(server, 'close');
    },
  };
}
