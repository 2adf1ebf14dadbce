/** Where the gateway's paths begin: `/`, or a prefix where a reverse proxy serves the gateway below one. */
const BASE = new URL('../', import.meta.url);

/**
 * The URL of a path of the gateway.
 *
 * @param {string} path as the gateway knows it, such as `/rest-api`
 * @returns {string}
 */
export function urlOf(path) {
  return new URL(path.replace(/^\//, ''), BASE).href;
}

/**
 * The URL of the gateway's WebSocket. A reverse proxy has it at `ws` beside the page: docs/operations.md. One is there
 * if the page has a path prefix, or comes over https although the gateway has no certificate.
 *
 * @param {{ wsPort: number, wssPort: number | null }} ports
 * @returns {string}
 */
export function webSocketUrl({ wsPort, wssPort }) {
  const secure = BASE.protocol === 'https:';
  if (BASE.pathname !== '/' || (secure && wssPort === null)) return urlOf('/ws').replace(/^http/, 'ws');
  return secure ? `wss://${BASE.hostname}:${wssPort}` : `ws://${BASE.hostname}:${wsPort}`;
}
