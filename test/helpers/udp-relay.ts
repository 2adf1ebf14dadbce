import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { randomFrom } from './random.ts';

/** What happens to the datagrams of one direction. */
export interface Impairment {
  /** Share of datagrams that are lost, 0 to 1. */
  loss?: number;
  /** Milliseconds that each datagram is held. */
  delay?: number;
  /** Further milliseconds, 0 to this, at random; more than the distance of two datagrams reorders them. */
  jitter?: number;
  /** Share of datagrams that are sent twice, 0 to 1. */
  duplicate?: number;
  /** Share of datagrams that are held 20 ms longer than the others, and so overtaken. */
  reorder?: number;
  /** Nothing passes. */
  blackhole?: boolean;
  /** No ICE check passes, and no answer to one. */
  noChecks?: boolean;
}

export interface UdpRelay {
  readonly port: number;
  /** From the browser to the gateway, and back. May be changed at any time. */
  readonly toGateway: Impairment;
  readonly toBrowser: Impairment;
  /** Both directions lose everything, or do so no longer. */
  blackhole(on: boolean): void;
  counts(): { readonly passed: number; readonly lost: number };
  close(): void;
}

/** RFC 7983: by the first byte. */
const isStun = (datagram: Buffer): boolean => datagram[0]! <= 3;

/** Milliseconds that a reordered datagram is late. */
const REORDER_DELAY = 20;

/**
 * A UDP relay on loopback that behaves as a bad network does. Each sender gets a port of its own towards the gateway, so that several
 * browsers may share a relay.
 */
export async function startUdpRelay(gatewayPort: number, impairment: Impairment = {}, seed = 1): Promise<UdpRelay> {
  const next = randomFrom(seed);
  const counts = { passed: 0, lost: 0 };
  const toGateway = { ...impairment };
  const toBrowser = { ...impairment };
  const upstreams = new Map<string, Socket>();
  let closed = false;

  const pass = (rules: Impairment, datagram: Buffer, send: () => void): void => {
    if (rules.blackhole || (rules.noChecks && isStun(datagram)) || next() < (rules.loss ?? 0)) {
      counts.lost += 1;
      return;
    }
    const copies = next() < (rules.duplicate ?? 0) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const wait =
        (rules.delay ?? 0) + next() * (rules.jitter ?? 0) + (next() < (rules.reorder ?? 0) ? REORDER_DELAY : 0);
      counts.passed += 1;
      if (wait < 1) send();
      else setTimeout(() => closed || send(), wait);
    }
  };

  const front = createSocket('udp4');
  front.on('message', (datagram, sender) => {
    const key = `${sender.address}:${sender.port}`;
    let upstream = upstreams.get(key);
    if (!upstream) {
      upstream = createSocket('udp4');
      upstreams.set(key, upstream);
      upstream.on('message', (answer) =>
        pass(toBrowser, answer, () => front.send(answer, sender.port, sender.address)),
      );
      // Refused for a moment while the gateway restarts: what a network would lose is lost here too.
      upstream.on('error', () => undefined);
      upstream.connect(gatewayPort, '127.0.0.1');
    }
    const target = upstream;
    pass(toGateway, datagram, () => {
      try {
        target.send(datagram);
      } catch {
        // Not connected yet: the first datagram of a sender; it is sent again by ICE.
        target.once('connect', () => closed || target.send(datagram));
      }
    });
  });
  front.bind(0, '127.0.0.1');
  await once(front, 'listening');

  return {
    port: front.address().port,
    toGateway,
    toBrowser,
    blackhole(on) {
      toGateway.blackhole = on;
      toBrowser.blackhole = on;
    },
    counts: () => ({ ...counts }),
    close() {
      closed = true;
      front.close();
      for (const upstream of upstreams.values()) upstream.close();
    },
  };
}
