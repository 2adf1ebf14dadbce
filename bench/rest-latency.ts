import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from './measure.ts';

/** Milliseconds between two requests. An odd number, so that they do not keep step with 30 frames per second. */
const INTERVAL_MS = 23;

/** The requests that are measured: a cheap one, and one that lists every push. */
const CALLS = [
  ['GET', '/health'],
  ['POST', '/rest-api/push/find_all'],
] as const;

export type RestCall = 'GET /health' | 'POST find_all';
export const REST_CALLS: readonly RestCall[] = ['GET /health', 'POST find_all'];

export interface RestLatency {
  readonly p50: number;
  readonly p99: number;
}

/** Milliseconds to complete answers of a gateway, over a connection that is kept open. */
export async function restLatency(httpUrl: string, seconds: number): Promise<Record<RestCall, RestLatency>> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const taken: number[][] = CALLS.map(() => []);
  try {
    const until = performance.now() + seconds * 1000;
    for (let round = 0; performance.now() < until; round++) {
      for (const [index, [method, path]] of CALLS.entries()) {
        const ms = await call(agent, method, httpUrl + path);
        // The first request also connects.
        if (round > 0) taken[index]!.push(ms);
        await sleep(INTERVAL_MS);
      }
    }
  } finally {
    agent.destroy();
  }
  const [health, findAll] = taken.map((values) => {
    values.sort((a, b) => a - b);
    return { p50: percentile(values, 50), p99: percentile(values, 99) };
  });
  return { 'GET /health': health!, 'POST find_all': findAll! };
}

function call(agent: Agent, method: string, url: string): Promise<number> {
  const body = method === 'POST' ? '{}' : '';
  const headers = body === '' ? {} : { 'content-type': 'application/json', 'content-length': body.length };
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, method, headers }, (response) => {
      response.once('error', reject).once('end', () => {
        if (response.statusCode === 200) resolve(performance.now() - startedAt);
        else reject(new Error(`${method} ${url} answered ${response.statusCode}`));
      });
      response.resume();
    });
    sent.once('error', reject).end(body);
  });
}
