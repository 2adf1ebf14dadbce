import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

export interface ReceivedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** As it was received. */
  readonly text: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests read bodies of every shape
  readonly body: any;
}

export type Answer = (response: ServerResponse, request: ReceivedRequest) => void;

export interface ApplicationServer {
  readonly port: number;
  readonly url: string;
  readonly requests: ReceivedRequest[];
  /** How it answers from now on. */
  answer: Answer;
  /** Resolves with the first request to the path that fits, past or future; it is not found again. */
  received(path: string, fits?: (request: ReceivedRequest) => boolean): Promise<ReceivedRequest>;
}

/** Answers each request with its own body. */
export const echo: Answer = (response, { text }) => response.end(text);

/** An application server on loopback that records what it is sent. */
export async function startApplicationServer(t: Test, answer: Answer = echo): Promise<ApplicationServer> {
  const waiting = new Set<() => void>();
  const found = new Set<ReceivedRequest>();
  const http = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (text += chunk));
    request.on('end', () => {
      const received = { path: request.url ?? '', headers: request.headers, text, body: JSON.parse(text) as unknown };
      server.requests.push(received);
      for (const check of waiting) check();
      server.answer(response, received);
    });
  }).listen(0, '127.0.0.1');
  await once(http, 'listening');
  t.teardown(() => {
    http.closeAllConnections();
    http.close();
  });
  const { port } = http.address() as AddressInfo;
  const server: ApplicationServer = {
    port,
    url: `http://127.0.0.1:${port}`,
    requests: [],
    answer,
    received: (path, fits = () => true) =>
      new Promise((resolve) => {
        const check = (): void => {
          const request = server.requests.find((one) => one.path === path && !found.has(one) && fits(one));
          if (!request) return;
          found.add(request);
          waiting.delete(check);
          resolve(request);
        };
        waiting.add(check);
        check();
      }),
  };
  return server;
}

/** What an application server must not get away with. */
export const BROKEN: Readonly<Record<string, Answer>> = {
  slow: () => undefined,
  'slow body': (response) => response.write('{'),
  closed: (response) => response.destroy(),
  'status 500': (response) => response.writeHead(500).end(),
  '10 MB': (response) => response.end(`{"result": true, "x": "${'x'.repeat(10_000_000)}"}`),
  redirect: (response) => response.writeHead(307, { location: '/elsewhere' }).end(),
  'not JSON': (response) => response.end('<html>'),
};
