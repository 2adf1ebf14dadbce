import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface TcpProxy {
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Closes the open connections. */
  cut(): void;
  /** Closes only the clients' side, as a broken network does: the server does not notice until the returned function is called. */
  strand(): () => void;
  close(): Promise<void>;
}

/** A TCP proxy on loopback that closes each connection after `dropAfterBytes`: a server that accepts and drops connections. */
export async function startTcpProxy(targetPort: number, dropAfterBytes = Infinity): Promise<TcpProxy> {
  const open = new Set<Socket>();
  /** Both sides of each connection, the client's first. */
  const pairs = new Map<Socket, Socket>();
  const stranded = new Set<Socket>();
  let accepted = 0;
  const server = createServer((client) => {
    accepted += 1;
    let passed = 0;
    const target = connect(targetPort, '127.0.0.1');
    pairs.set(client, target);
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      open.add(from);
      from
        .on('error', () => undefined)
        .on('close', () => {
          open.delete(from);
          pairs.delete(from);
          if (!stranded.has(to)) to.destroy();
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
  const strand = (): (() => void) => {
    const left = [...pairs.values()];
    for (const [client, target] of pairs) {
      stranded.add(target);
      client.unpipe(target).destroy();
    }
    return () => left.forEach((target) => void target.destroy());
  };
  return {
    port: (server.address() as { port: number }).port,
    get accepted() {
      return accepted;
    },
    cut,
    strand,
    async close() {
      server.close();
      cut();
      await once(server, 'close');
    },
  };
}
