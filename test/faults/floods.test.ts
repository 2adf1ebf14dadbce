import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { setImmediate as immediate } from 'node:timers/promises';
import t from 'tap';
import { WebSocket } from 'ws';
import { AttackStage, NEIGHBOURS } from '../helpers/attack-stage.ts';
import { waitFor } from '../helpers/wait.ts';

/** Clients that send more than the limits of the settings allow, each from an address of its own. The limits are the defaults. */

const KEY = 'k3y-of-this-test';
/** What the default of max_http_requests_per_second allows in its ten seconds. */
const ALLOWED_REQUESTS = 2000;
const WINDOW_MS = 10_000;

t.setTimeout(120_000);
// This process reads the log, and its own floods keep it from that: a full pipe would stop the gateway.
const stage = await AttackStage.start({ rest_api_key: KEY, log_level: 'warn' }, `?token=${KEY}`);
t.teardown(() => stage.stop());
const { gateway } = stage;

interface Call {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

/** Sends requests over 50 connections from one address, and returns how often each status came; 0: none. */
async function flood(from: string, count: number, call: (index: number) => Call): Promise<Map<number, number>> {
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  const statuses = new Map<number, number>();
  const send = (index: number): Promise<number> =>
    new Promise((resolve) => {
      const { path, method = 'GET', headers = {}, body } = call(index);
      const sent = request({
        agent,
        host: '127.0.0.1',
        port: gateway.ports.http,
        localAddress: from,
        path,
        method,
        headers,
      });
      sent.once('response', (answer) => answer.resume().once('close', () => resolve(answer.statusCode!)));
      sent.once('error', () => resolve(0));
      sent.end(body);
    });
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < count) {
      const status = await send(next++);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 50 }, client));
  agent.destroy();
  return statuses;
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const hits = async (limit: string): Promise<number> => {
  const { text } = await gateway.http('/metrics');
  return Number(new RegExp(`^gateway_limit_hits_total\\{limit="${limit}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
};

async function open(from: string, query = ''): Promise<WebSocket> {
  const socket = new WebSocket(gateway.wsUrl + query, { localAddress: from });
  await new Promise<void>((resolve) => {
    socket.once('open', resolve).once('close', () => resolve());
    socket.on('error', () => undefined);
  });
  return socket;
}

/** A WebSocket whose client has been accepted. */
async function connect(from: string): Promise<WebSocket> {
  const socket = await open(from, `?token=${KEY}`);
  socket.send('{"message":"connection","data":[{}]}');
  // getVersion, before getUserData.
  await once(socket, 'message');
  return socket;
}

t.test('thousands of REST requests, without a key and with it', async (t) => {
  let allowed = 0;
  await stage.underAttack(t, async () => {
    const beganMs = performance.now();
    const [open, keyed] = await Promise.all([
      flood('127.0.1.1', 4000, () => ({ path: '/rest-api/push/find_all' })),
      flood('127.0.1.2', 4000, () => ({ path: '/rest-api/push/find_all', headers: bearer(KEY) })),
    ]);
    // A slow machine may need several windows.
    allowed = ALLOWED_REQUESTS * (Math.floor((performance.now() - beganMs) / WINDOW_MS) + 1);
    t.strictSame([...open.keys()].sort(), [401, 429]);
    t.ok(open.get(401)! >= ALLOWED_REQUESTS && open.get(401)! <= allowed, `${open.get(401)} of ${allowed} answered`);
    t.strictSame([...keyed.keys()].sort(), [200, 429]);
    // Until its first answer the key counts for its address.
    t.ok(keyed.get(200)! >= ALLOWED_REQUESTS && keyed.get(200)! <= allowed + 50, `${keyed.get(200)} answered`);
  });
  t.equal((await gateway.http('/health/ready')).status, 200);
  t.ok((await hits('max_http_requests_per_second')) >= 2 * (4000 - allowed) - 50);
});

t.test('700 WebSockets of one address', async (t) => {
  await stage.underAttack(t, async () => {
    const sockets: WebSocket[] = [];
    for (let batch = 0; batch < 7; batch++)
      sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => open('127.0.1.3')))));
    const isOpen = ({ readyState }: WebSocket): boolean => readyState === WebSocket.OPEN;
    t.equal(sockets.filter(isOpen).length, 500);
    const other = await connect('127.0.1.4');
    t.ok(isOpen(other), 'another address connects');
    other.terminate();
    for (const socket of sockets) socket.terminate();
  });
  t.equal(await hits('max_ws_connections_per_ip'), 200);
});

t.test('700 HTTP connections of one address that send nothing', async (t) => {
  await stage.underAttack(t, async () => {
    const agent = new Agent({ keepAlive: true });
    const requests = Array.from({ length: 700 }, () => {
      const { http: port } = gateway.ports;
      const waiting = request({
        agent,
        host: '127.0.0.1',
        port,
        localAddress: '127.0.1.5',
        path: '/',
        method: 'POST',
      });
      waiting.setHeader('content-length', '10');
      waiting.flushHeaders();
      return waiting.on('error', () => undefined);
    });
    await waitFor('the refusals', async () => (await hits('max_http_connections_per_ip')) === 200);
    t.equal((await flood('127.0.1.6', 1, () => ({ path: '/' }))).get(200), 1, 'another address connects');
    for (const waiting of requests) waiting.destroy();
    agent.destroy();
  });
});

t.test('floods of messages on 20 WebSockets', async (t) => {
  await stage.underAttack(t, async () => {
    const sockets = await Promise.all(Array.from({ length: 20 }, () => connect('127.0.1.7')));
    const codes = await Promise.all(
      sockets.map(async (socket) => {
        const closed = once(socket, 'close');
        const message = JSON.stringify({ message: 'playStream', data: [{ padding: 'x'.repeat(1000) }] });
        for (let sent = 0; sent < 5000; sent++) {
          socket.send(message, () => undefined);
          if (sent % 50 === 0) await immediate();
        }
        return (await closed)[0] as number;
      }),
    );
    // 1006: reset, because the client was still sending.
    for (const code of codes) t.ok([1008, 1006].includes(code), String(code));
  });
  t.equal(await hits('max_ws_messages_per_second'), 20);
});

t.test('clients that never read, 40 with four snapshots each', async (t) => {
  await stage.underAttack(t, async () => {
    const sockets = await Promise.all(Array.from({ length: 40 }, () => connect('127.0.1.8')));
    for (const socket of sockets) {
      socket.pause();
      for (const name of NEIGHBOURS)
        socket.send(JSON.stringify({ message: 'snapshot', data: [{ mediaSessionId: name, name }] }));
      // Each is answered with a refusal.
      const message = JSON.stringify({ message: 'availableStream', data: [{ mediaSessionId: 'x', name: 'x' }] });
      for (let sent = 0; sent < 250; sent++) socket.send(message);
    }
    await stage.sink.ask('streams');
    const reader = await connect('127.0.1.9');
    reader.send('{"message":"ping","data":[]}');
    await once(reader, 'message');
    for (const socket of [...sockets, reader]) socket.terminate();
  });
});

t.test('200 players of one address that never connect', async (t) => {
  const sdp = readFileSync(new URL('../unit/webrtc/fixtures/chromium-play.sdp', import.meta.url), 'utf8');
  await stage.underAttack(t, async () => {
    const sockets = await Promise.all(Array.from({ length: 5 }, () => connect('127.0.1.10')));
    const answers = { accepted: 0, refused: 0 };
    for (const [number, socket] of sockets.entries()) {
      socket.on('message', (bytes: Buffer) => {
        const { message, data } = JSON.parse(bytes.toString());
        if (message === 'setRemoteSDP') answers.accepted++;
        if (message === 'notifyStreamStatusEvent' && /max_pending_sessions_per_ip/.test(data[0].info))
          answers.refused++;
      });
      for (let player = 0; player < 40; player++) {
        const play = { mediaSessionId: `${number}-${player}`, name: NEIGHBOURS[player % 4], sdp };
        socket.send(JSON.stringify({ message: 'playStream', data: [play] }));
      }
    }
    await waitFor('all answers', () => answers.accepted + answers.refused === 200);
    t.ok(answers.accepted > 0 && answers.accepted <= 20, `${answers.accepted} accepted`);
    for (const socket of sockets) socket.terminate();
  });
  t.ok((await hits('max_pending_sessions_per_ip')) >= 180);
});

t.test('300 bodies of 2 MB', async (t) => {
  const body = Buffer.alloc(2_000_000, ' ');
  await stage.underAttack(t, async () => {
    const statuses = await flood('127.0.1.11', 300, (index) => ({
      path: ['/rest-api/push/startup', '/whip/attack', '/whep/one'][index % 3]!,
      method: 'POST',
      headers: {
        ...bearer(KEY),
        'content-type': index % 3 === 0 ? 'application/json' : 'application/sdp',
        ...(index % 2 === 0 && { 'transfer-encoding': 'chunked' }),
      },
      body,
    }));
    // 0: the connection was reset while the client was still sending.
    for (const status of statuses.keys()) t.ok([413, 429, 0].includes(status), String(status));
  });
});

t.test('2000 guesses of the key', async (t) => {
  const before = await hits('max_failed_logins_per_minute');
  await stage.underAttack(t, async () => {
    const guess = (index: number): Call => {
      const key = `guess-${index}`;
      const paths = ['/rest-api/push/find_all', '/api/v1/streams?accessToken=', '/live/whip/endpoint/x?token='];
      return {
        path: index % 3 === 0 ? paths[0]! : paths[index % 3]! + key,
        headers: index % 3 === 0 ? bearer(key) : {},
      };
    };
    const statuses = await flood('127.0.1.12', 1900, guess);
    t.strictSame(
      [...statuses.keys()].sort(),
      [204, 401, 429].filter((status) => statuses.has(status)),
    );
    // Fifty requests are under way when the limit is reached.
    t.ok(statuses.get(401)! >= 60 && statuses.get(401)! <= 110, `${statuses.get(401)} guesses were looked at`);
    const infos = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const socket = await open('127.0.1.12', `?token=guess-${index}`);
        const answered = once(socket, 'message');
        socket.send('{"message":"connection","data":[{}]}');
        const { data } = JSON.parse(String((await answered)[0]));
        return data[0].info as string;
      }),
    );
    t.ok(
      infos.every((info) => /max_failed_logins_per_minute/.test(info)),
      'the WebSocket refuses them too',
    );
    (await connect('127.0.1.12')).terminate();
    t.pass('the key itself still works for this address');
  });
  t.ok((await hits('max_failed_logins_per_minute')) - before > 1800);
});
