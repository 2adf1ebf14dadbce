import { EXIT, Failure } from './failure.mjs';

/** The REST interface of a gateway or a manager. */
export class Api {
  /** @param {{ url: string, key?: string }} options */
  constructor({ url, key }) {
    try {
      // With the path that a reverse proxy adds, if any.
      this.base = new URL(url.endsWith('/') ? url : `${url}/`);
    } catch {
      throw new Failure(EXIT.usage, `--url ${url} is not a URL such as http://127.0.0.1:8081`);
    }
    this.key = key;
  }

  /** The parsed answer; undefined for an empty one. @param {string} path @param {{ method?: string, body?: object }} [request] */
  async ask(path, { method = 'GET', body } = {}) {
    const response = await this.open(path, { method, body });
    const text = await response.text();
    if (text === '') return undefined;
    try {
      return JSON.parse(text);
    } catch {
      throw new Failure(EXIT.refused, `${this.base} does not answer as a gateway does. Is --url right?`);
    }
  }

  /** @param {string} path */
  post(path, body = {}) {
    return this.ask(path, { method: 'POST', body });
  }

  /** An answer that may not be an error. @param {string} path @param {{ method?: string, body?: object, accept?: number[], headers?: object }} [request] */
  async open(path, { method = 'GET', body, accept = [], headers = {} } = {}) {
    const response = await fetch(new URL(path, this.base), {
      method,
      headers: {
        ...headers,
        ...(this.key && { authorization: `Bearer ${this.key}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    }).catch((error) => {
      const reason = error.cause?.code ?? error.cause?.message ?? error.message;
      throw new Failure(
        EXIT.unreachable,
        `No gateway answers at ${this.base} (${reason}). Set --url or TRANSPONDER_URL.`,
      );
    });
    if (response.ok || accept.includes(response.status)) return response;
    const { message, exception } = await response.json().catch(() => ({}));
    const denied = response.status === 401 || response.status === 403;
    const hint = response.status === 401 ? ' Set TRANSPONDER_KEY.' : '';
    const text = message ? `${message} (${exception})` : `${this.base} answers ${response.status}. Is --url right?`;
    throw new Failure(denied ? EXIT.denied : EXIT.refused, text + hint);
  }
}
