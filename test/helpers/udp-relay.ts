import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { randomFrom } from './random.ts';

/** Impairments of one direction. */
export interface Impairment {
  /** Share of lost datagrams, 0 to 1. */
  loss?: number;
  /** Delay of each datagram in milliseconds. */
  delay?: number;
  /** Maximum of a random additional delay in milliseconds; more than the distance of two datagrams reorders them. */
  jitter?: number;
  /** Share of duplicated datagrams, 0 to 1. */
  duplicate?: number;
  /** Share of datagrams that are delayed by 20 ms more and so overtaken. */
  reorder?: number;
  /** Nothing passes. */
  blackhole?: boolean;
  /** ICE checks and their answers do not pass. */
  noChecks?: boolean;
}

export interface UdpRelay {
  readonly port: number;
  /** From the browser to the gateway, and back. Can be changed at any time. */
  readonly toGateway: Impairment;
  readonly toBrowser: Impairment;
  /** Blocks or unblocks both directions. */
  blackhole(on: boolean): void;
  counts(): { readonly passed: number; readonly lost: number };
  close(): void;
}

/** By the first byte (RFC 7983). */
const isStun = (datagram: Buffer): boolean => datagram[0]! <= 3;

/** Additional delay of a reordered datagram in milliseconds. */
const REORDER_DELAY = 20;

/**
 * A UDP relay on loopback that simulates a bad network. Each sender has its own port towards the gateway, so that several browsers
 * can share a relay.
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
      // Refused while the gateway restarts; lost, as in a network.
      upstream.on('error', () => undefined);
      upstream.connect(gatewayPort, '127.0.0.1');
    }
    const target = upstream;
    pass(toGateway, datagram, () => {
      try {
        target.send(datagram);
      } catch {
        // The first datagram of a sender, before the socket is connected; ICE sends it again.
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
