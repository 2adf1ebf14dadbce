/**
 * One session of WHIP (publishing, RFC 9725) or WHEP (playing), with nothing but what every browser has: an offer goes out by POST,
 * the answer comes back, DELETE ends it.
 */
export class WhipSession extends EventTarget {
  /** @type {RTCPeerConnection} */
  #connection;
  /** @type {string} Where DELETE goes. */
  #location;
  /** @type {Record<string, string>} */
  #headers;

  /**
   * @param {RTCPeerConnection} connection
   * @param {string} location
   * @param {Record<string, string>} headers
   */
  constructor(connection, location, headers) {
    super();
    this.#connection = connection;
    this.#location = location;
    this.#headers = headers;
    connection.addEventListener('connectionstatechange', () => this.dispatchEvent(new Event('change')));
  }

  /**
   * Sends the offer of a connection whose tracks are there already. No need to wait for candidates: the gateway has a public address
   * and learns the browser's from its first packet.
   *
   * @param {string} endpoint `/whip/NAME` or `/whep/NAME` of a gateway
   * @param {RTCPeerConnection} connection
   * @param {string} [apiKey]
   * @returns {Promise<WhipSession>}
   * @throws {Error} with the gateway's words
   */
  static async open(endpoint, connection, apiKey) {
    /** @type {Record<string, string>} */
    const headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {};
    await connection.setLocalDescription();
    const body = connection.localDescription?.sdp ?? '';
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/sdp' },
      body,
    });
    const answer = await response.text();
    if (response.status !== 201) throw new Error(reasonOf(answer) ?? `The gateway answered ${response.status}.`);
    const location = new URL(response.headers.get('location') ?? '', response.url).href;
    const session = new WhipSession(connection, location, headers);
    await connection.setRemoteDescription({ type: 'answer', sdp: answer });
    session.#watchGoodbye();
    return session;
  }

  /** `closed` when the gateway has ended it: it says so by DTLS, and the connection's own state takes that for a lost network, 15 s later. */
  get state() {
    return this.#transport?.state === 'closed' ? 'closed' : this.#connection.connectionState;
  }

  get #transport() {
    return this.#connection.getTransceivers()[0]?.sender.transport;
  }

  #watchGoodbye() {
    this.#transport?.addEventListener('statechange', () => this.dispatchEvent(new Event('change')));
  }

  /** Ends the session at the gateway, and with it the stream and its pushes. Also while the page is being closed. */
  async close() {
    await fetch(this.#location, { method: 'DELETE', headers: this.#headers, keepalive: true }).catch(() => undefined);
    this.#connection.close();
  }
}

/**
 * @param {string} answer
 * @returns {string | undefined}
 */
function reasonOf(answer) {
  try {
    return JSON.parse(answer).message;
  } catch {
    return undefined;
  }
}
