import { get } from 'node:http';
import { GatewayError } from '../errors.ts';

/** Milliseconds that the other program has to answer. */
const TIMEOUT_MS = 1000;
/** An answer is shorter. Bytes. */
const MAX_ANSWER = 10_000;

/**
 * Whether a gateway answers `GET /health/live` on this address already, as `http://ADDRESS:PORT`; nothing when no program or
 * another one listens there.
 */
export async function findRunningGateway(host: string, port: number): Promise<string | undefined> {
  if (port === 0) return undefined;
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const base = `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
  const answer = await new Promise<string>((resolve) => {
    const request = get(`${base}/health/live`, { timeout: TIMEOUT_MS, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER) request.destroy();
      });
      response.once('end', () => resolve(text));
      response.once('close', () => resolve(''));
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(''));
  });
  return isHealthOfGateway(answer) ? base : undefined;
}

/** @throws {GatewayError} SETTINGS_INVALID if a gateway runs on this address already */
export async function refuseSecondGateway(host: string, port: number): Promise<void> {
  const running = await findRunningGateway(host, port);
  if (running)
    throw new GatewayError(
      'SETTINGS_INVALID',
      `Another WebRTC Transponder is running on ${running}. Stop it, or give this one its own ports ` +
        '(http.port, ws.port, rtc_port, embedded_rtmp_port, embedded_http_flv_port).',
    );
}

function isHealthOfGateway(answer: string): boolean {
  try {
    const health = JSON.parse(answer) as Record<string, unknown> | null;
    return (
      typeof health?.['status'] === 'string' &&
      typeof health['version'] === 'string' &&
      typeof health['workers'] === 'object' &&
      typeof health['transponders'] === 'number'
    );
  } catch {
    return false;
  }
}
