import { z } from 'zod';
import { choice, integer, port } from '../fields.ts';

const isHttpUrl = (text: string): boolean =>
  /^https?:\/\/[^/?#@]+\/?$/i.test(text) && URL.canParse(text) && new URL(text).pathname === '/';
const isWebSocketUrl = (text: string): boolean => /^wss?:\/\/[^?#@]+$/i.test(text) && URL.canParse(text);
const name = z.string().regex(/^[\w.-]{0,64}$/, 'must have at most 64 letters, digits, dots, hyphens and underscores');

/** Several gateways behind one address. */
export const cluster = {
  role: choice(['node', 'manager', 'both']).default('node'),
  /** Empty: the gateway runs alone. */
  cluster_redis_url: z
    .string()
    .refine(
      (text) => text === '' || /^(?:rediss?|redis\+sentinel|redis\+cluster):\/\/[^\s/]+(?:\/[^\s]*)?$/i.test(text),
      'must be redis://, rediss://, redis+sentinel://HOST:PORT,HOST:PORT/MASTER or redis+cluster://HOST:PORT,HOST:PORT',
    )
    .default(''),
  cluster_prefix: z
    .string()
    .regex(/^[\w.:-]{1,64}$/, 'must have 1 to 64 letters, digits, dots, colons, hyphens and underscores')
    .default('wt:'),
  /** Seconds for which streams go on without Redis; 0: no limit. */
  cluster_grace_s: integer(0, 86_400).default(60),
  cluster_offline: choice(['refuse', 'accept']).default('refuse'),
  /** Empty: the host name. */
  node_id: name.default(''),
  /** Empty: `listen_ip` and the bound port, where `listen_ip` is one address. */
  node_url: z
    .string()
    .refine((text) => text === '' || isHttpUrl(text), 'must be http://HOST:PORT or https://HOST:PORT, without a path')
    .default(''),
  /** Empty: the host of `node_url` with `ws.port`. */
  node_ws_url: z
    .string()
    .refine((text) => text === '' || isWebSocketUrl(text), 'must be ws://HOST:PORT or wss://HOST:PORT')
    .default(''),
  node_region: name.default(''),
  node_group: name.default(''),
  /** Publications; 0: by the number of cores. */
  node_capacity: integer(0, 100_000).default(0),
  /** Of the manager of `role=both`. */
  manager_http_port: port.default(8091),
  manager_ws_port: port.default(8090),
};
